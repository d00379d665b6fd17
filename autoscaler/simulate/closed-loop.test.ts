/** The simulator with a given load and Knative's own timing: the closed-loop vectors of spec: autoscaling 3.9. */
import { test } from "tap";
import { revisionScaling } from "../../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import { simulate } from "./simulation.ts";

interface Loop {
  name: string;
  annotations?: Record<string, string>;
  containerConcurrency?: number;
  startS: number;
  /** When the clock begins to run, minutes before 0 s. */
  startPods: number;
  load: (second: number) => number;
  /** From zero: the first request is decided on at once, and the ticks are at odd seconds. */
  poked?: boolean;
  endS: number;
  /** Second → the new decision. */
  changes?: [number, number][];
  podSeconds?: number;
  also?: (changes: [number, number][], ready: Uint32Array) => [unknown, unknown, string][];
}

const step = (second: number): number => (second >= 0 && second < 120 ? 500 : 50);
const fewAtATime: Record<string, string> = { target: "1", "target-utilization-percentage": "100" };

const loops: Loop[] = [
  {
    name: "A: a step to ten times the load and back",
    startS: 3,
    startPods: 1,
    load: step,
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
    name: "A2: the same with weighted averages",
    annotations: { "metric-aggregation-algorithm": "weighted-exponential" },
    startS: 3,
    startPods: 1,
    load: step,
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
    name: "B: a spike of three seconds",
    startS: 3,
    startPods: 1,
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
    name: "C: a hundred requests on a revision at zero",
    containerConcurrency: 10,
    startS: 2,
    // Gone to zero by the time of the first request.
    startPods: 1,
    load: (second) => (second < 0 ? 0 : second === 0 ? 1 : second < 60 ? 100 : 0),
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
    podSeconds: 1316,
  },
  {
    name: "C2: one request in flight for a minute, one at a time",
    containerConcurrency: 1,
    startS: 2,
    // Gone to zero by the time of the first request.
    startPods: 1,
    load: (second) => (second >= 0 && second < 60 ? 1 : 0),
    poked: true,
    endS: 180,
    changes: [
      [0, 2],
      [77, 1],
      [119, 0],
    ],
    podSeconds: 198,
  },
  {
    name: "D: ten at once for a second every half minute",
    annotations: fewAtATime,
    startS: 2,
    startPods: 1,
    load: (second) => (((second % 30) + 30) % 30 === 0 ? 10 : 0),
    endS: 600,
    also: (_changes, ready) => {
      const most = Math.max(...ready);
      const two = ready.filter((pods) => pods === 2).length / ready.length;
      return [
        [most, 2, "never more than two pods"],
        [two > 0.75, true, `two of them most of the time (${two})`],
      ];
    },
  },
  {
    name: "E: a ramp of one more each second",
    startS: 3,
    startPods: 1,
    load: (second) => 50 + Math.max(0, second),
    endS: 300,
    also: (changes) => {
      const loadAt = (pods: number): number => 50 + changes.find(([, desired]) => desired === pods)![0];
      return [[[2, 3, 4, 5].map(loadAt), [74, 170, 240, 310], "the load at which each further pod is asked for"]];
    },
  },
  {
    name: "F: nothing any more",
    startS: 3,
    startPods: 1,
    load: (second) => (second < 0 ? 50 : 0),
    endS: 120,
    changes: [[60, 0]],
  },
];

// Here a second counts when it has ended, in the vectors while it lasts: every tick but the poke is a second later.
const laterS = 1;

for (const loop of loops)
  test(loop.name, (t) => {
    const { annotations = {}, containerConcurrency = 0, poked = false } = loop;
    const named = Object.entries(annotations).map(([key, value]) => [`autoscaling.knative.dev/${key}`, value]);
    // The walk to zero takes no time in the vectors.
    const config = parseAutoscalerConfig({ "event-evaluations": "disabled", "scale-to-zero-grace-period": "1ms" });
    const run = simulate({
      scaling: revisionScaling(Object.fromEntries(named), config, containerConcurrency),
      config,
      containerConcurrency,
      demand: { is: "given", load: loop.load, endS: loop.endS + laterS },
      startPods: loop.startPods,
      podStartMs: loop.startS * 1000,
      podStartSigma: 0,
      writeMs: 0,
      seed: 1,
      // Ticks follow each other from the start, at odd seconds here; after sleep, from the request that ends it.
      warmUpS: poked ? 200 : 121,
    });
    const changes = run.decisions
      .filter(({ atMs }) => atMs >= 0)
      .map(({ atMs, pods }): [number, number] => [poked && atMs === 0 ? 0 : atMs / 1000 - laterS, pods]);
    if (loop.changes !== undefined) t.same(changes, loop.changes, "decisions");
    const { desired, ready } = run.series;
    if (loop.podSeconds !== undefined) {
      let podSeconds = 0;
      for (let second = poked ? 0 : laterS; second < desired.length; second++)
        podSeconds += Math.max(desired[second]!, ready[second]!);
      t.equal(podSeconds, loop.podSeconds, "pod-seconds");
    }
    for (const [found, want, name] of loop.also?.(changes, ready) ?? []) t.same(found, want, name);
    t.end();
  });
