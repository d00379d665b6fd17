/**
 * DELETE: what is removed at once, and what first waits for its finalizers, its dependents or its grace period.
 * `garbage-collector.ts` and `namespaces.ts` do what then happens on its own.
 */
import type { Pod } from "../../api/core.ts";
import type { KubeObject, Status } from "../../api/meta.ts";
import type { DeleteOptions } from "../../kube/client.ts";
import type { Admission, Attempt } from "./admission.ts";
import { presented, timestamp, type Call } from "./call.ts";
import { copyOf } from "./json-value.ts";
import { conflict, deleted, forbidden, notFound, resourceName } from "./status-error.ts";
import type { Store } from "./store.ts";

/** Kubernetes' names of the finalizers that stand for a propagation policy. */
export const foregroundFinalizer = "foregroundDeletion";
export const orphanFinalizer = "orphan";

export interface Deletion {
  /** A Status when the object is gone, else the object with its deletionTimestamp. */
  remove(call: Call, options: DeleteOptions): Promise<KubeObject | Status>;
}

export interface DeletionOptions {
  store: Store;
  admission: Admission;
  nowMs: () => number;
}

const permanentNamespaces = new Set(["default", "kube-system", "kube-public"]);
const mostTries = 5;

export function createDeletion({ store, admission, nowMs }: DeletionOptions): Deletion {
  async function admit(call: Call, stored: KubeObject, options: DeleteOptions): Promise<void> {
    const attempt: Attempt = {
      call,
      operation: "DELETE",
      object: undefined,
      old: presented(call.kind, stored),
      options: { apiVersion: "meta.k8s.io/v1", kind: "DeleteOptions", ...options },
    };
    const mutating = admission.mutating(attempt);
    if (mutating.length > 0) await admission.mutate(mutating, attempt);
    const validating = admission.validating(attempt);
    if (validating.length > 0) await admission.validate(validating, attempt);
  }

  return {
    async remove(call, options) {
      const { kind, namespace, name } = call;
      const resource = resourceName(kind.resource);
      if (resource === "namespaces" && permanentNamespaces.has(name))
        throw forbidden(kind.resource, name, "this namespace may not be deleted");
      for (let tries = 1; ; tries++) {
        const stored = store.get(resource, namespace, name);
        if (stored === undefined) throw notFound(kind.resource, name);
        requirePreconditions(call, stored, options.preconditions);
        await admit(call, stored, options);
        if (store.get(resource, namespace, name) !== stored) {
          if (tries >= mostTries) throw conflict(kind.resource, name);
          continue;
        }
        const next = copyOf(presented(kind, stored));
        const graceSeconds = resource === "pods" ? podGraceSeconds(next as Pod, options) : 0;
        const isFirst = stored.metadata.deletionTimestamp === undefined;
        setPropagation(next, options.propagationPolicy);
        const waits = graceSeconds > 0 || (next.metadata.finalizers ?? []).length > 0 || resource === "namespaces";
        if (isFirst || graceSeconds < (stored.metadata.deletionGracePeriodSeconds ?? 0)) {
          next.metadata.deletionTimestamp = timestamp(nowMs() + graceSeconds * 1000);
          next.metadata.deletionGracePeriodSeconds = graceSeconds;
        }
        if (isFirst && next.metadata.generation !== undefined) next.metadata.generation++;
        if (resource === "namespaces")
          (next as { status?: { phase?: string } }).status = { ...namespaceStatus(next), phase: "Terminating" };
        if (call.dryRun) return waits ? next : deleted(kind.resource, stored);
        if (!waits) {
          store.remove(resource, next);
          return deleted(kind.resource, stored);
        }
        if (!isFirst && sameWaiting(next, stored)) return presented(kind, stored);
        return store.put(resource, next);
      }
    },
  };
}

function requirePreconditions({ kind, name }: Call, stored: KubeObject, wanted: DeleteOptions["preconditions"]): void {
  const { uid, resourceVersion } = stored.metadata;
  if (wanted?.uid !== undefined && wanted.uid !== uid)
    throw conflict(
      kind.resource,
      name,
      `Precondition failed: UID in precondition: ${wanted.uid}, UID in object meta: ${uid}`,
    );
  if (wanted?.resourceVersion !== undefined && wanted.resourceVersion !== resourceVersion)
    throw conflict(
      kind.resource,
      name,
      `Precondition failed: ResourceVersion in precondition: ${wanted.resourceVersion}, ResourceVersion in object meta: ${resourceVersion}`,
    );
}

/** A pod that never came to a node, or has ended, has nothing to stop. */
function podGraceSeconds(pod: Pod, { gracePeriodSeconds }: DeleteOptions): number {
  if ((pod.spec.nodeName ?? "") === "") return 0;
  if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") return 0;
  return Math.max(0, gracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30);
}

function setPropagation({ metadata }: KubeObject, policy: DeleteOptions["propagationPolicy"]): void {
  const finalizers = (metadata.finalizers ?? []).filter(
    (one) => one !== foregroundFinalizer && one !== orphanFinalizer,
  );
  if (policy === undefined) return;
  if (policy === "Foreground") finalizers.push(foregroundFinalizer);
  if (policy === "Orphan") finalizers.push(orphanFinalizer);
  if (finalizers.length > 0) metadata.finalizers = finalizers;
  else delete metadata.finalizers;
}

const namespaceStatus = (namespace: KubeObject): object => (namespace as { status?: object }).status ?? {};

/** Whether asking again changes nothing: a deletion that is under way stays as it is. */
function sameWaiting(next: KubeObject, stored: KubeObject): boolean {
  const { metadata } = next;
  const old = stored.metadata;
  return (
    metadata.deletionTimestamp === old.deletionTimestamp &&
    (metadata.finalizers ?? []).join() === (old.finalizers ?? []).join()
  );
}
