/** The status of a Metric (spec: autoscaling 5.1): whether the loads of a revision are known. */
import type { Metric } from "../api/autoscaling.ts";
import { Conditions, metricConditions } from "../api/conditions.ts";
import type { MetricFailure } from "./upstream/scrape.ts";

/** Loads that are pushed cannot fail to be collected; those that are asked for can: then `failure` says why. */
export function metricStatus(
  { metadata, status }: Metric,
  failure: MetricFailure | undefined,
  nowMs: number,
): NonNullable<Metric["status"]> {
  const conditions = new Conditions(metricConditions, status?.conditions, nowMs);
  if (failure === undefined) conditions.markTrue("Ready");
  else if (failure.reason === "NoEndpoints") conditions.markUnknown("Ready", failure.reason, failure.message);
  else conditions.markFalse("Ready", failure.reason, failure.message);
  return {
    ...status,
    conditions: conditions.list(),
    ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
  };
}
