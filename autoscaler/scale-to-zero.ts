/**
 * From a decision to replicas: the revision's bounds, and the walk to zero with the activator taking over first (spec:
 * autoscaling 3.6, 3.7, 4.1). Pure: what has to be found out or done is in the answer.
 */
import type { RevisionScaling } from "../api/autoscaling-annotations.ts";

/** The PodAutoscaler's condition Active: True, Unknown, False, and since when. */
export interface Activity {
  is: "active" | "activating" | "inactive";
  sinceMs: number;
}

export interface ScaleObservation {
  /** The decision; -1 while there is none. */
  want: number;
  /** The Deployment's `spec.replicas`. */
  replicas: number;
  activity: Activity;
  reachable: boolean;
  /** ScaleTargetInitialized is True. */
  initialized: boolean;
  /** Longest time from the first replica wanted to the first one ready. */
  activationTimeoutMs: number;
  mode: "Serve" | "Proxy";
  /** Since when the ServerlessService says that the public endpoints are activators; undefined if they are not. */
  proxiedSinceMs: number | undefined;
  /** Whether the public endpoints answered as an activator just now. */
  probe: "not-run" | "passed" | "failed";
}

export interface ScaleToZeroConfig {
  enableScaleToZero: boolean;
  scaleToZeroGracePeriodMs: number;
}

export interface ScaleOutcome {
  /** What is wanted now: the basis of mode and conditions; -1 = unknown. */
  scale: number;
  /** Replicas to write; undefined when nothing is to change. */
  write?: number;
  /** Look again after this time, at the latest. */
  againMs?: number;
  /** Run the probe of the public endpoints, and ask again with its result. */
  probe?: true;
  /** For people: which rule decided. */
  because: string;
}

export const unknownScale = -1;
/** A probe that failed is repeated after this. */
const probeAgainMs = 1000;
/** When the public endpoints are activators already, they are looked at again soon after the revision turned inactive. */
const proxiedAgainMs = 3000;

export interface ScaleBounds {
  min: number;
  /** 0 = no limit. */
  max: number;
}

/** Nothing holds an unreachable revision up. */
export function scaleBounds(scaling: Pick<RevisionScaling, "minScale" | "maxScale">, reachable: boolean): ScaleBounds {
  return { min: reachable ? scaling.minScale : 0, max: scaling.maxScale };
}

/** Ready pods from which the PodAutoscaler is active. */
export function activeThreshold(
  scaling: Pick<RevisionScaling, "minScale" | "maxScale" | "initialScale">,
  reachable: boolean,
  initialized: boolean,
): number {
  const { min } = scaleBounds(scaling, reachable);
  return initialized ? Math.max(min, 1) : Math.max(min, scaling.initialScale);
}

export function scaleOutcome(
  scaling: RevisionScaling,
  config: ScaleToZeroConfig,
  seen: ScaleObservation,
  nowMs: number,
): ScaleOutcome {
  if (seen.want < 0 && seen.activity.is !== "activating")
    return { scale: unknownScale, because: "no decision yet: replicas stay" };

  const { min, max } = scaleBounds(scaling, seen.reachable);
  const starting = scaling.initialScale > 1 && !seen.initialized && seen.reachable;
  const floor = starting ? Math.max(min, scaling.initialScale) : min;
  const clamped = max > 0 && seen.want > max ? max : Math.max(seen.want, floor);
  if (clamped > 0) return applied(clamped, seen, clamped === seen.want ? "as decided" : "held by the bounds");
  return towardsZero(scaling, config, seen, nowMs);
}

function applied(scale: number, seen: ScaleObservation, because: string, againMs?: number): ScaleOutcome {
  return {
    scale,
    because,
    ...(scale === seen.replicas ? {} : { write: scale }),
    ...(againMs === undefined ? {} : { againMs }),
  };
}

function towardsZero(
  scaling: RevisionScaling,
  config: ScaleToZeroConfig,
  seen: ScaleObservation,
  nowMs: number,
): ScaleOutcome {
  if (!config.enableScaleToZero) return applied(1, seen, "scale to zero is disabled");
  const { activity } = seen;
  const forMs = nowMs - activity.sinceMs;

  if (activity.is === "inactive") return fromInactive(scaling, config, seen, forMs, nowMs);
  if (activity.is === "activating") {
    if (forMs > seen.activationTimeoutMs) return applied(0, seen, "could not be activated in time");
    // One more millisecond: the rule is "longer than".
    const againMs = seen.activationTimeoutMs - forMs + 1;
    return { scale: unknownScale, againMs, because: "still being activated" };
  }
  if (forMs < scaling.stableWindowMs)
    return applied(1, seen, "active for less than the stable window", scaling.stableWindowMs - forMs);
  return {
    scale: 0,
    because: "idle: turns inactive",
    ...(seen.mode === "Proxy" ? { againMs: proxiedAgainMs } : {}),
  };
}

function fromInactive(
  scaling: RevisionScaling,
  config: ScaleToZeroConfig,
  seen: ScaleObservation,
  inactiveMs: number,
  nowMs: number,
): ScaleOutcome {
  if (seen.replicas === 0) return { scale: 0, because: "at zero" };
  // With a capacity of -1 the activator never left the path.
  if (scaling.targetBurstCapacity !== -1) {
    if (seen.probe === "not-run")
      return { scale: 0, probe: true, because: "asks whether the activator is in the path" };
    if (seen.probe === "failed")
      return { scale: 0, againMs: probeAgainMs, because: "the activator is not in the path yet" };
  }
  const graceMs = config.scaleToZeroGracePeriodMs;
  const retentionMs = seen.reachable ? scaling.retentionMs : 0;
  if (inactiveMs >= Math.max(graceMs, retentionMs)) return applied(0, seen, "inactive for grace and retention period");
  if (retentionMs > 0 && inactiveMs < retentionMs)
    return { scale: 0, againMs: retentionMs - inactiveMs, because: "within the retention period" };
  const proxiedMs = seen.proxiedSinceMs === undefined ? 0 : nowMs - seen.proxiedSinceMs;
  if (seen.proxiedSinceMs !== undefined && proxiedMs >= graceMs)
    return applied(0, seen, "the activator has been in the path for the grace period");
  return { scale: 0, againMs: graceMs - proxiedMs, because: "within the grace period" };
}
