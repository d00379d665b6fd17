import { test } from "tap";
import { compare, type Compared } from "./comparison.ts";

const seeds = (count: number): number[] => Array.from({ length: count }, (_, index) => 101 + index);

/** Enough seeds that chance alone makes no difference of 5 % in the tail of the waits. */
const rows: { generator: string; seeds: number; mostPods: number }[] = [
  { generator: "constant", seeds: 1, mostPods: 1 },
  { generator: "steady", seeds: 4, mostPods: 1 },
  { generator: "ramp", seeds: 1, mostPods: 1.02 },
  { generator: "step", seeds: 16, mostPods: 0.75 },
  { generator: "spike", seeds: 24, mostPods: 0.55 },
  { generator: "bursty", seeds: 4, mostPods: 0.85 },
];

for (const { generator, seeds: count, mostPods } of rows)
  test(`the smooth decision against the exact one: ${generator}`, (t) => {
    const [{ modes }] = compare([generator], seeds(count), 10) as [Compared];
    const { exact, smooth } = modes;
    // Differences below 5 ms are of no importance to anybody who waits for pods.
    const limitMs = Math.max(exact.waitP99Ms * 1.05, exact.waitP99Ms + 5);
    t.ok(smooth.waitP99Ms <= limitMs, `p99 wait ${smooth.waitP99Ms} ms, exact ${exact.waitP99Ms} ms`);
    t.ok(
      smooth.podSeconds <= mostPods * exact.podSeconds,
      `${smooth.podSeconds} pod-seconds, exact ${exact.podSeconds}`,
    );
    if (generator === "constant") t.equal(smooth.directionChanges, 0, "no turns");
    if (generator === "steady") t.ok(smooth.directionChanges < exact.directionChanges, "fewer turns");
    t.end();
  });
