/** What a ReplicaSet needs: pods to create, pods to delete, its status. Pure. */
import type { KubeCondition, Pod, ReplicaSet } from "../../api/core.ts";
import { availableInMs, compareForDeletion, isActive, isReady } from "./pod-state.ts";
import { generatedName } from "./names.ts";
import { hasAll } from "./label-selector.ts";

/** Kubernetes' bound for one pass; the next pass follows at once. */
const burst = 500;

export interface PodChanges {
  create: number;
  remove: Pod[];
}

/** `pods` are the ones it owns. */
export function podChanges(replicaSet: ReplicaSet, pods: readonly Pod[]): PodChanges {
  const active = pods.filter(isActive);
  const missing = (replicaSet.spec.replicas ?? 1) - active.length;
  if (missing >= 0) return { create: Math.min(missing, burst), remove: [] };
  return { create: 0, remove: active.sort(compareForDeletion).slice(0, Math.min(-missing, burst)) };
}

/** A pod of this ReplicaSet, named here so that repeating the create is harmless. */
export function podOf(replicaSet: ReplicaSet): Pod {
  const { name = "", namespace = "", uid = "" } = replicaSet.metadata;
  const { metadata = {}, spec } = replicaSet.spec.template;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: generatedName(`${name}-`),
      generateName: `${name}-`,
      namespace,
      ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
      ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name, uid, controller: true, blockOwnerDeletion: true },
      ],
    },
    spec,
  };
}

/** A write that went wrong while pods were created or deleted. */
export interface ReplicaFailure {
  reason: "FailedCreate" | "FailedDelete";
  message: string;
}

export function replicaSetStatus(
  replicaSet: ReplicaSet,
  pods: readonly Pod[],
  failure: ReplicaFailure | undefined,
  nowMs: number,
): { status: NonNullable<ReplicaSet["status"]>; nextAvailableMs: number | undefined } {
  const active = pods.filter(isActive);
  const terminating = pods.filter((pod) => pod.metadata.deletionTimestamp !== undefined).length;
  const templateLabels = replicaSet.spec.template.metadata?.labels ?? {};
  const waits = active.map((pod) => availableInMs(pod, replicaSet.spec.minReadySeconds ?? 0, nowMs));
  const pending = waits.filter((wait) => wait !== undefined && wait > 0) as number[];
  const conditions = failureCondition(replicaSet, failure, nowMs);
  return {
    status: {
      replicas: active.length,
      ...unlessZero("fullyLabeledReplicas", active.filter((pod) => hasAll(templateLabels, pod.metadata.labels)).length),
      ...unlessZero("readyReplicas", active.filter(isReady).length),
      ...unlessZero("availableReplicas", waits.filter((wait) => wait === 0).length),
      ...unlessZero("terminatingReplicas", terminating),
      ...unlessZero("observedGeneration", replicaSet.metadata.generation ?? 0),
      ...(conditions.length === 0 ? {} : { conditions }),
    },
    nextAvailableMs: pending.length === 0 ? undefined : Math.min(...pending),
  };
}

function failureCondition(replicaSet: ReplicaSet, failure: ReplicaFailure | undefined, nowMs: number): KubeCondition[] {
  const others = (replicaSet.status?.conditions ?? []).filter((condition) => condition.type !== "ReplicaFailure");
  if (failure === undefined) return others;
  const current = replicaSet.status?.conditions?.find((condition) => condition.type === "ReplicaFailure");
  if (current?.reason === failure.reason && current.message === failure.message) return [...others, current];
  const condition: KubeCondition = {
    type: "ReplicaFailure",
    status: "True",
    ...failure,
    lastTransitionTime: current?.lastTransitionTime ?? timestamp(nowMs),
  };
  return [...others, condition];
}

/** RFC 3339 in whole seconds. */
export function timestamp(nowMs: number): string {
  return `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
}

/** Kubernetes leaves counters that are 0 out of an object. */
export function unlessZero<K extends string>(name: K, value: number): { [P in K]?: number } {
  return (value === 0 ? {} : { [name]: value }) as { [P in K]?: number };
}
