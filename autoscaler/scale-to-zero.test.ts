import { test } from "tap";
import { revisionScaling } from "../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../api/autoscaling-config.ts";
import { activeThreshold, scaleOutcome, type Activity, type ScaleObservation } from "./scale-to-zero.ts";

const second = 1000;
const now = 1_700_000_000_000;
const window = 60 * second;
const grace = 60 * second;
const timeout = 630 * second;

const active = (forMs: number): Activity => ({ is: "active", sinceMs: now - forMs });
const inactive = (forMs: number): Activity => ({ is: "inactive", sinceMs: now - forMs });
const activating = (forMs: number): Activity => ({ is: "activating", sinceMs: now - forMs });

interface Row {
  name: string;
  replicas: number;
  want: number;
  activity: Activity;
  annotations?: Record<string, string>;
  config?: Record<string, string>;
  seen?: Partial<ScaleObservation>;
  /** scale, replicas written, looked at again. */
  result: [number, number | undefined, boolean];
  probe?: true;
}

const rows: Row[] = [
  {
    name: "keeps the last pod while active for less than the window",
    replicas: 1,
    want: 0,
    activity: active(window - second),
    result: [1, undefined, true],
  },
  {
    name: "goes down to one pod while active for less than the window",
    replicas: 10,
    want: 0,
    activity: active(window - second),
    result: [1, 1, true],
  },
  {
    name: "turns inactive after the window",
    replicas: 1,
    want: 0,
    activity: active(window),
    seen: { mode: "Serve" },
    result: [0, undefined, false],
  },
  {
    name: "turns inactive after the window, and looks again if proxied already",
    replicas: 1,
    want: 0,
    activity: active(window),
    result: [0, undefined, true],
  },
  {
    name: "waits for a retention period longer than the grace period",
    replicas: 1,
    want: 0,
    activity: inactive(grace),
    annotations: { "scale-to-zero-pod-retention-period": "120s" },
    result: [0, undefined, true],
  },
  {
    name: "goes when the retention period is over",
    replicas: 1,
    want: 0,
    activity: inactive(grace),
    annotations: { "scale-to-zero-pod-retention-period": "60s" },
    result: [0, 0, false],
  },
  {
    name: "waits while proxied for less than the grace period",
    replicas: 1,
    want: 0,
    activity: inactive(grace - second),
    seen: { proxiedSinceMs: now - grace + second },
    result: [0, undefined, true],
  },
  {
    name: "goes when proxied for the grace period",
    replicas: 1,
    want: 0,
    activity: inactive(grace - second),
    seen: { proxiedSinceMs: now - grace },
    result: [0, 0, false],
  },
  {
    name: "goes when proxied for the grace period and past the retention period",
    replicas: 1,
    want: 0,
    activity: inactive(grace - second),
    annotations: { "scale-to-zero-pod-retention-period": "42s" },
    seen: { proxiedSinceMs: now - grace },
    result: [0, 0, false],
  },
  {
    name: "stays when the activator does not answer",
    replicas: 1,
    want: 0,
    activity: inactive(grace),
    seen: { probe: "failed" },
    result: [0, undefined, true],
  },
  {
    name: "asks for the probe first",
    replicas: 1,
    want: 0,
    activity: inactive(grace),
    seen: { probe: "not-run" },
    result: [0, undefined, false],
    probe: true,
  },
  {
    name: "needs no probe with unlimited burst capacity",
    replicas: 1,
    want: 0,
    activity: inactive(grace),
    annotations: { "target-burst-capacity": "-1" },
    seen: { probe: "not-run" },
    result: [0, 0, false],
  },
  {
    name: "retains nothing of an unreachable revision",
    replicas: 1,
    want: 0,
    activity: inactive(grace),
    annotations: { "scale-to-zero-pod-retention-period": "600s" },
    seen: { reachable: false },
    result: [0, 0, false],
  },
  {
    name: "waits for a pod that is being activated",
    replicas: 1,
    want: 0,
    activity: activating(timeout / 2),
    result: [-1, undefined, true],
  },
  {
    name: "gives up on a pod that could not be activated",
    replicas: 1,
    want: 0,
    activity: activating(timeout + second),
    result: [0, 0, false],
  },
  {
    name: "keeps the lower bound",
    replicas: 10,
    want: 0,
    activity: inactive(grace),
    annotations: { "min-scale": "2" },
    result: [2, 2, false],
  },
  {
    name: "drops the lower bound of an unreachable revision",
    replicas: 10,
    want: 0,
    activity: inactive(grace),
    annotations: { "min-scale": "2" },
    seen: { reachable: false },
    result: [0, 0, false],
  },
  {
    name: "keeps the upper bound",
    replicas: 1,
    want: 10,
    activity: active(0),
    annotations: { "max-scale": "8" },
    result: [8, 8, false],
  },
  {
    name: "does nothing at zero without a decision",
    replicas: 0,
    want: -1,
    activity: inactive(grace),
    result: [-1, undefined, false],
  },
  {
    name: "does nothing at twelve without a decision",
    replicas: 12,
    want: -1,
    activity: active(window),
    result: [-1, undefined, false],
  },
  {
    name: "reaches the initial scale first",
    replicas: 0,
    want: 1,
    activity: activating(0),
    annotations: { "initial-scale": "2" },
    seen: { initialized: false },
    result: [2, 2, false],
  },
  {
    name: "does nothing without a decision where scale to zero is disabled",
    replicas: 10,
    want: -1,
    activity: active(0),
    config: { "enable-scale-to-zero": "false" },
    result: [-1, undefined, false],
  },
  {
    name: "keeps one pod where scale to zero is disabled",
    replicas: 10,
    want: 0,
    activity: inactive(grace),
    config: { "enable-scale-to-zero": "false" },
    result: [1, 1, false],
  },
  {
    name: "writes nothing when the replicas are right",
    replicas: 3,
    want: 3,
    activity: active(0),
    result: [3, undefined, false],
  },
];

for (const row of rows)
  test(`scaling ${row.name}`, (t) => {
    const config = parseAutoscalerConfig({ "scale-to-zero-grace-period": "60s", ...row.config });
    const annotations = Object.fromEntries(
      Object.entries(row.annotations ?? {}).map(([key, value]) => [`autoscaling.knative.dev/${key}`, value]),
    );
    const outcome = scaleOutcome(
      revisionScaling(annotations, config, 0),
      config,
      {
        want: row.want,
        replicas: row.replicas,
        activity: row.activity,
        reachable: true,
        initialized: true,
        activationTimeoutMs: timeout,
        mode: "Proxy",
        proxiedSinceMs: undefined,
        probe: "passed",
        ...row.seen,
      },
      now,
    );
    t.same([outcome.scale, outcome.write, outcome.againMs !== undefined], row.result, outcome.because);
    t.equal(outcome.probe, row.probe);
    t.end();
  });

test("ready pods from which a revision is active", (t) => {
  const scaling = { minScale: 0, maxScale: 0, initialScale: 3 };
  t.equal(activeThreshold(scaling, true, false), 3, "the initial scale at first");
  t.equal(activeThreshold(scaling, true, true), 1, "then one");
  t.equal(activeThreshold({ ...scaling, minScale: 5 }, true, true), 5, "or the lower bound");
  t.equal(activeThreshold({ ...scaling, initialScale: 0 }, true, false), 0, "none where it may start at zero");
  t.end();
});
