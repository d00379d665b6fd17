/** The status of a PodAutoscaler of the kpa class (spec: autoscaling 5.1). Pure. */
import type { RevisionScaling } from "../api/autoscaling-annotations.ts";
import type { PodAutoscaler } from "../api/autoscaling.ts";
import { conditionOf, Conditions, podAutoscalerConditions } from "../api/conditions.ts";
import type { ServerlessService } from "../api/networking.ts";
import { activeThreshold, unknownScale, type Activity } from "./scale-to-zero.ts";

const noTraffic = "The target is not receiving traffic.";
const queued = "Requests to the target are being buffered as resources are provisioned.";
const timedOut = "The target could not be activated.";

export interface StatusInput {
  pa: PodAutoscaler;
  /** Undefined while it is to be made. */
  sks: ServerlessService | undefined;
  scaling: RevisionScaling;
  /** What is wanted now; -1 = unknown. */
  want: number;
  ready: number;
}

export function isReachable(pa: PodAutoscaler): boolean {
  return pa.spec.reachability !== "Unreachable";
}

export function isInitialized(pa: PodAutoscaler): boolean {
  return conditionOf(pa, "ScaleTargetInitialized")?.status === "True";
}

/** A PodAutoscaler without conditions is being activated since it was made. */
export function activityOf(pa: PodAutoscaler): Activity {
  const condition = conditionOf(pa, "Active");
  const since = Date.parse(condition?.lastTransitionTime ?? pa.metadata.creationTimestamp ?? "");
  const sinceMs = Number.isNaN(since) ? 0 : since;
  const is = condition?.status === "True" ? "active" : condition?.status === "False" ? "inactive" : "activating";
  return { is, sinceMs };
}

export function podAutoscalerStatus(input: StatusInput, nowMs: number): NonNullable<PodAutoscaler["status"]> {
  const { pa, sks, scaling, want, ready } = input;
  const conditions = new Conditions(podAutoscalerConditions, pa.status?.conditions, nowMs);
  const privateServiceName = sks?.status?.privateServiceName ?? "";
  const serviceName = sks?.status?.serviceName ?? pa.status?.serviceName;

  if (sks === undefined || privateServiceName === "")
    conditions.markUnknown("SKSReady", "NotReady", "No Private Service Name");
  // Whatever generation it speaks of: we change the way in at any time, and that makes no backend unready.
  else if (conditionOf(sks, "Ready")?.status === "True") conditions.markTrue("SKSReady");
  else conditions.markUnknown("SKSReady", "NotReady", conditionOf(sks, "Ready")?.message ?? "");

  const reachable = isReachable(pa);
  const threshold = activeThreshold(scaling, reachable, isInitialized(pa));
  markActive(conditions, want, ready, threshold);
  // Once reached it stays, whatever happens later.
  if (
    !conditions.is("ScaleTargetInitialized", "True") &&
    serviceName !== undefined &&
    serviceName !== "" &&
    ready >= threshold
  )
    conditions.markTrue("ScaleTargetInitialized");

  const known = pa.status?.desiredScale;
  // A decision that is not known yet never replaces one that was.
  const desiredScale = want >= 0 || known === undefined ? want : known;
  return {
    ...pa.status,
    ...(pa.metadata.generation === undefined ? {} : { observedGeneration: pa.metadata.generation }),
    conditions: conditions.list(),
    ...(serviceName === undefined || serviceName === "" ? {} : { serviceName }),
    ...(privateServiceName === "" ? {} : { metricsServiceName: privateServiceName }),
    desiredScale,
    actualScale: ready,
  };
}

function markActive(conditions: Conditions, want: number, ready: number, threshold: number): void {
  const inactive = conditions.is("Active", "False");
  if (want === 0 || threshold === 0) {
    // While activating, zero is only wanted when that took too long.
    const gaveUp = conditions.is("Active", "Unknown") && threshold > 0;
    if (gaveUp) conditions.markFalse("Active", "TimedOut", timedOut);
    else if (!inactive) conditions.markFalse("Active", "NoTraffic", noTraffic);
    return;
  }
  // Nothing is known of what is wanted (want is unknownScale) or something is: an idle target stays idle till then.
  if (want === unknownScale && inactive) return;
  if (ready < threshold) conditions.markUnknown("Active", "Queued", queued);
  else conditions.markTrue("Active");
}
