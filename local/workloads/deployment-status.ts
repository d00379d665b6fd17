/** A Deployment's status and conditions, with Kubernetes' reasons and sentences. Pure. */
import type { Deployment, KubeCondition, ReplicaSet } from "../../api/core.ts";
import { timestamp, unlessZero } from "./replica-set.ts";

type DeploymentStatus = NonNullable<Deployment["status"]>;

/** progressDeadlineSeconds of this value means none (the default of apps/v1 before it had one). */
const noDeadline = 2 ** 31 - 1;

export interface Seen {
  /** The ReplicaSet of the present template, undefined where it could not be created. */
  fresh: ReplicaSet | undefined;
  old: readonly ReplicaSet[];
  /** spec.replicas of all of them, after this pass. */
  wantedReplicas: number;
  /** What happened to the ReplicaSet in this pass. */
  event: { is: "none" | "created" | "found" } | { is: "create failed"; name: string; message: string };
  maxUnavailable: number;
  collisionCount: number;
}

export function deploymentStatus(deployment: Deployment, seen: Seen, nowMs: number): DeploymentStatus {
  const all = seen.fresh === undefined ? seen.old : [seen.fresh, ...seen.old];
  const total = (field: "replicas" | "readyReplicas" | "availableReplicas" | "terminatingReplicas") =>
    all.reduce((count, replicaSet) => count + (replicaSet.status?.[field] ?? 0), 0);
  const available = total("availableReplicas");
  const status: DeploymentStatus = {
    ...unlessZero("observedGeneration", deployment.metadata.generation ?? 0),
    ...unlessZero("replicas", total("replicas")),
    ...unlessZero("updatedReplicas", seen.fresh?.status?.replicas ?? 0),
    ...unlessZero("readyReplicas", total("readyReplicas")),
    ...unlessZero("availableReplicas", available),
    ...unlessZero("unavailableReplicas", Math.max(0, seen.wantedReplicas - available)),
    ...unlessZero("terminatingReplicas", total("terminatingReplicas")),
    ...unlessZero("collisionCount", seen.collisionCount),
  };
  const conditions = new ConditionSet(deployment.status?.conditions ?? [], nowMs);
  availability(conditions, deployment, seen, available);
  progress(conditions, deployment, seen, status, nowMs);
  replicaFailure(conditions, all);
  return { ...status, conditions: conditions.list() };
}

/** Every replica runs the present template and is available, and none of an old one is left. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const replicas = deployment.spec.replicas ?? 1;
  return (
    (status.updatedReplicas ?? 0) === replicas &&
    (status.replicas ?? 0) === replicas &&
    (status.availableReplicas ?? 0) === replicas &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

/** When the deadline has to be looked at again; undefined when nothing is running against it. */
export function deadlineInMs(deployment: Deployment, status: DeploymentStatus, nowMs: number): number | undefined {
  if (!hasDeadline(deployment) || isComplete(deployment, status)) return undefined;
  const current = status.conditions?.find((condition) => condition.type === "Progressing");
  if (current === undefined || current.reason === "NewReplicaSetAvailable") return undefined;
  if (current.reason === "ProgressDeadlineExceeded") return undefined;
  return Math.max(1000, deadlineMs(deployment, current) - nowMs + 1000);
}

function hasDeadline(deployment: Deployment): boolean {
  const seconds = deployment.spec.progressDeadlineSeconds;
  return seconds !== undefined && seconds !== noDeadline;
}

function deadlineMs(deployment: Deployment, progressing: KubeCondition): number {
  return Date.parse(progressing.lastUpdateTime ?? "") + (deployment.spec.progressDeadlineSeconds ?? 0) * 1000;
}

function availability(conditions: ConditionSet, deployment: Deployment, seen: Seen, available: number): void {
  if (available >= (deployment.spec.replicas ?? 1) - seen.maxUnavailable)
    conditions.set("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.");
  else
    conditions.set(
      "Available",
      "False",
      "MinimumReplicasUnavailable",
      "Deployment does not have minimum availability.",
    );
}

