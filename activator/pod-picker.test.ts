import { test } from "tap";
import { betterOfTwo, firstAvailable, ownPlaces, ownSlice, roundRobin } from "./pod-picker.ts";

const pods = (...inFlight: number[]) => inFlight.map((count, at) => ({ name: "abcdef"[at], inFlight: count }));
/** Returns these numbers in turn. */
const draws =
  (...numbers: number[]) =>
  (): number =>
    numbers.shift() ?? 0;

const picks: { name: string; got: { name: string | undefined } | undefined; want: string | undefined }[] = [
  { name: "better of two takes the only pod", got: betterOfTwo(pods(7), draws()), want: "a" },
  { name: "better of two finds nothing among none", got: betterOfTwo(pods(), draws()), want: undefined },
  { name: "better of two takes the less loaded", got: betterOfTwo(pods(5, 9, 1), draws(0, 0.99)), want: "c" },
  { name: "better of two never compares a pod with itself", got: betterOfTwo(pods(3, 1), draws(0.99, 0)), want: "b" },
  { name: "better of two tosses a coin between equals", got: betterOfTwo(pods(1, 1), draws(0, 0, 0.9)), want: "b" },
  { name: "first available fills the first pod", got: firstAvailable(pods(2, 0, 0), 3), want: "a" },
  { name: "first available passes full pods", got: firstAvailable(pods(3, 3, 2), 3), want: "c" },
  { name: "first available finds nothing when all are full", got: firstAvailable(pods(3, 3), 3), want: undefined },
  { name: "round robin starts where it is told", got: roundRobin(pods(0, 0, 0), 4, 1)?.pod, want: "b" },
  { name: "round robin wraps around past full pods", got: roundRobin(pods(0, 4, 4), 4, 1)?.pod, want: "a" },
  { name: "round robin finds nothing when all are full", got: roundRobin(pods(4, 4), 4, 1)?.pod, want: undefined },
];
for (const { name, got, want } of picks)
  test(name, (t) => {
    t.equal(got?.name, want);
    t.end();
  });

test("round robin goes on behind the pod it picked", (t) => {
  t.equal(roundRobin(pods(0, 4, 0), 4, 1)?.next, 0);
  t.end();
});

const five = ["p1", "p2", "p3", "p4", "p5"];
const slices: { name: string; pods: string[]; activators: string[]; own: string; want: string[] }[] = [
  { name: "an activator that is not listed", pods: five, activators: ["a", "b"], own: "x", want: five },
  { name: "the only activator", pods: five, activators: ["a"], own: "a", want: five },
  { name: "one of two for one pod", pods: ["p1"], activators: ["a", "b"], own: "b", want: ["p1"] },
  { name: "the first of two for five pods", pods: five, activators: ["a", "b"], own: "a", want: ["p1", "p2", "p5"] },
  { name: "the second of two for five pods", pods: five, activators: ["a", "b"], own: "b", want: ["p3", "p4"] },
  { name: "the third of three for two pods", pods: ["p1", "p2"], activators: ["a", "b", "c"], own: "c", want: ["p1"] },
];
for (const { name, pods, activators, own, want } of slices)
  test(`the slice of ${name}`, (t) => {
    t.strictSame(ownSlice(pods, activators, own), want);
    t.end();
  });

test("slices of all activators cover each pod exactly once", (t) => {
  for (let podCount = 2; podCount <= 23; podCount += 1) {
    const all = Array.from({ length: podCount }, (_, at) => `p${at}`);
    for (let count = 2; count <= podCount; count += 1) {
      const activators = Array.from({ length: count }, (_, at) => `a${at}`);
      const given = activators.flatMap((own) => ownSlice(all, activators, own));
      if (new Set(given).size !== podCount || given.length !== podCount)
        t.fail(`${podCount} pods, ${count} activators`);
    }
  }
  t.end();
});

const demand = (inFlight: Record<string, number>) =>
  Object.entries(inFlight).map(([pod, count]) => ({ pod, inFlight: count }));
const shared: { name: string; pods: string[]; limit: number; inFlight: Record<string, number>; want: object }[] = [
  { name: "alone", pods: ["p", "q"], limit: 1, inFlight: { a: 1 }, want: { a: { p: 1, q: 1 } } },
  { name: "equal demand", pods: ["p", "q"], limit: 1, inFlight: { a: 9, b: 9 }, want: { a: { p: 1 }, b: { q: 1 } } },
  {
    name: "the more requests, the more places",
    pods: ["p", "q", "r", "s"],
    limit: 1,
    inFlight: { a: 90, b: 10 },
    want: { a: { p: 1, q: 1, r: 1 }, b: { s: 1 } },
  },
  {
    name: "places of one pod are split",
    pods: ["p", "q"],
    limit: 10,
    inFlight: { a: 1, b: 1, c: 2 },
    want: { a: { p: 5 }, b: { p: 5 }, c: { q: 10 } },
  },
  { name: "who has no requests has no place", pods: ["p"], limit: 5, inFlight: { a: 1 }, want: { a: { p: 5 }, x: {} } },
  {
    name: "more activators than places share them",
    pods: ["p", "q"],
    limit: 1,
    inFlight: { a: 1, b: 1, c: 1 },
    want: { a: { p: 1 }, b: { q: 1 }, c: { p: 1 } },
  },
  { name: "no pods", pods: [], limit: 1, inFlight: { a: 1 }, want: { a: {} } },
];
for (const { name, pods, limit, inFlight, want } of shared)
  test(`places: ${name}`, (t) => {
    for (const [own, places] of Object.entries(want))
      t.strictSame(Object.fromEntries(ownPlaces(pods, limit, demand(inFlight), own)), places, own);
    t.end();
  });

test("the places of all activators are all places, none twice, at any demand", (t) => {
  let seed = 1;
  const random = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 500; round += 1) {
    const limit = 1 + random(5);
    const all = Array.from({ length: 1 + random(9) }, (_, at) => `p${at}`);
    const count = 1 + random(all.length * limit);
    const demands = Array.from({ length: count }, (_, at) => ({ pod: `a${at}`, inFlight: random(100) }));
    const given = new Map<string, number>();
    for (const { pod } of demands) {
      const places = ownPlaces(all, limit, demands, pod);
      if (places.size === 0) t.fail("somebody got nothing");
      for (const [address, places_] of places) given.set(address, (given.get(address) ?? 0) + places_);
    }
    if (all.some((address) => given.get(address) !== limit))
      t.fail(`${all.length} pods of ${limit}, ${count} activators`);
  }
  t.end();
});
