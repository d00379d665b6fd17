import * as fc from "fast-check";
import { test } from "tap";
import { HeaderList } from "../headers.ts";
import { hopByHop, kind } from "./field-kind.ts";
import type { HeadFields } from "./head-fields.ts";
import { RequestHeadReader } from "./request-head.ts";

/** The fields of a request with these lines, as they come out of the reader. */
function received(...lines: string[]): HeadFields {
  const octets = Buffer.from(`GET / HTTP/1.0\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`, "latin1");
  const head = new RequestHeadReader().read(octets);
  if (head?.is !== "request") throw new Error(`not a request: ${JSON.stringify(head)}`);
  return head.fields;
}

test("edited fields read the same as a HeaderList edited alike", (t) => {
  const names = fc.constantFrom("X-A", "x-a", "X-B", "Accept", "Trailer", "Content-Type", "Y", "aCCept");
  const values = fc.constantFrom("", "1", "two", "three, four", "\xe9");
  const edit = fc.record({ does: fc.constantFrom("set", "append", "delete"), name: names, value: values });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.array(fc.tuple(names, values), { maxLength: 6 }),
        fc.array(edit, { maxLength: 6 }),
        (list, edits) => {
          const fields = received(...list.map(([name, value]) => `${name}:  ${value} `));
          const model = HeaderList.from(list.flat());
          for (const { does, name, value } of edits) {
            if (does === "delete") for (const one of [fields, model]) one.delete(name);
            else if (does === "set") for (const one of [fields, model]) one.set(name, value);
            else for (const one of [fields, model]) one.append(name, value);
          }
          const rest = [fields, model].map((one) => ({
            raw: [...one.raw()],
            got: ["x-A", "X-B", "accept", "Z"].map((name) => [one.get(name), one.all(name), one.has(name)]),
          }));
          t.ok(JSON.stringify(rest[0]) === JSON.stringify(rest[1]), JSON.stringify(rest));
          const lines = model.raw().map((part, at) => (at % 2 === 0 ? `${part}: ` : `${part}\r\n`));
          t.ok(fields.lines() === lines.join(""), fields.lines());
        },
      ),
      { numRuns: 300 },
    ),
  );
  t.end();
});

const cases: { name: string; lines: string[]; edit?: (fields: HeadFields) => void; without?: number; want: string }[] =
  [
    { name: "copies what is spelt as usual", lines: ["A: 1", "b: 2"], want: "A: 1|b: 2" },
    { name: "spells anew what is not", lines: ["A:1", "B: \t2 ", "C: 3", "D:"], want: "A: 1|B: 2|C: 3|D: " },
    {
      name: "leaves kinds out",
      lines: ["A: 1", "Connection: x", "TE: y", "B: 2", "Keep-Alive: z"],
      without: hopByHop,
      want: "A: 1|B: 2",
    },
    {
      name: "leaves out an added field of such a kind",
      lines: ["A: 1"],
      edit: (fields) => fields.append("upgrade", "x"),
      without: kind.upgrade,
      want: "A: 1",
    },
    {
      name: "keeps the place of a changed one",
      lines: ["A: 1", "B: 2", "C: 3"],
      edit: (fields) => fields.set("b", "x"),
      want: "A: 1|B: x|C: 3",
    },
    {
      name: "changes one twice",
      lines: ["A: 1"],
      edit: (fields) => (fields.set("a", "x"), fields.set("a", "y")),
      want: "A: y",
    },
    {
      name: "deletes what was set",
      lines: ["A: 1", "B: 2"],
      edit: (fields) => (fields.set("a", "x"), fields.delete("A")),
      want: "B: 2",
    },
    {
      name: "sets what was deleted at the end",
      lines: ["A: 1", "B: 2"],
      edit: (fields) => (fields.delete("A"), fields.set("a", "x")),
      want: "B: 2|a: x",
    },
    {
      name: "takes what Connection names",
      lines: ["X: 1", "x: 2", "B: 3"],
      edit: (fields) => fields.deleteNamed(["x"]),
      want: "B: 3",
    },
    {
      name: "keeps Host and the length though Connection names them",
      lines: ["Host: a", "Content-Length: 0", "X: 1"],
      edit: (fields) => fields.deleteNamed(["host", "content-length", "transfer-encoding", "x"]),
      want: "Host: a|Content-Length: 0",
    },
    { name: "has no lines when there are none", lines: [], want: "" },
  ];

for (const { name, lines, edit, without, want } of cases)
  test(`lines ${name}`, (t) => {
    const fields = received(...lines);
    edit?.(fields);
    t.equal(fields.lines(without), want === "" ? "" : `${want.replaceAll("|", "\r\n")}\r\n`);
    t.end();
  });

test("kinds, joined and count see received and added fields, and not deleted ones", (t) => {
  const fields = received("X-Forwarded-For: a", "x-forwarded-for:b", "Host: h");
  fields.append("X-FORWARDED-FOR", "c");
  t.equal(fields.joined(kind.xForwardedFor), "a, b, c");
  t.equal(fields.count(kind.xForwardedFor), 3);
  fields.delete("host");
  t.equal(fields.kinds() & (kind.host | kind.xForwardedFor), kind.xForwardedFor);
  t.equal(fields.joined(kind.host), undefined);
  t.end();
});
