/** What all reconcilers share: what they are given, how they are watched, and how a status is written. */
import { conditionOf, Conditions, isObserved, type ConditionTypes } from "../api/conditions.ts";
import { keyOf, type KubeObject, type OwnerReference, type Resource } from "../api/meta.ts";
import type { KnativeStatus } from "../api/serving.ts";
import { isConflict, isNotFound, type KubeClient } from "../kube/client.ts";
import type { Lister } from "../kube/informer.ts";
import { done, type Outcome } from "../kube/reconciler.ts";
import { isSameJson, statusBody } from "../kube/write.ts";
import type { Logger } from "../process/logger.ts";
import type { Caches } from "./caches.ts";
import type { ConfigStore } from "./config/store.ts";

export type RecordEvent = (object: KubeObject, type: "Normal" | "Warning", reason: string, message: string) => void;

export interface Deps {
  client: KubeClient;
  caches: Caches;
  config: ConfigStore;
  record: RecordEvent;
  nowMs: () => number;
  log: Logger;
  systemNamespace: string;
  /** For example `cluster.local`. */
  clusterDomain: string;
  /** How long Services, Configurations, Revisions and Routes keep what they say on the way to themselves; default 0. */
  statusPauseMs?: number;
}

/** Puts a key into the reconciler's queue. */
export type Enqueue = (key: string) => void;

export interface Reconciler {
  /** As events name their source: `route-controller`. */
  name: string;
  /** The middle of the lease's name (spec: serving-api 5.4). */
  lease: string;
  reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  /** Whether the object says already how it ended, so that a new leader may look at it last; absent: never. */
  isSettled?: (key: string) => boolean;
  /** Subscribes to everything a key depends on, present objects included. Returns the way to stop. */
  watch: (enqueue: Enqueue, enqueueAfter: (key: string, ms: number) => void) => (() => void)[];
}

type WithStatus = KubeObject & { status?: KnativeStatus };

/** For {@link Reconciler.isSettled}: what the object's own status says. */
export const settledIn =
  (cache: Lister<WithStatus>) =>
  (key: string): boolean => {
    const object = cache.get(key);
    if (object === undefined || object.metadata.deletionTimestamp !== undefined || !isObserved(object)) return false;
    const ready = conditionOf(object, "Ready")?.status;
    return ready === "True" || ready === "False";
  };

/** What a reconcile works on: a status of its own to change, and the conditions that go with it. */
export interface Draft<T extends WithStatus> {
  object: T;
  status: NonNullable<T["status"]>;
  conditions: Conditions;
}

/** One reconcile of an object that exists. */
export type StatusReconcile<T extends WithStatus> = (
  object: T,
  body: (draft: Draft<T>) => Promise<Outcome | void>,
) => Promise<Outcome>;

type StatusDeps = Pick<Deps, "client" | "record" | "nowMs"> & Partial<Pick<Deps, "statusPauseMs">>;

/**
 * Returns what runs a reconcile: `body` changes the draft, which is then written if it differs, after an error too, so
 * that conditions tell of it. The error flies on to the queue, which backs off. What a cache that lags or another
 * writer led to is not told of: the next run is near.
 *
 * A status that was written is not computed again from the one before it, which the cache may still show. And while an
 * object is only on its way (Ready is Unknown and was), what it says is written no more often than `statusPauseMs`.
 */
