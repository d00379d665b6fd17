import { test } from "tap";
import { activatorCount, decide, initialExcessBurstCapacity, initialState, type DeciderSpec } from "./decide.ts";

const defaults: DeciderSpec = {
  target: 70,
  total: 100,
  targetBurstCapacity: 211,
  maxScaleUpRate: 1000,
  maxScaleDownRate: 2,
  panicThreshold: 2,
  stableWindowMs: 60_000,
  activationScale: 0,
  scaleDownDelayMs: 0,
  reachable: true,
};

/** Seconds, ready pods, stable, panic → desired, excess burst capacity, panicking. */
type Row = [number, number, number, number, number, number, boolean];

interface Vector {
  name: string;
  spec?: Partial<DeciderSpec>;
  /** Pods that were ready when the decider was created at 0 s. */
  createdWith?: number;
  rows: Row[];
}

const vectors: Vector[] = [
  { name: "lets an idle revision go", rows: [[0, 1, 0, 0, 0, -111, false]] },
  { name: "keeps a pod for one request", rows: [[0, 1, 1, 1, 1, -112, false]] },
  {
    name: "panics just above the target of one pod",
    createdWith: 1,
    rows: [
      [0, 1, 70, 70, 1, -181, false],
      [2, 1, 70.000001, 70.000001, 2, -182, true],
      [4, 2, 140, 140, 2, -151, true],
    ],
  },
  {
    name: "enters panic, holds the peak and leaves after a stable window",
    rows: [
      [0, 1, 20, 139, 2, -250, true],
      [2, 1, 25, 140, 2, -251, true],
      [4, 1, 30, 141, 3, -252, true],
      [6, 3, 60, 200, 3, -111, true],
      [8, 3, 60, 60, 3, 29, true],
      [64, 3, 60, 60, 3, 29, true],
      [65, 3, 60, 60, 1, 29, false],
    ],
  },
  {
    name: "counts at least one pod as ready",
    rows: [
      [0, 0, 1, 1, 1, -212, false],
      [2, 0, 141, 141, 3, -352, true],
      [4, 0, 0, 0, 3, -211, true],
    ],
  },
  {
    name: "doubles at most with an up rate of 2",
    spec: { maxScaleUpRate: 2 },
    createdWith: 2,
    rows: [
      [0, 2, 1000, 1000, 4, -1011, true],
      [2, 4, 1000, 1000, 8, -811, true],
      [4, 8, 1000, 1000, 15, -411, true],
    ],
  },
  {
    // The expected row is not in panic, so the decider was created with fewer than two.
    name: "rounds the up rate up",
    spec: { maxScaleUpRate: 1.1, target: 1, total: 1 },
    rows: [[0, 2, 3, 3, 3, -212, false]],
  },
  {
    name: "halves on the way down",
    rows: [
      [0, 20, 10, 10, 10, 1779, false],
      [2, 10, 10, 10, 5, 779, false],
      [4, 5, 10, 10, 2, 279, false],
      [6, 2, 10, 10, 1, -21, false],
      [8, 1, 0, 0, 0, -111, false],
    ],
  },
  {
    name: "lets an unreachable revision shrink in one step",
    spec: { reachable: false },
    rows: [
      [0, 20, 10, 10, 1, 1779, false],
      [2, 20, 0, 0, 0, 1789, false],
    ],
  },
  {
    name: "keeps the activation scale while there is load",
    spec: { activationScale: 5 },
    rows: [
      [0, 0, 1, 1, 5, -212, false],
      [2, 5, 1, 1, 5, 288, false],
      [4, 5, 400, 400, 6, -111, false],
      [6, 6, 0, 0, 3, 389, false],
      [8, 3, 0, 0, 1, 89, false],
      [10, 1, 0, 0, 0, -111, false],
    ],
  },
  {
    name: "needs no burst capacity when none is asked for",
    spec: { target: 7, total: 10, targetBurstCapacity: 0 },
    rows: [[0, 3, 20, 25, 3, 0, false]],
  },
  {
    name: "keeps the activator with unlimited burst capacity",
    spec: { target: 7, total: 10, targetBurstCapacity: -1 },
    rows: [[0, 3, 20, 25, 3, -1, false]],
  },
  {
    name: "counts zero excess as enough",
    spec: { target: 7, total: 10, targetBurstCapacity: 10 },
    rows: [
      [0, 3, 20, 20, 3, 0, false],
      [2, 3, 20, 20.5, 3, -1, false],
      [6, 0, 5, 5, 1, -15, false],
    ],
  },
  {
    name: "needs many small pods for the burst capacity",
    spec: { target: 7, total: 10 },
    rows: [
      [0, 21, 0, 0, 10, -1, false],
      [2, 22, 0, 0, 11, 9, false],
      [6, 22, 10, 10, 11, -1, false],
    ],
  },
  {
    name: "subtracts the panic average from the excess",
    rows: [
      [4, 3, 0, 0, 1, 89, false],
      [6, 3, 89, 89, 2, 0, false],
      [8, 3, 90, 90, 2, -1, false],
    ],
  },
  {
    name: "keeps a decision for the scale-down delay",
    spec: { scaleDownDelayMs: 10_000 },
    rows: [
      [0, 5, 300, 300, 5, -11, false],
      [2, 5, 100, 100, 5, 189, false],
      [4, 5, 100, 100, 5, 189, false],
      [6, 5, 100, 100, 5, 189, false],
      [8, 5, 100, 100, 5, 189, false],
      [10, 5, 100, 100, 2, 189, false],
    ],
  },
  {
    name: "delays nothing for an unreachable revision",
    spec: { scaleDownDelayMs: 10_000, reachable: false },
    rows: [
      [0, 5, 300, 300, 5, -11, false],
      [2, 5, 100, 100, 2, 189, false],
    ],
  },
  {
    name: "holds what it finds after a restart",
    createdWith: 4,
    rows: [
      [0, 4, 10, 10, 4, 179, true],
      [30, 4, 10, 10, 4, 179, true],
      [60, 4, 10, 10, 4, 179, true],
      [61, 4, 10, 10, 2, 179, false],
    ],
  },
  {
    name: "panics for a single request with a concurrency of 1",
    spec: { target: 0.7, total: 1 },
    rows: [
      [0, 0, 1, 1, 2, -212, true],
      [2, 2, 2, 2, 3, -211, true],
      [4, 2, 2, 6, 9, -215, true],
      [6, 9, 4, 5, 9, -207, true],
      [8, 9, 8, 1, 12, -203, true],
    ],
  },
  {
    name: "takes requests per second the same way",
    spec: { target: 140, total: 200 },
    rows: [
      [0, 1, 139, 140, 1, -151, false],
      [2, 1, 141, 281, 3, -292, true],
    ],
  },
  {
    name: "follows the stable window upwards while in panic",
    rows: [
      [0, 1, 100, 300, 5, -411, true],
      [2, 5, 500, 100, 8, 189, true],
      [4, 8, 100, 100, 8, 489, true],
    ],
  },
  {
    name: "leaves panic after a short window",
    spec: { stableWindowMs: 6000 },
    rows: [
      [0, 1, 10, 300, 5, -411, true],
      [2, 5, 100, 20, 5, 269, true],
      [4, 5, 100, 0, 5, 289, true],
      [6, 5, 10, 0, 5, 289, true],
      [7, 5, 0, 0, 2, 289, false],
    ],
  },
  {
    name: "counts the panic hold from the last time over the threshold",
    rows: [
      [0, 1, 2, 140, 2, -251, true],
      [2, 1, 5, 140, 2, -251, true],
      [4, 1, 8, 140, 2, -251, true],
      [6, 2, 10, 140, 2, -151, true],
      [8, 2, 15, 140, 2, -151, true],
      [62, 2, 140, 140, 2, -151, true],
      [64, 2, 140, 140, 2, -151, true],
      [66, 2, 140, 140, 2, -151, false],
    ],
  },
];

