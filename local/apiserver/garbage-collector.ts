/**
 * Follows owner references. An object goes when the last of its owners is gone; an owner deleted in the foreground goes
 * after the dependents that block it; an owner deleted with Orphan lets them go first.
 */
import type { KubeObject, OwnerReference } from "../../api/meta.ts";
import { isConflict, isNotFound, type DeleteOptions } from "../../kube/client.ts";
import type { Logger } from "../../process/logger.ts";
import { garbageCollector, ownCall } from "./call.ts";
import { foregroundFinalizer, orphanFinalizer, type Deletion } from "./deletion.ts";
import { copyOf } from "./json-value.ts";
import type { KindRegistry } from "./kind.ts";
import { storedKind } from "./stored-kind.ts";
import type { Entry, Store } from "./store.ts";
import type { Writer } from "./writing.ts";

export interface GarbageCollectorOptions {
  store: Store;
  kinds: KindRegistry;
  writer: Writer;
  deletion: Deletion;
  log: Logger;
}

/** Waits between the tries of an object that a webhook keeps from being deleted. */
const firstRetryMs = 500;
const mostRetryMs = 60_000;
const workers = 8;

export function startGarbageCollector(options: GarbageCollectorOptions): { stop(): void } {
  const { store, kinds, writer, deletion, log } = options;
  const waiting = new Set<string>();
  const failures = new Map<string, number>();
  const retries = new Set<NodeJS.Timeout>();
  let running = 0;
  let stopped = false;
  let scheduled = false;

  const look = (uid: string | undefined): void => {
    if (uid === undefined || stopped) return;
    waiting.add(uid);
    // After the write that caused it: listeners of the store do not write.
    if (!scheduled) setImmediate(work);
    scheduled = true;
  };

  function work(): void {
    scheduled = false;
    for (const uid of waiting) {
      if (running >= workers) return;
      waiting.delete(uid);
      running++;
      void settle(uid).finally(() => {
        running--;
        if (waiting.size > 0 && !stopped) work();
      });
    }
  }

  async function settle(uid: string): Promise<void> {
    const entry = store.byUid(uid);
    if (entry === undefined) return;
    try {
      if (entry.object.metadata.deletionTimestamp !== undefined) await advance(entry);
      else await checkOwners(entry);
      failures.delete(uid);
    } catch (error) {
      if (stopped || isNotFound(error)) return;
      const count = (failures.get(uid) ?? 0) + 1;
      failures.set(uid, count);
      const delayMs = Math.min(mostRetryMs, firstRetryMs * 2 ** (count - 1)) * (0.75 + Math.random() / 2);
      if (!isConflict(error))
        log.warn({ err: error, uid, object: entry.object.metadata.name }, "cannot collect an object yet");
      const timer = setTimeout(() => {
        retries.delete(timer);
        look(uid);
      }, delayMs).unref();
      retries.add(timer);
    }
  }

  /** Moves a deletion on that waits for this collector. */
  async function advance(entry: Entry): Promise<void> {
    const { metadata } = entry.object;
    const finalizers = metadata.finalizers ?? [];
    if (finalizers.includes(orphanFinalizer)) {
      for (const dependent of store.dependents(metadata.uid!))
        await release(dependent, (owner) => owner.uid === metadata.uid);
      await dropFinalizer(entry, orphanFinalizer);
    } else if (finalizers.includes(foregroundFinalizer)) {
      const dependents = store.dependents(metadata.uid!);
      const blocking = dependents.filter(({ object }) => ownerOf(object, metadata.uid!)?.blockOwnerDeletion === true);
      if (blocking.length === 0) await dropFinalizer(entry, foregroundFinalizer);
      for (const dependent of dependents) look(dependent.object.metadata.uid);
    }
  }

  async function checkOwners(entry: Entry): Promise<void> {
    const { metadata } = entry.object;
    const owners = metadata.ownerReferences ?? [];
    const states = owners.map((owner) => ownerState(owner, entry.object));
    if (owners.length === 0 || states.every((state) => state === "there")) return;
    if (states.includes("there")) {
      const gone = new Set(owners.filter((_, index) => states[index] !== "there").map(({ uid }) => uid));
      return release(entry, ({ uid }) => gone.has(uid));
    }
    // Below an owner that goes in the foreground everything does, or it would wait for nothing.
    const inForeground = states.includes("waiting") && store.dependents(metadata.uid!).length > 0;
    await remove(entry, inForeground ? "Foreground" : undefined);
  }

  function ownerState(owner: OwnerReference, dependent: KubeObject): "there" | "gone" | "waiting" {
    const found = store.byUid(owner.uid)?.object;
    if (found === undefined) return "gone";
    const { namespace = "", deletionTimestamp, finalizers = [] } = found.metadata;
    // A reference into another namespace refers to nothing.
    if (namespace !== "" && namespace !== dependent.metadata.namespace) return "gone";
    return deletionTimestamp !== undefined && finalizers.includes(foregroundFinalizer) ? "waiting" : "there";
  }

  async function remove(entry: Entry, propagationPolicy: DeleteOptions["propagationPolicy"]): Promise<void> {
    const { name = "", namespace = "", uid } = entry.object.metadata;
    const kind = storedKind(kinds, entry);
    if (kind === undefined) return;
    await deletion.remove(ownCall(garbageCollector, kind, namespace, name), {
      ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
      preconditions: uid === undefined ? {} : { uid },
    });
  }

  /** Takes owners out of an object's references. */
  async function release(entry: Entry, isReleased: (owner: OwnerReference) => boolean): Promise<void> {
    await change(entry, (object) => {
      const owners = (object.metadata.ownerReferences ?? []).filter((owner) => !isReleased(owner));
      if (owners.length > 0) object.metadata.ownerReferences = owners;
      else delete object.metadata.ownerReferences;
    });
  }

  async function dropFinalizer(entry: Entry, finalizer: string): Promise<void> {
    await change(entry, ({ metadata }) => {
      metadata.finalizers = (metadata.finalizers ?? []).filter((one) => one !== finalizer);
      if (metadata.finalizers.length === 0) delete metadata.finalizers;
    });
  }

  async function change(entry: Entry, edit: (object: KubeObject) => void): Promise<void> {
    const { name = "", namespace = "" } = entry.object.metadata;
    const kind = storedKind(kinds, entry);
    if (kind === undefined) return;
    await writer.change(ownCall(garbageCollector, kind, namespace, name), (stored) => {
      const object = copyOf(stored);
      edit(object);
      return object;
    });
  }

  const concernsUs = ({ metadata }: KubeObject): boolean =>
    metadata.deletionTimestamp !== undefined &&
    (metadata.finalizers ?? []).some((one) => one === foregroundFinalizer || one === orphanFinalizer);

  /** Whether an owner is missing or waits for its dependents to go. */
  const isLoose = (object: KubeObject): boolean =>
    object.metadata.ownerReferences?.some((owner) => ownerState(owner, object) !== "there") ?? false;

  store.onChange(({ type, object, previous }) => {
    const { uid, ownerReferences } = object.metadata;
    if (type === "DELETED") {
      if (uid !== undefined) for (const dependent of store.dependents(uid)) look(dependent.object.metadata.uid);
      for (const owner of ownerReferences ?? []) if (isWaiting(owner.uid)) look(owner.uid);
    } else if (concernsUs(object) || isLoose(object)) look(uid);
    else if (previous?.metadata.ownerReferences !== ownerReferences)
      for (const owner of previous?.metadata.ownerReferences ?? []) if (isWaiting(owner.uid)) look(owner.uid);
  });

  const isWaiting = (uid: string): boolean => {
    const owner = store.byUid(uid)?.object;
    return owner !== undefined && concernsUs(owner);
  };

  for (const resource of store.resources())
    for (const { object } of store.list(resource)) if (concernsUs(object) || isLoose(object)) look(object.metadata.uid);

  return {
    stop() {
      stopped = true;
      waiting.clear();
      for (const timer of retries) clearTimeout(timer);
    },
  };
}

const ownerOf = ({ metadata }: KubeObject, uid: string): OwnerReference | undefined =>
  metadata.ownerReferences?.find((owner) => owner.uid === uid);
