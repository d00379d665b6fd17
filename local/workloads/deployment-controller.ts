/** Carries out a Deployment's rollout plan. */
import { keyOf, type KubeObject } from "../../api/meta.ts";
import {
  deployments as deploymentResource,
  replicaSets as replicaSetResource,
  type Deployment,
  type Pod,
  type ReplicaSet,
} from "../../api/core.ts";
import { isAlreadyExists, isNotFound, type KubeClient } from "../../kube/client.ts";
import type { RecordEvent } from "../../kube/events.ts";
import type { Informer } from "../../kube/informer.ts";
import { done, startReconciler, type Outcome } from "../../kube/reconciler.ts";
import { isControlledBy, updateStatus } from "../../kube/write.ts";
import type { Logger } from "../../process/logger.ts";
import { revisionAnnotation, rolloutPlan, sameTemplate, type Plan } from "./deployment.ts";
import { deadlineInMs, deploymentStatus, type Seen } from "./deployment-status.ts";
import { selects } from "./label-selector.ts";
import { adopt, ownerIndex } from "./ownership.ts";
import { controllerOf, isFinished } from "./pod-state.ts";

export interface DeploymentDeps {
  client: KubeClient;
  log: Logger;
  deployments: Informer<Deployment>;
  /** Both indexed by `owner`. */
  replicaSets: Informer<ReplicaSet>;
  pods: Informer<Pod>;
  record: RecordEvent;
  nowMs: () => number;
}

