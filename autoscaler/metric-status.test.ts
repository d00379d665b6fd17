import { test } from "tap";
import type { Metric } from "../api/autoscaling.ts";
import { metricStatus } from "./metric-status.ts";
import type { MetricFailure } from "./upstream/scrape.ts";

const nowMs = Date.parse("2026-01-02T03:04:05Z");
const metric = { metadata: { name: "r", namespace: "ns", generation: 2 }, spec: {} } as unknown as Metric;

const cases: [string, MetricFailure | undefined, object][] = [
  ["loads are pushed, or pods answer", undefined, { status: "True" }],
  [
    "nobody stands behind the Service",
    { reason: "NoEndpoints", message: "failed to get endpoints" },
    { status: "Unknown", reason: "NoEndpoints", message: "failed to get endpoints" },
  ],
  [
    "the same pod answers again and again",
    { reason: "DidNotReceiveStat", message: "unsuccessful scrape" },
    { status: "False", reason: "DidNotReceiveStat" },
  ],
  [
    "too few pods answer",
    { reason: "CollectionFailed", message: "Failed to reconcile metric collection: pods exhausted" },
    { status: "False", reason: "CollectionFailed", message: "Failed to reconcile metric collection: pods exhausted" },
  ],
];
for (const [name, failure, want] of cases)
  test(`the condition of a Metric when ${name}`, (t) => {
    const status = metricStatus(metric, failure, nowMs);
    t.match(status, { observedGeneration: 2, conditions: [{ type: "Ready", ...want }] });
    t.end();
  });

test("it recovers", (t) => {
  const failed = metricStatus(metric, { reason: "CollectionFailed", message: "x" }, nowMs);
  const [ready] = metricStatus({ ...metric, status: failed }, undefined, nowMs + 1000).conditions ?? [];
  t.strictSame(ready, { type: "Ready", status: "True", lastTransitionTime: "2026-01-02T03:04:06Z" });
  t.end();
});
