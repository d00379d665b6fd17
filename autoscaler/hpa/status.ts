/** The status of a PodAutoscaler of the hpa class (spec: autoscaling 5.1, 5.3). Pure. */
import type { RevisionScaling } from "../../api/autoscaling-annotations.ts";
import type { PodAutoscaler } from "../../api/autoscaling.ts";
import { conditionOf, Conditions, podAutoscalerConditions } from "../../api/conditions.ts";
import type { Deployment } from "../../api/core.ts";
import type { HorizontalPodAutoscaler } from "../../api/horizontal-pod-autoscaler.ts";
import type { ServerlessService } from "../../api/networking.ts";
import { activeThreshold } from "../scale-to-zero.ts";
import { isReachable } from "../status.ts";

type Status = NonNullable<PodAutoscaler["status"]>;

export interface HpaStatusInput {
  pa: PodAutoscaler;
  scaling: RevisionScaling;
  sks: ServerlessService;
  hpa: HorizontalPodAutoscaler;
  /** The scale target; undefined when it is not known. */
  deployment: Deployment | undefined;
}

/** A child that is not there as it should be: the reason and message of condition Active. */
export interface ChildProblem {
  reason: "NotOwned" | "FailedCreate";
  kind: string;
  name: string;
}

export function hpaStatus({ pa, scaling, sks, hpa, deployment }: HpaStatusInput, nowMs: number): Status {
  const conditions = new Conditions(podAutoscalerConditions, pa.status?.conditions, nowMs);
  const { desired, actual } = observedScale(hpa, deployment);
  // Never at zero, so never inactive.
  conditions.markTrue("Active");
  if (conditionOf(sks, "Ready")?.status !== "True")
    conditions.markUnknown("SKSReady", "NotReady", "SKS Services are not ready yet");
  else {
    conditions.markTrue("SKSReady");
    // Once reached it stays, whatever happens later.
    if (actual >= activeThreshold(scaling, isReachable(pa), false)) conditions.markTrue("ScaleTargetInitialized");
  }
  return {
    ...observed(pa, conditions),
    serviceName: sks.status?.serviceName ?? "",
    metricsServiceName: sks.status?.privateServiceName ?? "",
    desiredScale: desired,
    actualScale: actual,
  };
}

export function childProblemStatus(pa: PodAutoscaler, problem: ChildProblem, nowMs: number): Status {
  const conditions = new Conditions(podAutoscalerConditions, pa.status?.conditions, nowMs);
  conditions.markFalse("Active", problem.reason, problemMessage(problem));
  return observed(pa, conditions);
}

export function problemMessage({ reason, kind, name }: ChildProblem): string {
  const named = `${kind} ${JSON.stringify(name)}`;
  return reason === "NotOwned" ? `There is an existing ${named} that we do not own.` : `Failed to create ${named}.`;
}

function observed(pa: PodAutoscaler, conditions: Conditions): Status {
  const { generation } = pa.metadata;
  return {
    ...pa.status,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    conditions: conditions.list(),
  };
}

/**
 * Kubernetes looks at a new HorizontalPodAutoscaler up to 15 s after it was made, and a cluster without that controller
 * never does. Until then the Deployment itself says how far it is.
 */
function observedScale(
  { status }: HorizontalPodAutoscaler,
  deployment: Deployment | undefined,
): { desired: number; actual: number } {
  const { desiredReplicas = 0, currentReplicas = 0 } = status ?? {};
  const hasSpoken = desiredReplicas > 0 || currentReplicas > 0 || (status?.conditions ?? []).length > 0;
  if (hasSpoken || deployment === undefined) return { desired: desiredReplicas, actual: currentReplicas };
  return { desired: deployment.spec.replicas ?? 1, actual: deployment.status?.readyReplicas ?? 0 };
}
