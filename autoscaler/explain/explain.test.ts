import { test } from "tap";
import { decide, initialState, type DeciderSpec, type Observation } from "../decide.ts";
import { decisionOf } from "../decide-smooth.ts";
import type { DecisionRecord } from "../decision-log.ts";
import { explained, type Explained } from "./explained.ts";
import { report } from "./report.ts";
import { sentence, whatIfSentence } from "./sentence.ts";
import { whatIf } from "./what-if.ts";

const t0 = Date.UTC(2026, 0, 2, 12, 3, 0);
const clock = (ms: number): string => new Date(ms).toISOString().slice(11, 19);

const defaults: DeciderSpec = {
  target: 7,
  total: 10,
  targetBurstCapacity: 211,
  maxScaleUpRate: 1000,
  maxScaleDownRate: 2,
  panicThreshold: 2,
  stableWindowMs: 60_000,
  activationScale: 0,
  scaleDownDelayMs: 0,
  reachable: true,
};

interface Scene {
  spec?: Partial<DeciderSpec>;
  /** Earlier decisions, 2 s apart, then the one that is explained. */
  seen: [Observation, ...Observation[]];
  more?: Partial<DecisionRecord>;
}

/** The record of the last decision. */
function record({ spec: changed, seen, more }: Scene): Explained {
  const spec = { ...defaults, ...changed };
  let state = initialState(0, t0);
  let fromPods = -1;
  for (const [index, observation] of seen.entries()) {
    const atMs = t0 + index * 2000;
    const given = { mode: "exact", spec, seen: observation, state } as const;
    const decision = decide(spec, observation, state, atMs);
    const { stable, panic, readyPods } = observation;
    if (index === seen.length - 1)
      return explained({
        atMs,
        sinceMs: atMs,
        times: 1,
        cause: "tick",
        inputs: {
          metric: "concurrency",
          stable,
          panic,
          inFlight: panic,
          held: 0,
          readyPods,
          target: spec.target,
          total: spec.total,
        },
        windows: { stableMs: 60_000, panicMs: 6000 },
        given,
        decidedPods: decision.desiredPods,
        terms: decision.terms,
        panicking: decision.state.mode.is === "panic",
        ...(decision.state.mode.is === "panic" ? { panickingSinceMs: t0 } : {}),
        fromPods,
        desiredPods: decision.desiredPods,
        excessBurstCapacity: decision.excessBurstCapacity,
        because: "",
        bounds: { min: 0, max: 0 },
        ...more,
      });
    state = decision.state;
    fromPods = decision.desiredPods;
  }
  throw new Error("not reached");
}

const of = (readyPods: number, stable: number, panic = stable): Observation => ({ readyPods, stable, panic });

test("a decision as a sentence", (t) => {
  const rows: { scene: Scene; want: string }[] = [
    {
      scene: { seen: [of(3, 20), of(3, 30, 61)], more: { bounds: { min: 0, max: 8 } } },
      want:
        "12:03:02 wanted 9 pods, up from 3: 61 requests in flight on average over the last 6 s against 7 per pod " +
        "(target 10 × 70 %), panicking since 12:03:00 (3 pods ready, 9 pods asked for; the threshold is 200 % of 3); " +
        "held by max-scale 8",
    },
    {
      scene: { seen: [of(3, 20), of(3, 30, 61), of(9, 25.04, 20)] },
      want:
        "12:03:04 wanted 9 pods, as before: 25.0 requests in flight on average over the last 60 s against 7 per pod " +
        "(target 10 × 70 %), panicking since 12:03:00, until 12:04:02 if it does not surge again; " +
        "held at the peak of 9 by panic",
    },
    {
      scene: { seen: [of(20, 140), of(20, 10)] },
      want:
        "12:03:02 wanted 10 pods, down from 20: 10 requests in flight on average over the last 60 s against 7 per pod " +
        "(target 10 × 70 %); held at 10 by max-scale-down-rate 2",
    },
    { scene: { seen: [of(1, 0)] }, want: "12:03:00 wanted 0 pods, the first decision: no load over the last 60 s" },
    {
      scene: { seen: [of(1, 0), of(1, 7.5)], more: { cause: "load", reactionMs: 104.4 } },
      want:
        "12:03:02 wanted 2 pods, up from 0: 7.5 requests in flight on average over the last 60 s against 7 per pod " +
        "(target 10 × 70 %), panicking since 12:03:00 (1 pod ready, 2 pods asked for; the threshold is 200 % of 1); " +
        "decided 104 ms after the load was seen; looked at because the load rose",
    },
    {
      scene: { seen: [of(1, 0)], more: { bounds: { min: 2, max: 0 } } },
      want: "12:03:00 wanted 0 pods, the first decision: no load over the last 60 s; raised to 2 by min-scale 2",
    },
    {
      scene: { spec: { scaleDownDelayMs: 10_000 }, seen: [of(5, 30), of(5, 10)] },
      want:
        "12:03:02 wanted 5 pods, as before: 10 requests in flight on average over the last 60 s against 7 per pod " +
        "(target 10 × 70 %); held at 5 by scale-down-delay 10 s",
    },
    {
      scene: { spec: { activationScale: 5 }, seen: [of(0, 1)] },
      want:
        "12:03:00 wanted 5 pods, the first decision: 1 request in flight on average over the last 60 s " +
        "against 7 per pod (target 10 × 70 %); raised to 5 by activation-scale",
    },
    {
      scene: { spec: { maxScaleUpRate: 2 }, seen: [of(2, 100)] },
      want:
        "12:03:00 wanted 4 pods, the first decision: 100 requests in flight on average over the last 60 s against " +
        "7 per pod (target 10 × 70 %), panicking since 12:03:00 (2 pods ready, 15 pods asked for; the threshold is " +
        "200 % of 2); held at 4 by max-scale-up-rate 2 over the ready pods",
    },
  ];
  for (const { scene, want } of rows) t.equal(sentence(record(scene), clock), want);
  t.end();
});

