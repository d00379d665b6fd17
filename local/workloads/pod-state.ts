/** What the workload controllers read out of a pod. Pure: the current time is an argument. */
import type { Pod } from "../../api/core.ts";
import type { KubeObject, OwnerReference } from "../../api/meta.ts";

/** Lower is deleted earlier; an integer, 0 where it is absent or malformed. */
export const podDeletionCost = "controller.kubernetes.io/pod-deletion-cost";

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((owner) => owner.controller === true);
}

export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
}

/** Counts towards the replicas of its owner: neither finished nor being deleted. */
export function isActive(pod: Pod): boolean {
  return !isFinished(pod) && pod.metadata.deletionTimestamp === undefined;
}

export function isReady(pod: Pod): boolean {
  return readyCondition(pod)?.status === "True";
}

/**
 * How long until the pod has been ready for `minReadySeconds`: 0 when it is available, undefined while it is not ready.
 */
export function availableInMs(pod: Pod, minReadySeconds: number, nowMs: number): number | undefined {
  const ready = readyCondition(pod);
  if (ready?.status !== "True") return undefined;
  if (minReadySeconds === 0) return 0;
  const sinceMs = Date.parse(ready.lastTransitionTime ?? "");
  return Math.max(0, (Number.isNaN(sinceMs) ? nowMs : sinceMs) + minReadySeconds * 1000 - nowMs);
}

const phaseRank: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

/** Orders pods so that those whose loss costs least come first, as Kubernetes scales a ReplicaSet down. */
export function compareForDeletion(a: Pod, b: Pod): number {
  return (
    Number(isAssigned(a)) - Number(isAssigned(b)) ||
    (phaseRank[a.status?.phase ?? "Pending"] ?? 1) - (phaseRank[b.status?.phase ?? "Pending"] ?? 1) ||
    Number(isReady(a)) - Number(isReady(b)) ||
    deletionCost(a) - deletionCost(b) ||
    readySinceMs(b) - readySinceMs(a) ||
    restarts(b) - restarts(a) ||
    createdMs(b) - createdMs(a) ||
    (a.metadata.name ?? "").localeCompare(b.metadata.name ?? "")
  );
}

const readyCondition = (pod: Pod) => pod.status?.conditions?.find((condition) => condition.type === "Ready");
const isAssigned = (pod: Pod) => (pod.spec.nodeName ?? "") !== "";
const createdMs = (object: KubeObject) => Date.parse(object.metadata.creationTimestamp ?? "") || 0;
const readySinceMs = (pod: Pod) => (isReady(pod) ? Date.parse(readyCondition(pod)?.lastTransitionTime ?? "") || 0 : 0);
const restarts = (pod: Pod) =>
  Math.max(0, ...(pod.status?.containerStatuses ?? []).map((container) => container.restartCount));

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[podDeletionCost] ?? "0";
  return /^-?(0|[1-9]\d*)$/.test(text) ? Number(text) : 0;
}
