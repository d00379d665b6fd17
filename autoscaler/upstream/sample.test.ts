import * as fc from "fast-check";
import { test } from "tap";
import { extrapolated, sampleOrder, sampleSize, type SampledPod } from "./sample.ts";

const nowMs = 1_700_000_000_000;
const windowMs = 60_000;
const pods = (count: number, ageMs: number | undefined, prefix = "p"): SampledPod[] =>
  Array.from({ length: count }, (_, index) => ({
    name: `${prefix}${index}`,
    ip: "127.0.0.1",
    startedMs: ageMs === undefined ? undefined : nowMs - ageMs,
  }));
const first = (): number => 0;

test("as many pods are asked as Knative asks", (t) => {
  const want: [number, number][] = [
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 4],
    [5, 4],
    [6, 5],
    [7, 6],
    [8, 6],
    [9, 6],
    [10, 7],
    [15, 8],
    [20, 9],
    [30, 11],
    [50, 12],
    [75, 13],
    [100, 14],
    [150, 15],
    [500, 15],
    [1000, 16],
  ];
  for (const [count, size] of want) t.equal(sampleSize(count), size, `${count} pods`);
  t.end();
});

test("with enough old pods the young ones come last, and any old one may be first", (t) => {
  const all = [...pods(2, 1000, "young"), ...pods(10, windowMs, "old")];
  const order = sampleOrder(all, windowMs, nowMs, first).map(({ name }) => name);
  t.strictSame(order.slice(10), ["young0", "young1"]);
  t.not(order[0], "old0", "the old ones were shuffled");
  t.end();
});

test("with too few old pods all of these are asked, and any of the young", (t) => {
  const all = [...pods(9, 1000, "young"), ...pods(1, windowMs, "old"), ...pods(1, undefined, "ageless")];
  const order = sampleOrder(all, windowMs, nowMs, first).map(({ name }) => name);
  t.strictSame(order.slice(0, 2), ["old0", "ageless0"]);
  t.not(order[2], "young0", "the young ones were shuffled");
  t.end();
});

test("an order has every pod once, and equal pods are worth what they are, however many are asked", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 120_000 }), { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      fc.integer({ min: 0, max: 1000 }),
      (ages, random, concurrency) => {
        const all = ages.map((age, index) => ({ name: String(index), ip: "", startedMs: nowMs - age }));
        const order = sampleOrder(all, windowMs, nowMs, () => random);
        t.equal(new Set(order).size, all.length);
        const answers = order.slice(0, sampleSize(all.length)).map(() => ({ concurrency, requests: 1 }));
        const sum = extrapolated(answers, all.length);
        return (
          Math.abs(sum.concurrency - concurrency * all.length) < 1e-6 && Math.abs(sum.requests - all.length) < 1e-6
        );
      },
    ),
    { numRuns: 50 },
  );
  t.end();
});