export function statusReconciler<T extends WithStatus>(
  deps: StatusDeps,
  resource: Resource,
  types: ConditionTypes,
): StatusReconcile<T> {
  const { client, record, statusPauseMs = 0 } = deps;
  /** Key → version that a status of ours has replaced. */
  const replaced = new Map<string, string>();
  /** Key → when what waits to be said is said. */
  const due = new Map<string, number>();

  return async (object, body) => {
    const key = keyOf(object);
    const { generation, resourceVersion = "" } = object.metadata;
    // Its event is under way, and runs the key.
    if (resourceVersion !== "" && replaced.get(key) === resourceVersion) return done;
    replaced.delete(key);

    const conditions = Conditions.of(types, object, deps.nowMs());
    // Shared below its first level, which is all that anybody changes.
    const status: NonNullable<T["status"]> = { ...object.status };
    let outcome: Outcome = done;
    let failure: unknown;
    try {
      outcome = (await body({ object, status, conditions })) ?? done;
    } catch (error) {
      failure = error;
    }
    // Half of what there is to say says something wrong, and the whole is known in a moment.
    if (failure instanceof StaleCacheError) return { is: "again", afterMs: staleCacheMs };
    if (isConflict(failure)) throw failure;
    if (generation !== undefined) status.observedGeneration = generation;
    status.conditions = conditions.list();

    if (isSameJson(status, object.status ?? {})) due.delete(key);
    else {
      const waitMs = failure === undefined && isOnItsWay(object, status) ? pauseLeft(key) : 0;
      if (waitMs > 0) return soonest(outcome, waitMs);
      due.delete(key);
      try {
        const stored = await client.update<T>(resource, statusBody(object, status), { subresource: "status" });
        if (stored.metadata.resourceVersion !== resourceVersion) remember(key, resourceVersion);
      } catch (error) {
        // Deleted while it was reconciled: nobody is left to tell.
        if (isNotFound(error)) return done;
        // Somebody else wrote it: what was computed here may be wrong for what it is now.
        if (!isConflict(error))
          record(
            object,
            "Warning",
            "UpdateFailed",
            `Failed to update status for ${JSON.stringify(object.metadata.name)}: ${(error as Error).message}`,
          );
        throw failure ?? error;
      }
    }
    if (failure === undefined) return outcome;
    record(object, "Warning", "InternalError", (failure as Error).message);
    throw failure;
  };

  function isOnItsWay(object: T, next: KnativeStatus): boolean {
    const before = object.status;
    const top = (status: KnativeStatus | undefined): string | undefined =>
      status?.conditions?.find(({ type }) => type === types.top)?.status;
    return (
      top(before) === "Unknown" && top(next) === "Unknown" && before?.observedGeneration === next.observedGeneration
    );
  }

  function pauseLeft(key: string): number {
    if (statusPauseMs <= 0) return 0;
    const at = due.get(key) ?? deps.nowMs() + statusPauseMs;
    due.set(key, at);
    return Math.ceil(at - deps.nowMs());
  }

  function remember(key: string, version: string): void {
    // Keys of objects that are gone pile up: forgetting them costs nothing but a run.
    if (replaced.size >= maxRemembered) replaced.clear();
    replaced.set(key, version);
  }
}

const maxRemembered = 10_000;

const soonest = (outcome: Outcome, afterMs: number): Outcome => ({
  is: "again",
  afterMs: outcome.is === "again" ? Math.min(outcome.afterMs, afterMs) : afterMs,
});

/** The event that brings the cache up to date runs the key earlier than this. */
const staleCacheMs = 500;

/** The cache does not show yet what the server has. Trying again cures it, and nobody needs to hear of it. */
export class StaleCacheError extends Error {
  override readonly name = "StaleCacheError";
}

/** A child's name is taken by an object of somebody else, which is never touched. */
export class NotOwnedError extends Error {
  override readonly name = "NotOwnedError";
}

/** `There is an existing Route "x" that we do not own.` */
export const notOwnedMessage = (kind: string, name: string): string =>
  `There is an existing ${kind} "${name}" that we do not own.`;

/** The controlling owner of that kind as a key, [] where there is none. */
export function ownerKeys(object: KubeObject, owner: Pick<Resource, "kind" | "group">): string[] {
  const reference = controllerOf(object);
  if (reference?.kind !== owner.kind || !reference.apiVersion.startsWith(`${owner.group}/`)) return [];
  const { namespace } = object.metadata;
  return [namespace === undefined ? reference.name : `${namespace}/${reference.name}`];
}

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(({ controller }) => controller === true);
}

/** The map without the entries whose value is undefined or whose key is among `keys`. */
export function without(
  map: Readonly<Record<string, string>> | undefined,
  keys: readonly string[],
): Record<string, string> {
  return Object.fromEntries(Object.entries(map ?? {}).filter(([key]) => !keys.includes(key)));
}
