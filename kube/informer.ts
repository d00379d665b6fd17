/**
 * A local copy of all objects of one kind, kept current by list and watch. It never gives up: whatever breaks, it
 * resumes from the last version it saw, and lists again when the server no longer has that version.
 */
import { keyOf, type KubeObject, type Resource } from "../api/meta.ts";
import type { Logger } from "../process/logger.ts";
import { BackOff, pause } from "./back-off.ts";
import { ApiError, type KubeClient, type ListOptions, type Trim, type WatchEvent } from "./client.ts";
import { ObjectStore } from "./object-store.ts";

export type Change<T> = { is: "added" | "deleted"; object: T } | { is: "updated"; object: T; previous: T };

/** Objects handed out are shared: treat them as frozen. */
export interface Lister<T> {
  /** `namespace/name`, or `name` for cluster scope. */
  get(key: string): T | undefined;
  /** All, or those of one namespace. */
  list(namespace?: string): T[];
  /** Those for which the index function returned `value`. */
  byIndex(index: string, value: string): T[];
}

export interface Informer<T> extends Lister<T> {
  /**
   * Calls back for each change after it is in the copy, and at once, as "added", for every object that is there
   * already. Returns the function that ends it. A throw is logged and harms nobody else.
   */
  onChange(listener: (change: Change<T>) => void): () => void;
  /** Resolves when the first list is in the copy and was announced. Rejects with the signal's reason. */
  synced(signal?: AbortSignal): Promise<void>;
  readonly hasSynced: boolean;
  /** Lists and watches until the signal aborts. Call once. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

export interface InformerOptions<T extends KubeObject> {
  client: KubeClient;
  resource: Resource;
  /** All namespaces when absent. */
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Index name → the values under which an object is found. */
  indexes?: Record<string, (object: T) => string[]>;
  /** What is kept of an object; {@link withoutManagedFields} when absent. May change the one it is given. */
  trim?: Trim<T>;
  log: Logger;
}

/** The server ends a watch after a time between these, so that many informers do not renew theirs together. */
const minWatchSeconds = 300;
const maxWatchSeconds = 600;
/** A watch that ends earlier and brought nothing counts as a failure. */
const healthyWatchMs = 5000;

