/** Keeps as many pods as a ReplicaSet asks for. */
import { keyOf } from "../../api/meta.ts";
import { pods as podResource, replicaSets as replicaSetResource, type Pod, type ReplicaSet } from "../../api/core.ts";
import { isAlreadyExists, isNotFound, type KubeClient } from "../../kube/client.ts";
import type { RecordEvent } from "../../kube/events.ts";
import type { Change, Informer } from "../../kube/informer.ts";
import { done, startReconciler, type Outcome } from "../../kube/reconciler.ts";
import { updateStatus } from "../../kube/write.ts";
import type { Logger } from "../../process/logger.ts";
import { Expectations } from "./expectations.ts";
import { selects } from "./label-selector.ts";
import { adopt } from "./ownership.ts";
import { controllerOf } from "./pod-state.ts";
import { podChanges, podOf, replicaSetStatus, type ReplicaFailure } from "./replica-set.ts";

export interface ReplicaSetDeps {
  client: KubeClient;
  log: Logger;
  replicaSets: Informer<ReplicaSet>;
  /** Indexed by `owner` (uid of the controller, or `orphan/<namespace>`). */
  pods: Informer<Pod>;
  record: RecordEvent;
  nowMs: () => number;
}

export function replicaSetController(deps: ReplicaSetDeps): (signal: AbortSignal) => Promise<void> {
  const { client, log, replicaSets, pods, record, nowMs } = deps;
  const expectations = new Expectations();

  async function reconcile(key: string): Promise<Outcome> {
    const replicaSet = replicaSets.get(key);
    if (replicaSet === undefined) {
      expectations.forget(key);
      return done;
    }
    const owned = await adopt({
      client,
      owner: replicaSet,
      ownerResource: replicaSetResource,
      resource: podResource,
      selector: replicaSet.spec.selector,
      lister: pods,
      adoptable: (pod) => pod.metadata.deletionTimestamp === undefined,
    });
    const waitsMs = expectations.pendingMs(key, nowMs());
    const mayChange = waitsMs === 0 && replicaSet.metadata.deletionTimestamp === undefined;
    const failure = mayChange ? await change(key, replicaSet, owned) : keptFailure(replicaSet);
    const waitMs = expectations.pendingMs(key, nowMs());
    // The pods just written come back as events, and the status is written once, with them.
    if (mayChange && waitMs > 0 && failure === undefined) return { is: "again", afterMs: waitMs };

    const { status, nextAvailableMs } = replicaSetStatus(replicaSet, owned, failure?.shown, nowMs());
    await updateStatus<ReplicaSet>(client, replicaSetResource, { ...replicaSet, status }, replicaSet);
    if (failure?.cause !== undefined) throw failure.cause;
    const nextMs = Math.min(waitMs > 0 ? waitMs : Infinity, nextAvailableMs ?? Infinity);
    return nextMs === Infinity ? done : { is: "again", afterMs: nextMs };
  }

  /** While it waits for its cache, what went wrong before stays true. */
  function keptFailure(replicaSet: ReplicaSet): { shown: ReplicaFailure; cause?: undefined } | undefined {
    const current = replicaSet.status?.conditions?.find((condition) => condition.type === "ReplicaFailure");
    if (current?.reason !== "FailedCreate" && current?.reason !== "FailedDelete") return undefined;
    return { shown: { reason: current.reason, message: current.message ?? "" } };
  }

  async function change(
    key: string,
    replicaSet: ReplicaSet,
    owned: readonly Pod[],
  ): Promise<{ shown: ReplicaFailure; cause: Error } | undefined> {
    const { create, remove } = podChanges(replicaSet, owned);
    const writes = [
      ...Array.from({ length: create }, () => createPod(key, replicaSet)),
      ...remove.map((pod) => deletePod(key, replicaSet, pod)),
    ];
    const failed = (await Promise.allSettled(writes)).find((result) => result.status === "rejected");
    if (failed === undefined) return undefined;
    const cause = failed.reason as Error;
    return { shown: { reason: create > 0 ? "FailedCreate" : "FailedDelete", message: cause.message }, cause };
  }

  async function createPod(key: string, replicaSet: ReplicaSet): Promise<void> {
    const pod = podOf(replicaSet);
    expectations.expect(key, keyOf(pod), nowMs());
    try {
      await client.create(podResource, pod);
      record(replicaSet, "Normal", "SuccessfulCreate", `Created pod: ${pod.metadata.name}`);
    } catch (error) {
      expectations.met(key, keyOf(pod));
      if (isAlreadyExists(error)) throw new Error(`pod ${pod.metadata.name} exists`, { cause: error });
      record(replicaSet, "Warning", "FailedCreate", `Error creating: ${(error as Error).message}`);
      throw error;
    }
  }

  async function deletePod(key: string, replicaSet: ReplicaSet, pod: Pod): Promise<void> {
    expectations.expect(key, keyOf(pod), nowMs());
    try {
      const { name = "", namespace, uid } = pod.metadata;
      await client.delete(podResource, name, namespace, uid === undefined ? {} : { preconditions: { uid } });
      record(replicaSet, "Normal", "SuccessfulDelete", `Deleted pod: ${name}`);
    } catch (error) {
      expectations.met(key, keyOf(pod));
      if (isNotFound(error)) return;
      record(replicaSet, "Warning", "FailedDelete", `Error deleting: ${(error as Error).message}`);
      throw error;
    }
  }

  const reconciler = startReconciler({ name: "replicaset", reconcile, log });

  const enqueueOwner = (pod: Pod): void => {
    const owner = controllerOf(pod);
    const { namespace = "" } = pod.metadata;
    if (owner !== undefined) {
      if (owner.kind === "ReplicaSet") reconciler.queue.add(`${namespace}/${owner.name}`);
      return;
    }
    for (const replicaSet of replicaSets.list(namespace))
      if (selects(replicaSet.spec.selector, pod.metadata.labels)) reconciler.queue.add(keyOf(replicaSet));
  };

  replicaSets.onChange(({ object }) => reconciler.queue.add(keyOf(object)));
  pods.onChange((change: Change<Pod>) => {
    const owner = controllerOf(change.object);
    if (owner?.kind === "ReplicaSet") {
      const ownerKey = `${change.object.metadata.namespace ?? ""}/${owner.name}`;
      const isGoing = change.is === "deleted" || change.object.metadata.deletionTimestamp !== undefined;
      // A create is met by any sight of the pod, a delete only by its going.
      if (isGoing || change.is === "added") expectations.met(ownerKey, keyOf(change.object));
    }
    enqueueOwner(change.object);
    if (change.is === "updated" && controllerOf(change.previous)?.uid !== owner?.uid) enqueueOwner(change.previous);
  });
  return (signal) => reconciler.run(signal);
}
