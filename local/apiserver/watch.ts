/** Turns the store's changes into the events of watches: replay from an exact version, then live, without a gap. */
import type { KubeObject } from "../../api/meta.ts";
import type { Logger } from "../../process/logger.ts";
import type { Selection } from "./selectors.ts";
import { tooOld } from "./status-error.ts";
import type { Change, ChangeType, Store } from "./store.ts";

export type Event =
  | {
      type: ChangeType;
      object: KubeObject;
      /** The object as JSON, where it is at hand. */
      json: string | undefined;
    }
  /** `initialEventsEnd`: all objects that were there at the start have been sent. */
  | { type: "BOOKMARK"; version: number; initialEventsEnd: boolean };

export interface WatchRequest {
  /** As `resourceName` builds it. */
  resource: string;
  /** Undefined for all. */
  namespace: string | undefined;
  selection: Selection;
  /** Events after this version; undefined: first an ADDED for each object that is there, then what follows. */
  after: number | undefined;
  /** Whether the end of those first ADDED is marked (`sendInitialEvents=true`). */
  marksInitialEnd: boolean;
  bookmarks: boolean;
  /** Called in order, the first time before `open` returns. */
  sink: (event: Event) => void;
}

export interface Watch {
  /** Tells the watcher which version it has seen, if it takes bookmarks. */
  bookmark(): void;
  close(): void;
}

export interface WatchHub {
  /** Throws ApiError 410 when the changes after the version are no longer known. */
  open(request: WatchRequest): Watch;
  /** Watches that are open. */
  readonly size: number;
}

interface Watcher extends WatchRequest {
  /** Last version that a bookmark told, or the start. */
  bookmarked: number;
}

/** A watcher hears of the version this long after a write at the latest, whether or not the write concerned it. */
const bookmarkMs = 30_000;

export function createWatchHub(store: Store, log: Logger): WatchHub {
  const byResource = new Map<string, Set<Watcher>>();
  let bookmarkTimer: NodeJS.Timeout | undefined;

  store.onChange((change) => {
    const watchers = byResource.get(change.resource);
    if (watchers !== undefined) for (const watcher of watchers) deliver(watcher, change);
    // Armed by writes only: an idle cluster has no timer.
    if (byResource.size > 0) bookmarkTimer ??= setTimeout(bookmarkAll, bookmarkMs).unref();
  });

  function deliver(watcher: Watcher, change: Change): void {
    try {
      const event = eventFor(watcher, change);
      if (event !== undefined) watcher.sink(event);
    } catch (error) {
      log.error({ err: error, resource: change.resource }, "a watch failed to take an event");
    }
  }

  function bookmarkAll(): void {
    bookmarkTimer = undefined;
    for (const watchers of byResource.values()) for (const watcher of watchers) bookmark(watcher);
  }

  function bookmark(watcher: Watcher): void {
    if (!watcher.bookmarks || watcher.bookmarked === store.version) return;
    watcher.bookmarked = store.version;
    watcher.sink({ type: "BOOKMARK", version: store.version, initialEventsEnd: false });
  }

  return {
    get size() {
      let size = 0;
      for (const watchers of byResource.values()) size += watchers.size;
      return size;
    },
    open(request) {
      const watcher: Watcher = { ...request, bookmarked: request.after ?? store.version };
      if (request.after === undefined) sendInitial(watcher, store);
      else {
        if (request.after > store.version) throw tooOld(request.after, store.oldest);
        const missed = store.changesSince(request.resource, request.after);
        if (missed === undefined) throw tooOld(request.after, store.oldest);
        for (const change of missed) {
          const event = eventFor(watcher, change);
          if (event !== undefined) watcher.sink(event);
        }
      }
      const watchers = byResource.get(request.resource);
      if (watchers === undefined) byResource.set(request.resource, new Set([watcher]));
      else watchers.add(watcher);
      return {
        bookmark: () => bookmark(watcher),
        close() {
          const watchers = byResource.get(request.resource);
          watchers?.delete(watcher);
          if (watchers?.size === 0) byResource.delete(request.resource);
          if (byResource.size > 0) return;
          clearTimeout(bookmarkTimer);
          bookmarkTimer = undefined;
        },
      };
    },
  };
}

function sendInitial(watcher: Watcher, store: Store): void {
  const { matches, name } = watcher.selection;
  for (const { object } of store.list(watcher.resource, watcher.namespace)) {
    if (name !== undefined && object.metadata.name !== name) continue;
    if (matches === undefined || matches(object)) watcher.sink({ type: "ADDED", object, json: undefined });
  }
  if (watcher.marksInitialEnd) watcher.sink({ type: "BOOKMARK", version: store.version, initialEventsEnd: true });
}

/** The change as this watcher sees it: an object that comes to match is added to its world, one that no longer does is gone. */
function eventFor({ namespace, selection }: WatchRequest, change: Change): Event | undefined {
  if (namespace !== undefined && change.namespace !== namespace) return undefined;
  if (selection.name !== undefined && change.name !== selection.name) return undefined;
  const { matches } = selection;
  if (matches === undefined) return unchanged(change);
  const { object } = change;
  if (change.type !== "MODIFIED") return matches(object) ? unchanged(change) : undefined;
  const { previous } = change;
  const matched = previous === undefined ? undefined : matches(previous);
  if (matches(object)) return matched === false ? { ...unchanged(change), type: "ADDED" } : unchanged(change);
  if (matched === false) return undefined;
  // It leaves as the watcher knew it, at the version that took it away.
  const last = previous ?? object;
  const metadata = { ...last.metadata, resourceVersion: String(change.version) };
  return { type: "DELETED", object: { ...last, metadata }, json: undefined };
}

function unchanged(change: Change): Extract<Event, { object: KubeObject }> {
  return {
    type: change.type,
    get object() {
      return change.object;
    },
    json: change.json,
  };
}
