/**
 * Scaling one revision: what is seen of it, what follows (`scale-to-zero.ts`), and the effects. More pods are written
 * the moment they are decided; fewer after a second look, and after Kubernetes was told which of them to give up.
 */
import type { AutoscalerConfig } from "../api/autoscaling-config.ts";
import { revisionScaling, type RevisionScaling } from "../api/autoscaling-annotations.ts";
import type { PodAutoscaler } from "../api/autoscaling.ts";
import { conditionOf } from "../api/conditions.ts";
import type { Deployment, Pod } from "../api/core.ts";
import { parseDuration } from "../api/duration.ts";
import { annotation } from "../api/keys.ts";
import { keyOf } from "../api/meta.ts";
import type { ServerlessService } from "../api/networking.ts";
import type { Lister } from "../kube/informer.ts";
import { TerminalError } from "../kube/reconciler.ts";
import { costChanges, podDeletionCost, type CostChange } from "./deletion-cost.ts";
import type { MultiScaler } from "./multi-scaler.ts";
import { scaleOutcome, unknownScale, type ScaleObservation, type ScaleOutcome } from "./scale-to-zero.ts";
import type { Scaler } from "./scaler.ts";
import { activityOf, isInitialized, isReachable } from "./status.ts";

export interface RevisionScalingDeps {
  podAutoscalers: Lister<PodAutoscaler>;
  serverlessServices: Lister<ServerlessService>;
  deployments: Lister<Deployment>;
  multiScaler: Pick<MultiScaler, "get" | "applied">;
  scaler: Scaler;
  /** The pods of a revision, and what each works on. */
  pods: (key: string) => readonly Pod[];
  inFlight: (key: string, pod: Pod) => number;
  config: () => AutoscalerConfig;
  /** config-deployment. */
  progressDeadlineMs: () => number;
  nowMs: () => number;
}

/** Longer than the Deployment's own deadline, so that its verdict comes first. */
const activationSlackMs = 30_000;
/** Pods whose deletion cost is written for one step down. */
const costWrites = 64;

/** Nothing can serve without a private Service; its name comes with a change of the SKS. */
export function isServable(sks: ServerlessService | undefined): sks is ServerlessService {
  return (sks?.status?.privateServiceName ?? "") !== "";
}

/** Writes more pods the moment they are decided, ahead of the reconcile that sees to everything else. */
export function raiser(deps: RevisionScalingDeps): (key: string) => void {
  return function raise(key) {
    const pa = deps.podAutoscalers.get(key);
    const sks = deps.serverlessServices.get(key);
    const decider = deps.multiScaler.get(key);
    if (pa === undefined || pa.metadata.deletionTimestamp !== undefined || !isServable(sks)) return;
    const deployment = deps.deployments.get(targetKey(pa));
    if (deployment === undefined || decider === undefined || !isDeployment(pa)) return;
    if (decider.desiredPods <= (deployment.spec.replicas ?? 1)) return;
    const scaling = revisionScaling(pa.metadata.annotations, deps.config(), pa.spec.containerConcurrency ?? 0);
    const seen = observe(deps, pa, sks, deployment, decider.desiredPods);
    const outcome = scaleOutcome(scaling, deps.config(), seen, deps.nowMs());
    if (outcome.write === undefined || outcome.write < seen.replicas) return;
    deps.multiScaler.applied(key, { atMs: deps.nowMs(), replicas: outcome.scale, because: outcome.because });
    // The reconcile that follows joins this write, and meets its failure.
    deps.scaler.write(deployment, outcome.write).catch(() => undefined);
  };
}

/** What should be the replicas now; asks the public endpoints where that matters. */
export async function scale(
  deps: RevisionScalingDeps,
  pa: PodAutoscaler,
  sks: ServerlessService,
  scaling: RevisionScaling,
  want: number,
  signal: AbortSignal,
): Promise<ScaleOutcome> {
  const { apiVersion, kind } = pa.spec.scaleTargetRef;
  if (!isDeployment(pa)) throw new TerminalError(`cannot scale a ${kind} of ${apiVersion}`);
  const deployment = deps.deployments.get(targetKey(pa));
  // It is made before its PodAutoscaler: our copy is behind, and will tell.
  if (deployment === undefined) return { scale: unknownScale, because: "no Deployment yet" };
  const seen = observe(deps, pa, sks, deployment, want);
  const outcome = scaleOutcome(scaling, deps.config(), seen, deps.nowMs());
  const again = (more: Partial<ScaleObservation>): ScaleOutcome => {
    // A request may have come while we asked: then what it needs stays.
    const now = deps.multiScaler.get(keyOf(pa))?.desiredPods ?? want;
    return scaleOutcome(scaling, deps.config(), { ...seen, want: now, ...more }, deps.nowMs());
  };
  if (outcome.probe === true) {
    const name = sks.status?.serviceName ?? pa.metadata.name!;
    const passed = await deps.scaler.probe({ namespace: pa.metadata.namespace!, name }, signal);
    return again({ probe: passed ? "passed" : "failed" });
  }
  if (outcome.write === undefined || outcome.write === 0 || outcome.write >= seen.replicas) return outcome;
  const costs = costsBefore(deps, pa, deployment, outcome.write);
  if (costs.length === 0) return outcome;
  await deps.scaler.writeCosts(costs);
  return again({});
}

function costsBefore(
  deps: RevisionScalingDeps,
  pa: PodAutoscaler,
  deployment: Deployment,
  replicas: number,
): CostChange[] {
  // Whoever sets it in the template has a reason.
  if (deployment.spec.template.metadata?.annotations?.[podDeletionCost] !== undefined) return [];
  const key = keyOf(pa);
  const active = deps
    .pods(key)
    .filter(
      ({ metadata, status }) =>
        metadata.deletionTimestamp === undefined && status?.phase !== "Succeeded" && status?.phase !== "Failed",
    );
  // In a rollout several ReplicaSets shrink by rules of their own.
  if (new Set(active.map(ownerUid)).size !== 1) return [];
  return costChanges(active, (pod) => deps.inFlight(key, pod), active.length - replicas, costWrites);
}

function observe(
  deps: RevisionScalingDeps,
  pa: PodAutoscaler,
  sks: ServerlessService,
  deployment: Deployment,
  want: number,
): ScaleObservation {
  const proxied = conditionOf(sks, "ActivatorEndpointsPopulated");
  const proxiedSinceMs = proxied?.status === "True" ? Date.parse(proxied.lastTransitionTime ?? "") : Number.NaN;
  const progressDeadlineMs =
    parseDuration(pa.metadata.annotations?.[annotation.progressDeadline] ?? "") ?? deps.progressDeadlineMs();
  return {
    want,
    replicas: deployment.spec.replicas ?? 1,
    activity: activityOf(pa),
    reachable: isReachable(pa),
    initialized: isInitialized(pa),
    activationTimeoutMs: progressDeadlineMs + activationSlackMs,
    mode: sks.spec.mode,
    proxiedSinceMs: Number.isNaN(proxiedSinceMs) ? undefined : proxiedSinceMs,
    probe: "not-run",
  };
}

const isDeployment = ({ spec: { scaleTargetRef } }: PodAutoscaler): boolean =>
  scaleTargetRef.kind === "Deployment" && scaleTargetRef.apiVersion.startsWith("apps/");
export const targetKey = (pa: PodAutoscaler): string => `${pa.metadata.namespace}/${pa.spec.scaleTargetRef.name}`;
const ownerUid = ({ metadata }: Pod): string | undefined =>
  metadata.ownerReferences?.find((owner) => owner.controller === true)?.uid;
