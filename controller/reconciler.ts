/** What all reconcilers share: what they are given, how they are watched, and how a status is written. */
import { Conditions, type ConditionTypes } from "../api/conditions.ts";
import type { KubeObject, OwnerReference, Resource } from "../api/meta.ts";
import type { KnativeStatus } from "../api/serving.ts";
import { isConflict, isNotFound, type KubeClient } from "../kube/client.ts";
import { done, type Outcome } from "../kube/reconciler.ts";
import { updateStatus } from "../kube/write.ts";
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
}

/** Puts a key into the reconciler's queue. */
export type Enqueue = (key: string) => void;

export interface Reconciler {
  /** As events name their source: `route-controller`. */
  name: string;
  /** The middle of the lease's name (spec: serving-api 5.4). */
  lease: string;
  reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  /** Subscribes to everything a key depends on, present objects included. Returns the way to stop. */
  watch: (enqueue: Enqueue, enqueueAfter: (key: string, ms: number) => void) => (() => void)[];
}

type WithStatus = KubeObject & { status?: KnativeStatus };

/** What a reconcile works on: a status of its own to change, and the conditions that go with it. */
export interface Draft<T extends WithStatus> {
  object: T;
  status: NonNullable<T["status"]>;
  conditions: Conditions;
}

/**
 * Runs one reconcile of an object that exists: `body` changes the draft, which is then written if it differs, after
 * an error too, so that conditions tell of it. The error flies on to the queue, which backs off.
 */
export async function reconcileStatus<T extends WithStatus>(
  deps: Pick<Deps, "client" | "record" | "nowMs">,
  resource: Resource,
  types: ConditionTypes,
  object: T,
  body: (draft: Draft<T>) => Promise<Outcome | void>,
): Promise<Outcome> {
  const conditions = Conditions.of(types, object, deps.nowMs());
  const status = structuredClone(object.status ?? {}) as NonNullable<T["status"]>;
  let outcome: Outcome = done;
  let failure: unknown;
  try {
    outcome = (await body({ object, status, conditions })) ?? done;
  } catch (error) {
    failure = error;
  }
  if (object.metadata.generation !== undefined) status.observedGeneration = object.metadata.generation;
  status.conditions = conditions.list();
  try {
    await updateStatus(deps.client, resource, { ...object, status }, object);
  } catch (error) {
    // Deleted while it was reconciled: nobody is left to tell.
    if (isNotFound(error)) return done;
    if (!isConflict(error))
      deps.record(
        object,
        "Warning",
        "UpdateFailed",
        `Failed to update status for ${JSON.stringify(object.metadata.name)}: ${(error as Error).message}`,
      );
    throw failure ?? error;
  }
  if (failure === undefined) return outcome;
  if (failure instanceof StaleCacheError) return { is: "again", afterMs: staleCacheMs };
  if (!isConflict(failure)) deps.record(object, "Warning", "InternalError", (failure as Error).message);
  throw failure;
}

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