for (const { name, spec, createdWith = 0, rows } of vectors)
  test(`decide ${name}`, (t) => {
    let state = initialState(createdWith, 0);
    for (const [second, readyPods, stable, panic, ...want] of rows) {
      const decision = decide({ ...defaults, ...spec }, { stable, panic, readyPods }, state, second * 1000);
      state = decision.state;
      t.same(
        [decision.desiredPods, decision.excessBurstCapacity, state.mode.is === "panic"],
        want,
        `at ${second} s with ${readyPods} ready`,
      );
    }
    t.end();
  });

test("the number of activators", (t) => {
  const rows = [
    { readyPods: 0, total: 100, targetBurstCapacity: 211, want: 3 },
    { readyPods: 1, total: 100, targetBurstCapacity: 211, want: 4 },
    { readyPods: 3, total: 100, targetBurstCapacity: 211, want: 6 },
    { readyPods: 10, total: 100, targetBurstCapacity: 211, want: 13 },
    { readyPods: 10, total: 10, targetBurstCapacity: 211, want: 4 },
    { readyPods: 50, total: 1, targetBurstCapacity: 0, want: 2 },
    { readyPods: 50, total: 100, targetBurstCapacity: -1, want: 50 },
    { readyPods: 0, total: 100, targetBurstCapacity: -1, want: 2 },
    { readyPods: 1, total: 100, targetBurstCapacity: -1, want: 2 },
    { readyPods: 100, total: 10, targetBurstCapacity: 211, want: 13 },
  ];
  for (const { readyPods, want, ...spec } of rows)
    t.equal(activatorCount(spec, readyPods, 100), want, `${readyPods} ready, ${JSON.stringify(spec)}`);
  t.end();
});

test("the excess burst capacity before any decision", (t) => {
  t.equal(initialExcessBurstCapacity({ total: 100, targetBurstCapacity: 211 }, 1), -111);
  t.equal(initialExcessBurstCapacity({ total: 100, targetBurstCapacity: 0 }, 1), 0);
  t.equal(initialExcessBurstCapacity({ total: 100, targetBurstCapacity: -1 }, 5), -1);
  t.end();
});