test("what a request more or less would have changed", (t) => {
  const quiet = record({ seen: [of(3, 20), of(3, 20)] });
  const found = whatIf(quiet)!;
  t.match(found.podMore, { load: 7, pods: 4, panicking: false });
  t.match(found.podLess, { load: -7, pods: 2 });
  t.match(found.rise, { pods: 4 });
  t.ok(Math.abs(found.rise!.load - 1) < 1e-5, "21 are still 3 pods");
  t.match(found.fall, { pods: 2 });
  t.ok(Math.abs(found.fall!.load + 6) < 1e-5, "14 are 2 pods");
  t.equal(whatIfSentence(quiet), "1.0 more requests in flight and it is 4 pods; 6.0 fewer and it is 2 pods");

  const pinned = record({ seen: [of(3, 20), of(3, 30, 61), of(9, 20)] });
  t.equal(whatIf(pinned)!.fall, undefined, "in panic nothing lowers it");
  t.equal(whatIfSentence(record({ seen: [of(1, 0)] })), "any load more and it is 1 pod");
  const limited = record({ spec: { maxScaleUpRate: 2 }, seen: [of(2, 100)] });
  t.equal(whatIf(limited)!.rise, undefined, "at the rate's ceiling nothing raises it");
  t.end();
});

test("the smallest change is the smallest, in both modes", (t) => {
  for (const mode of ["exact", "smooth"] as const)
    for (const load of [0.5, 6.9, 7, 13.1, 69.9, 140.2]) {
      const { given, ...rest } = record({ seen: [of(3, load)] });
      const other = { ...rest, given: { ...given!, mode } };
      const now = decisionOf[mode](given!.spec, given!.seen, given!.state, rest.atMs).desiredPods;
      const { rise } = whatIf(other)!;
      const at = (more: number): number =>
        decisionOf[mode](given!.spec, of(3, load + more), given!.state, rest.atMs).desiredPods;
      t.ok(at(rise!.load) > now, `${mode} ${load}: ${rise!.load} more raises it`);
      t.equal(at(rise!.load - 2e-6), now, "a little less does not");
    }
  t.end();
});

test("a report has a sentence and a line for each decision, and what became of the newest", (t) => {
  const text = report(
    {
      namespace: "default",
      revision: "hello-00001",
      records: [
        record({ seen: [of(3, 20)] }),
        record({
          seen: [of(1, 0)],
          more: { applied: { atMs: t0 + 500, replicas: 0, because: "within the grace period" } },
        }),
      ],
    },
    clock,
  );
  t.match(text, /^default\/hello-00001\n {2}12:03:00 wanted 3 pods/);
  t.match(text, "applied 12:03:00: replicas 0 (within the grace period)");
  t.equal(text.split("\n").filter((line) => line.includes("12:03:00  tick")).length, 2);
  t.match(report({ namespace: "a", revision: "b", records: undefined }, clock), "no autoscaler decides");
  t.end();
});