export function deploymentController(deps: DeploymentDeps): (signal: AbortSignal) => Promise<void> {
  const { client, log, deployments, replicaSets, pods, record, nowMs } = deps;

  async function reconcile(key: string): Promise<Outcome> {
    const deployment = deployments.get(key);
    if (deployment === undefined || deployment.metadata.deletionTimestamp !== undefined) return done;
    const owned = await adopt({
      client,
      owner: deployment,
      ownerResource: deploymentResource,
      resource: replicaSetResource,
      selector: deployment.spec.selector,
      lister: replicaSets,
      adoptable: (replicaSet) => replicaSet.metadata.deletionTimestamp === undefined,
    });
    const plan = rolloutPlan(deployment, owned, oldPodsRunning(deployment, owned));
    const { event, created, collisionCount } = await carryOut(deployment, plan);

    const seen: Seen = {
      fresh: plan.fresh ?? created,
      old: plan.old,
      wantedReplicas: plan.wantedReplicas,
      event,
      maxUnavailable: plan.limits.unavailable,
      collisionCount,
    };
    const status = deploymentStatus(deployment, seen, nowMs());
    const current = await annotated(deployment, plan);
    await updateStatus<Deployment>(client, deploymentResource, { ...current, status }, current);
    if (event.is === "create failed") throw event.cause;
    const afterMs = deadlineInMs(deployment, status, nowMs());
    return afterMs === undefined ? done : { is: "again", afterMs };
  }

  /** Pods of other templates; only Recreate asks. */
  function oldPodsRunning(deployment: Deployment, owned: readonly ReplicaSet[]): boolean {
    if (deployment.spec.strategy?.type !== "Recreate") return false;
    return owned
      .filter((replicaSet) => !sameTemplate(replicaSet.spec.template, deployment.spec.template))
      .some((replicaSet) => pods.byIndex(ownerIndex, replicaSet.metadata.uid ?? "").some((pod) => !isFinished(pod)));
  }

  type Event =
    | Exclude<Seen["event"], { is: "create failed" }>
    | (Seen["event"] & { is: "create failed"; cause: Error });

  async function carryOut(
    deployment: Deployment,
    plan: Plan,
  ): Promise<{ event: Event; created: ReplicaSet | undefined; collisionCount: number }> {
    const [creation] = await Promise.all([
      createReplicaSet(deployment, plan),
      ...plan.update.map(async ({ from, to }) => {
        await client.update(replicaSetResource, to);
        recordScaling(deployment, to, from.spec.replicas ?? 0);
      }),
      ...plan.remove.map((replicaSet) => removeReplicaSet(replicaSet)),
    ]);
    return creation;
  }

  async function createReplicaSet(
    deployment: Deployment,
    { create, fresh }: Plan,
  ): Promise<{ event: Event; created: ReplicaSet | undefined; collisionCount: number }> {
    const collisionCount = deployment.status?.collisionCount ?? 0;
    if (create === undefined)
      return { event: { is: fresh === undefined ? "none" : "found" }, created: undefined, collisionCount };
    try {
      const created = await client.create(replicaSetResource, create);
      recordScaling(deployment, created, 0);
      return { event: { is: "created" }, created, collisionCount };
    } catch (error) {
      const name = create.metadata.name ?? "";
      if (isAlreadyExists(error)) {
        const found = await client.get<ReplicaSet>(replicaSetResource, name, create.metadata.namespace);
        // Ours and of this template: the cache was behind. Anybody else's: another hash, another name.
        if (isControlledBy(found, deployment) && sameTemplate(found.spec.template, create.spec.template))
          return { event: { is: "found" }, created: found, collisionCount };
        return { event: { is: "none" }, created: undefined, collisionCount: collisionCount + 1 };
      }
      const cause = error as Error;
      const message = `Failed to create new replica set ${JSON.stringify(name)}: ${cause.message}`;
      record(deployment, "Warning", "ReplicaSetCreateError", message);
      return {
        event: { is: "create failed", name, message: cause.message, cause },
        created: undefined,
        collisionCount,
      };
    }
  }

  async function removeReplicaSet(replicaSet: ReplicaSet): Promise<void> {
    try {
      await client.delete(replicaSetResource, replicaSet.metadata.name ?? "", replicaSet.metadata.namespace);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  function recordScaling(deployment: KubeObject, replicaSet: ReplicaSet, from: number): void {
    const to = replicaSet.spec.replicas ?? 0;
    if (to === from) return;
    const direction = to > from ? "up" : "down";
    const message = `Scaled ${direction} replica set ${replicaSet.metadata.name} from ${from} to ${to}`;
    record(deployment, "Normal", "ScalingReplicaSet", message);
  }

  /** The Deployment with its revision annotation, written where it differs. */
  async function annotated(deployment: Deployment, { revision }: Plan): Promise<Deployment> {
    const { metadata } = deployment;
    if (revision === undefined || metadata.annotations?.[revisionAnnotation] === revision) return deployment;
    return client.patch<Deployment>(deploymentResource, metadata.name ?? "", metadata.namespace, {
      is: "merge",
      body: { metadata: { annotations: { [revisionAnnotation]: revision } } },
    });
  }

  const reconciler = startReconciler({ name: "deployment", reconcile, log });
  const enqueueOwner = (replicaSet: ReplicaSet): void => {
    const { namespace = "", labels } = replicaSet.metadata;
    const owner = controllerOf(replicaSet);
    if (owner?.kind === "Deployment") reconciler.queue.add(`${namespace}/${owner.name}`);
    if (owner !== undefined) return;
    for (const deployment of deployments.list(namespace))
      if (selects(deployment.spec.selector, labels)) reconciler.queue.add(keyOf(deployment));
  };
  deployments.onChange(({ object }) => reconciler.queue.add(keyOf(object)));
  replicaSets.onChange((change) => {
    enqueueOwner(change.object);
    if (change.is === "updated") enqueueOwner(change.previous);
  });
  // Recreate waits for the last old pod to go.
  pods.onChange(({ is, object }) => {
    const owner = controllerOf(object);
    if ((is !== "deleted" && !isFinished(object)) || owner?.kind !== "ReplicaSet") return;
    const replicaSet = replicaSets.get(`${object.metadata.namespace ?? ""}/${owner.name}`);
    if (replicaSet !== undefined) enqueueOwner(replicaSet);
  });
  return (signal) => reconciler.run(signal);
}