function progress(
  conditions: ConditionSet,
  deployment: Deployment,
  seen: Seen,
  status: DeploymentStatus,
  nowMs: number,
): void {
  if (!hasDeadline(deployment)) {
    conditions.remove("Progressing");
    return;
  }
  const { fresh, event } = seen;
  const quoted = JSON.stringify(fresh?.metadata.name ?? "");
  const subject =
    fresh === undefined ? `Deployment ${JSON.stringify(deployment.metadata.name)}` : `ReplicaSet ${quoted}`;
  if (event.is === "create failed") {
    const message = `Failed to create new replica set ${JSON.stringify(event.name)}: ${event.message}`;
    conditions.set("Progressing", "False", "ReplicaSetCreateError", message);
    return;
  }
  const before = conditions.get("Progressing");
  if (deployment.spec.paused === true) {
    if (before?.reason !== "ProgressDeadlineExceeded")
      conditions.set("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
    return;
  }
  if (before?.reason === "DeploymentPaused")
    conditions.set("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
  if (event.is === "created")
    conditions.set("Progressing", "True", "NewReplicaSetCreated", `Created new replica set ${quoted}`);
  else if (event.is === "found" && conditions.get("Progressing") === undefined)
    conditions.set("Progressing", "True", "FoundNewReplicaSet", `Found new replica set ${quoted}`);

  const current = conditions.get("Progressing");
  // A finished rollout stays finished while pods come and go by scaling or by accident.
  const wasComplete =
    current?.reason === "NewReplicaSetAvailable" && (status.replicas ?? 0) === (status.updatedReplicas ?? 0);
  if (wasComplete) return;
  if (isComplete(deployment, status))
    conditions.set("Progressing", "True", "NewReplicaSetAvailable", `${subject} has successfully progressed.`);
  else if (hasProgressed(deployment.status ?? {}, status))
    conditions.renew("Progressing", "True", "ReplicaSetUpdated", `${subject} is progressing.`);
  else if (current !== undefined && isTimedOut(deployment, current, nowMs))
    conditions.set("Progressing", "False", "ProgressDeadlineExceeded", `${subject} has timed out progressing.`);
}

function hasProgressed(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const oldOnes = (status: DeploymentStatus) => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    oldOnes(after) < oldOnes(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

function isTimedOut(deployment: Deployment, current: KubeCondition, nowMs: number): boolean {
  if (current.reason === "NewReplicaSetAvailable") return false;
  if (current.reason === "ProgressDeadlineExceeded") return true;
  return deadlineMs(deployment, current) < nowMs;
}

function replicaFailure(conditions: ConditionSet, all: readonly ReplicaSet[]): void {
  const failure = all
    .flatMap((replicaSet) => replicaSet.status?.conditions ?? [])
    .find((condition) => condition.type === "ReplicaFailure" && condition.status === "True");
  if (failure === undefined) conditions.remove("ReplicaFailure");
  else conditions.set("ReplicaFailure", "True", failure.reason ?? "", failure.message ?? "");
}

/** Keeps a condition as it is while status and reason stay: the times say when something changed. */
class ConditionSet {
  readonly #conditions: Map<string, KubeCondition>;
  readonly #now: string;

  constructor(current: readonly KubeCondition[], nowMs: number) {
    this.#conditions = new Map(current.map((condition) => [condition.type, condition]));
    this.#now = timestamp(nowMs);
  }

  get(type: string): KubeCondition | undefined {
    return this.#conditions.get(type);
  }

  set(type: string, status: KubeCondition["status"], reason: string, message: string): void {
    const current = this.#conditions.get(type);
    if (current?.status === status && current.reason === reason) return;
    this.renew(type, status, reason, message);
  }

  /** Like `set`, and the update time counts anew: the progress deadline runs from it. */
  renew(type: string, status: KubeCondition["status"], reason: string, message: string): void {
    const current = this.#conditions.get(type);
    const since = current?.status === status ? (current.lastTransitionTime ?? this.#now) : this.#now;
    this.#conditions.delete(type); // the latest change stands last, as kubectl shows them
    this.#conditions.set(type, {
      type,
      status,
      lastUpdateTime: this.#now,
      lastTransitionTime: since,
      reason,
      message,
    });
  }

  remove(type: string): void {
    this.#conditions.delete(type);
  }

  list(): KubeCondition[] {
    return [...this.#conditions.values()];
  }
}
