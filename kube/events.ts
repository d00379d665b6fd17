/** Kubernetes Events: what `kubectl describe` shows of the platform's decisions. */
import { randomBytes } from "node:crypto";
import { events, type Event } from "../api/core.ts";
import type { KubeObject } from "../api/meta.ts";
import type { Logger } from "../process/logger.ts";
import { isNotFound, type KubeClient } from "./client.ts";

export type RecordEvent = (object: KubeObject, type: "Normal" | "Warning", reason: string, message: string) => void;

/** Distinct events that wait to be written; the oldest are dropped beyond it. */
const maxPending = 1000;
/** Events whose repeats are counted on the stored object instead of making another. */
const maxRemembered = 2000;
const maxMessageChars = 1024;

interface Pending {
  object: KubeObject;
  type: "Normal" | "Warning";
  reason: string;
  message: string;
  repeats: number;
  lastTimestamp: string;
}

/**
 * Returns a function that records an event in the background. It never throws: an event that cannot be written is
 * logged and lost. Repeats that arrive before the first was written, or later, become one event with a count.
 */
export function eventRecorder(options: { client: KubeClient; component: string; log: Logger }): RecordEvent {
  const { client, component, log } = options;
  const pending = new Map<string, Pending>();
  /** In order of use: the first is the longest unused. */
  const remembered = new Map<string, { namespace: string; name: string; count: number }>();
  let writing = false;

  const write = async (key: string, event: Pending): Promise<void> => {
    const known = remembered.get(key);
    if (known !== undefined) {
      known.count += event.repeats;
      try {
        await client.patch(events, known.name, known.namespace, {
          is: "merge",
          body: { count: known.count, lastTimestamp: event.lastTimestamp },
        });
        remember(key, known);
        return;
      } catch (error) {
        remembered.delete(key);
        if (!isNotFound(error)) throw error;
      }
    }
    const created = await client.create(events, makeEvent(event, component));
    remember(key, {
      namespace: created.metadata.namespace ?? "default",
      name: created.metadata.name!,
      count: event.repeats,
    });
  };

  const remember = (key: string, known: { namespace: string; name: string; count: number }): void => {
    remembered.delete(key);
    remembered.set(key, known);
    if (remembered.size > maxRemembered) remembered.delete(remembered.keys().next().value!);
  };

  const drain = async (): Promise<void> => {
    if (writing) return;
    writing = true;
    for (const [key, event] of pending) {
      pending.delete(key);
      try {
        await write(key, event);
      } catch (error) {
        log.debug({ err: error, reason: event.reason }, "cannot write an event");
      }
    }
    writing = false;
  };

  return (object, type, reason, message) => {
    const text = message.slice(0, maxMessageChars);
    const key = JSON.stringify([object.kind, object.metadata.namespace, object.metadata.name, type, reason, text]);
    const lastTimestamp = new Date().toISOString().replace(/\.\d+Z$/, "Z");
    const waiting = pending.get(key);
    if (waiting !== undefined) {
      waiting.repeats += 1;
      waiting.lastTimestamp = lastTimestamp;
      return;
    }
    if (pending.size >= maxPending) pending.delete(pending.keys().next().value!);
    pending.set(key, { object, type, reason, message: text, repeats: 1, lastTimestamp });
    void drain();
  };
}

function makeEvent({ object, type, reason, message, repeats, lastTimestamp }: Pending, component: string): Event {
  const { name = "", namespace = "default", uid, resourceVersion } = object.metadata;
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name: `${name.slice(0, 200)}.${randomBytes(8).toString("hex")}`, namespace },
    involvedObject: {
      apiVersion: object.apiVersion,
      kind: object.kind,
      name,
      ...(object.metadata.namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    type,
    reason,
    message,
    count: repeats,
    firstTimestamp: lastTimestamp,
    lastTimestamp,
    source: { component },
    reportingComponent: component,
  };
}
