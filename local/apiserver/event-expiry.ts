/** Events are kept for an hour, like in Kubernetes, and never in unbounded number. */
import type { Event } from "../../api/core.ts";
import { copyOf } from "./json-value.ts";
import type { Store } from "./store.ts";

const keptMs = 3_600_000;
const mostEvents = 5_000;
/** New Events between two looks at the old ones. */
const lookEvery = 100;

export function startEventExpiry({ store, nowMs }: { store: Store; nowMs: () => number }): { stop(): void } {
  let sinceLook = 0;
  let pending: NodeJS.Immediate | undefined;

  function expire(): void {
    pending = undefined;
    const events = store
      .list("events")
      .map(({ object }) => ({ event: object as Event, atMs: lastSeenMs(object as Event) }));
    events.sort((one, other) => other.atMs - one.atMs);
    const oldestMs = nowMs() - keptMs;
    for (const [index, { event, atMs }] of events.entries())
      if (index >= mostEvents || atMs < oldestMs) store.remove("events", copyOf(event));
  }

  // Looked at when Events come, so that a quiet cluster stays quiet.
  store.onChange(({ resource, type }) => {
    if (resource !== "events" || type !== "ADDED" || ++sinceLook < lookEvery) return;
    sinceLook = 0;
    pending ??= setImmediate(expire);
  });
  expire();
  return {
    stop() {
      if (pending !== undefined) clearImmediate(pending);
    },
  };
}

const lastSeenMs = (event: Event): number =>
  Date.parse(event.lastTimestamp ?? event.firstTimestamp ?? event.metadata.creationTimestamp ?? "") || 0;