export function createInformer<T extends KubeObject>(options: InformerOptions<T>): Informer<T> {
  const { client, resource, namespace, labelSelector, fieldSelector, indexes = {} } = options;
  const trim: Trim<T> = options.trim ?? withoutManagedFields;
  const log = options.log.child({ informer: resource.plural, ...(namespace === undefined ? {} : { namespace }) });
  const selection: ListOptions = {
    ...(namespace === undefined ? {} : { namespace }),
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
  const store = new ObjectStore<T>(indexes);
  const listeners = new Set<(change: Change<T>) => void>();
  const firstList = Promise.withResolvers<void>();
  let hasSynced = false;

  const tell = (listener: (change: Change<T>) => void, change: Change<T>): void => {
    try {
      listener(change);
    } catch (error) {
      log.error({ err: error, key: keyOf(change.object) }, "a listener of the informer threw");
    }
  };
  const announce = (changes: readonly Change<T>[]): void => {
    for (const change of changes) for (const listener of listeners) tell(listener, change);
  };

  /** Returns the version from which to watch. */
  const list = async (notOlderThan: string): Promise<string> => {
    const answer = await client.list<T>(resource, { ...selection, resourceVersion: notOlderThan }, trim);
    // The whole copy is current before the first listener hears of it.
    announce(store.replace(answer.items.map(trim)));
    if (!hasSynced) {
      hasSynced = true;
      firstList.resolve();
    }
    return answer.metadata.resourceVersion;
  };

  /** Applies events until the watch ends; `onVersion` hears of every version seen. */
  const watch = async (from: string, signal: AbortSignal, onVersion: (version: string) => void): Promise<void> => {
    const timeoutSeconds = Math.round(minWatchSeconds + Math.random() * (maxWatchSeconds - minWatchSeconds));
    const events = client.watch<T>(resource, { ...selection, resourceVersion: from, timeoutSeconds, signal });
    for await (const event of events) {
      if (event.type === "ERROR") throw new ApiError(event.object);
      apply(event);
      const version = event.object.metadata.resourceVersion;
      if (version !== undefined) onVersion(version);
    }
  };

  const apply = (event: Exclude<WatchEvent<T>, { type: "ERROR" }>): void => {
    if (event.type === "BOOKMARK") return;
    const object = trim(event.object);
    announce(event.type === "DELETED" ? store.remove(object) : store.put(object));
  };

  return {
    get: (key) => store.get(key),
    list: (inNamespace) => store.list(inNamespace),
    byIndex: (index, value) => store.byIndex(index, value),
    get hasSynced() {
      return hasSynced;
    },

    onChange(listener) {
      for (const object of store.list()) tell(listener, { is: "added", object });
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    async synced(signal) {
      if (hasSynced) return;
      if (signal === undefined) return firstList.promise;
      signal.throwIfAborted();
      const aborted = Promise.withResolvers<never>();
      const onAbort = (): void => aborted.reject(signal.reason as Error);
      signal.addEventListener("abort", onAbort, { once: true });
      try {
        await Promise.race([firstList.promise, aborted.promise]);
      } finally {
        signal.removeEventListener("abort", onAbort);
      }
    },

    async run(signal) {
      const backOff = new BackOff({ firstMs: 100, maxMs: 10_000 });
      // "0" lets the server answer from its cache.
      let state: { is: "listing"; notOlderThan: string } | { is: "watching"; version: string } = {
        is: "listing",
        notOlderThan: "0",
      };
      while (!signal.aborted) {
        const startedMs = performance.now();
        let brought = 0;
        try {
          if (state.is === "listing") {
            state = { is: "watching", version: await list(state.notOlderThan) };
            if (backOff.failures > 0) log.info("the informer lists again");
          }
          const { version } = state;
          await watch(version, signal, (seen) => {
            brought += 1;
            // A watch that works ends a run of failures.
            if (brought === 1) backOff.reset();
            state = { is: "watching", version: seen };
          });
          if (brought > 0 || performance.now() - startedMs >= healthyWatchMs) {
            backOff.reset();
            continue;
          }
          await pause(backOff.nextMs(), signal);
        } catch (error) {
          if (signal.aborted) return;
          state = afterFailure(state, error);
          if (brought > 0 || performance.now() - startedMs >= healthyWatchMs) backOff.reset();
          const level = backOff.failures === 0 ? "debug" : backOff.failures === 2 ? "warn" : "debug";
          log[level]({ err: error, failures: backOff.failures }, "the informer retries");
          // A version that is too old is cured by listing, at once the first time.
          if (isExpired(error) && backOff.failures === 0) backOff.nextMs();
          else await pause(backOff.nextMs(), signal);
        }
      }
    },
  };
}

/** Who wrote which field is the API server's business; an update without it leaves it as it is. */
export function withoutManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields, ...metadata } = object.metadata;
  return managedFields === undefined ? object : { ...object, metadata };
}

type State = { is: "listing"; notOlderThan: string } | { is: "watching"; version: string };

/** What to do next: watch on from the same version, or list again. */
function afterFailure(state: State, error: unknown): State {
  if (state.is === "watching") return isExpired(error) ? { is: "listing", notOlderThan: state.version } : state;
  // The server has never had that version (its data was restored), or no longer: whatever is newest will do.
  const refusesVersion = error instanceof ApiError && (isExpired(error) || error.code === 504 || error.code === 400);
  return refusesVersion ? { is: "listing", notOlderThan: "" } : state;
}

const isExpired = (error: unknown): boolean =>
  error instanceof ApiError && (error.code === 410 || error.reason === "Expired" || error.reason === "Gone");
