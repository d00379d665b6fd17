/** What a revision's settings come down to for its decisions. */
import type { RevisionScaling } from "../api/autoscaling-annotations.ts";
import type { DeciderSpec } from "./decide.ts";

export interface ScaledRevision {
  scaling: RevisionScaling;
  reachable: boolean;
  /** The Deployment's `spec.replicas`; 0 while there is none. */
  replicas: number;
  /** The revision is older than our knowledge of its load: what runs stays for a stable window. */
  foundRunning: boolean;
  eventEvaluations: boolean;
}

export function deciderSpec({ scaling, reachable }: ScaledRevision): DeciderSpec {
  return {
    target: scaling.target,
    total: scaling.total,
    targetBurstCapacity: scaling.targetBurstCapacity,
    maxScaleUpRate: scaling.maxScaleUpRate,
    maxScaleDownRate: scaling.maxScaleDownRate,
    panicThreshold: scaling.panicThreshold,
    stableWindowMs: scaling.stableWindowMs,
    activationScale: scaling.activationScale,
    scaleDownDelayMs: scaling.scaleDownDelayMs,
    reachable,
  };
}
