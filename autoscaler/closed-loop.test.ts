/** Windows and decision together, on a clock: the vectors of spec: autoscaling 3.9. */
import { test } from "tap";
import { decide, initialState, type DeciderSpec } from "./decide.ts";
import { TimeWindow } from "./time-window.ts";

interface Loop {
  name: string;
  target: number;
  total: number;
  aggregation?: "linear" | "weighted-exponential";
  /** Seconds from the request for a pod until it is ready. */
  startS: number;
  /** Ready pods and constant load before 0 s. */
  before: number;
  load: (second: number) => number;
  /** From zero: the first request is looked at at once, and the ticks are at odd seconds. */
  poked?: boolean;
  endS: number;
  /** Second → the new decision, for each change. */
  changes: [number, number][];
  podSeconds?: number;
}

const loops: Loop[] = [
  {
    name: "a step to ten times the load and back",
    target: 70,
    total: 100,
    startS: 3,
    before: 50,
    load: (second) => (second >= 0 && second < 120 ? 500 : 50),
    endS: 300,
    changes: [
      [0, 2],
      [2, 4],
      [4, 7],
      [6, 8],
      [122, 7],
      [130, 6],
      [140, 5],
      [150, 4],
      [158, 3],
      [168, 2],
      [178, 1],
    ],
    podSeconds: 1324,
  },
  {
    name: "the same with weighted averages",
    target: 70,
    total: 100,
    aggregation: "weighted-exponential",
    startS: 3,
    before: 50,
    load: (second) => (second >= 0 && second < 120 ? 500 : 50),
    endS: 300,
    changes: [
      [0, 6],
      [2, 8],
      [120, 6],
      [122, 5],
      [124, 3],
      [128, 2],
      [134, 1],
    ],
    podSeconds: 1168,
  },
  {
    name: "a spike of three seconds",
    target: 70,
    total: 100,
    startS: 3,
    before: 50,
    load: (second) => (second >= 0 && second < 3 ? 500 : 50),
    endS: 150,
    changes: [
      [0, 2],
      [2, 4],
      [66, 2],
      [68, 1],
    ],
    podSeconds: 346,
  },
  {
    name: "a hundred requests on a revision at zero, by Knative's own timing",
    target: 7,
    total: 10,
    startS: 2,
    before: 0,
    load: (second) => (second === 0 ? 1 : second < 60 ? 100 : 0),
    poked: true,
    endS: 180,
    changes: [
      [0, 1],
      [1, 8],
      [3, 11],
      [5, 12],
      [7, 15],
      [63, 14],
      [65, 13],
      [69, 12],
      [73, 11],
      [77, 10],
      [83, 9],
      [87, 8],
      [91, 7],
      [95, 6],
      [99, 5],
      [103, 4],
      [107, 3],
      [111, 2],
      [115, 1],
      [119, 0],
    ],
  },
];

for (const loop of loops)
  test(`closed loop: ${loop.name}`, (t) => {
    const spec: DeciderSpec = {
      target: loop.target,
      total: loop.total,
      targetBurstCapacity: 211,
      maxScaleUpRate: 1000,
      maxScaleDownRate: 2,
      panicThreshold: 2,
      stableWindowMs: 60_000,
      activationScale: 0,
      scaleDownDelayMs: 0,
      reachable: true,
    };
    const aggregation = loop.aggregation ?? "linear";
    const stable = new TimeWindow(60_000, aggregation);
    const panic = new TimeWindow(6000, aggregation);
    const t0 = 1_700_000_000_000;
    let state = initialState(loop.before > 0 ? 1 : 0, t0 - 120_000);
    let desired = loop.before > 0 ? 1 : 0;
    let ready = desired;
    const starting: { atS: number; pods: number }[] = [];
    const changes: [number, number][] = [];
    let podSeconds = 0;
    for (let second = loop.poked === true ? 0 : -120; second < loop.endS; second++) {
      const nowMs = t0 + second * 1000;
      for (const window of [stable, panic]) window.record(nowMs, loop.load(second));
      for (const { atS, pods } of starting) if (atS <= second) ready = Math.max(ready, Math.min(pods, desired));
      const ticks = loop.poked === true ? second === 0 || second % 2 === 1 : second % 2 === 0;
      if (ticks) {
        const seen = { stable: stable.average(nowMs), panic: panic.average(nowMs), readyPods: ready };
        const decision = decide(spec, seen, state, nowMs);
        state = decision.state;
        if (decision.desiredPods !== desired) changes.push([second, decision.desiredPods]);
        if (decision.desiredPods > ready) starting.push({ atS: second + loop.startS, pods: decision.desiredPods });
        ready = Math.min(ready, decision.desiredPods);
        desired = decision.desiredPods;
      }
      if (second >= 0) podSeconds += Math.max(ready, desired);
    }
    t.same(
      changes.filter(([second]) => second >= 0),
      loop.changes,
      "decisions",
    );
    if (loop.podSeconds !== undefined) t.equal(podSeconds, loop.podSeconds, "pod-seconds");
    t.end();
  });
