import { test } from "tap";
import type { Case } from "./corpus/case.ts";
import { chunkedBodies } from "./corpus/chunks.ts";
import { fieldLines } from "./corpus/field-lines.ts";
import { framings } from "./corpus/framings.ts";
import { hosts } from "./corpus/hosts.ts";
import { judgeRequests, judgeResponses, summary } from "./corpus/judgement.ts";
import { responses } from "./corpus/responses.ts";
import { startLines } from "./corpus/start-lines.ts";

/** Judged whole, octet by octet and in two pieces cut at every place: each verdict once, with the first cut that gave it. */
function verdicts(octets: string, judged: (pieces: Buffer[]) => string): Record<string, string> {
  const whole = Buffer.from(octets, "latin1");
  const found: Record<string, string> = { [judged([whole])]: "whole" };
  found[judged(Array.from(whole, (octet) => Buffer.of(octet)))] ??= "octet by octet";
  for (let cut = 1; cut < whole.length; cut += 1) {
    // Far inside a long run of one letter the cut makes no difference.
    if (cut > 400 && cut < whole.length - 400 && cut % 997 !== 0) continue;
    found[judged([whole.subarray(0, cut), whole.subarray(cut)])] ??= `cut at ${cut}`;
  }
  return found;
}

/**
 * A message whose body turned out broken: how much of it had passed before depends on the pieces, that it was refused
 * does not. Where the connection ended inside it, what had come is the same in any pieces.
 */
function withoutParts(line: string): string {
  return line.replace(/(?:^|(?<=; ))[^;]* part; (?=\d{3} (?!cut-short))/, "");
}

const families: [name: string, cases: readonly Case[]][] = [
  ["request lines", startLines],
  ["hosts", hosts],
  ["field lines", fieldLines],
  ["framing", framings],
  ["chunked bodies", chunkedBodies],
];
let count = responses.length;

for (const [family, cases] of families) {
  count += cases.length;
  test(`requests: ${family}`, (t) => {
    for (const [name, octets, want] of cases)
      t.strictSame(
        verdicts(octets, (pieces) => withoutParts(summary(judgeRequests(pieces)))),
        { [want]: "whole" },
        name,
      );
    t.end();
  });
}

test("responses", (t) => {
  for (const [name, methods, octets, want] of responses) {
    const requests = methods
      .split(" ")
      .map((method) => (method === "UPGRADE" ? { method: "GET", upgrade: true } : { method, upgrade: false }));
    t.strictSame(
      verdicts(octets, (pieces) => withoutParts(summary(judgeResponses(pieces, requests)))),
      { [want]: "whole" },
      name,
    );
  }
  t.end();
});

test("the corpus holds several hundred cases, each named once within its family", (t) => {
  t.ok(count >= 400, `${count} cases`);
  for (const [, cases] of families) t.equal(new Set(cases.map(([name]) => name)).size, cases.length);
  t.end();
});
