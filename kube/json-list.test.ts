import * as fc from "fast-check";
import { test } from "tap";
import type { KubeObject } from "../api/meta.ts";
import { jsonList } from "./json-list.ts";

async function* inParts(text: string, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  let at = 0;
  for (let part = 0; at < bytes.length; part++) {
    const size = sizes.length === 0 ? bytes.length : sizes[part % sizes.length]!;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const read = (
  text: string,
  sizes: readonly number[] = [],
  each: (object: KubeObject) => KubeObject = (object) => object,
) => jsonList(inParts(text, sizes), each);

const jsonValue = fc.jsonValue({ maxDepth: 3 });
const object = fc.record({ metadata: fc.record({ name: fc.string() }), spec: jsonValue });
const list = fc.record({
  kind: fc.constant("PodList"),
  apiVersion: fc.constant("v1"),
  metadata: fc.record({ resourceVersion: fc.string({ unit: "grapheme-ascii" }), continue: fc.constant("") }),
  items: fc.array(object, { maxLength: 6 }),
});

test("a list is what it is as one document, however its bytes come", async (t) => {
  const indents = fc.constantFrom(0, 1);
  const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(list, indents, sizes, fc.boolean(), async (value, indent, parts, itemsFirst) => {
      const { items, ...rest } = value;
      const text = JSON.stringify(itemsFirst ? { items, ...rest } : value, undefined, indent);
      t.same(await read(text, parts), JSON.parse(text));
    }),
    { numRuns: 200 },
  );
});

test("each object is passed on as it comes, and what is answered is kept", async (t) => {
  const seen: (string | undefined)[] = [];
  const text = '{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"}]"}}]}';
  const { items } = await read(text, [5], (object) => {
    seen.push(object.metadata.name);
    return { ...object, kind: "Kept" };
  });
  t.same(seen, ["a", "}]"]);
  t.same(
    items.map(({ kind }) => kind),
    ["Kept", "Kept"],
  );
});

const odd: [string, string, unknown][] = [
  ["without objects", '{"metadata":{"resourceVersion":"7"},"items":[]}', []],
  ["with null in their place", '{"metadata":{"resourceVersion":"7"},"items":null}', []],
  ["that does not mention any", '{"metadata":{"resourceVersion":"7"}}', []],
  ["with another array before them", '{"others":[{"a":[1,2]},3],"items":[{"b":1}]}', [{ b: 1 }]],
];
test("unusual lists", async (t) => {
  for (const [name, text, items] of odd) t.same((await read(text, [3])).items, items, `one ${name}`);
});

const broken: [string, string][] = [
  ["is cut off between objects", '{"items":[{"a":1},'],
  ["is cut off within an object", '{"items":[{"a":'],
  ["has an object that is none", '{"items":[{"a":}]}'],
  ["is nothing at all", ""],
  ["is followed by something else", '{"items":[]}}'],
];
test("a list that is broken is refused", async (t) => {
  for (const [name, text] of broken) await t.rejects(read(text, [4]), Error, `one that ${name}`);
});
