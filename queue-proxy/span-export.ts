/** Takes ended spans to a collector in batches; what does not get there in time is dropped, and counted in the log. */
import type { Attribute, NewMessage } from "../process/otlp/message.ts";
import type { SendBatch } from "../process/otlp/transport.ts";
import type { Log } from "./log.ts";
import { encodeSpans } from "./otlp.ts";
import type { RecordSpan, Span } from "./tracing.ts";

const maxQueued = 2048;
const maxBatch = 512;
const batchEveryMs = 5000;
const sendTimeoutMs = 10_000;
/** Knative's limit on what is flushed at the end. */
const lastFlushMs = 10_000;

export interface SpanExport {
  readonly add: RecordSpan;
  /** Sends what is queued. */
  readonly stop: () => Promise<void>;
}

export function createSpanExport(
  newMessage: NewMessage,
  resource: readonly Attribute[],
  send: SendBatch,
  log: Log,
): SpanExport {
  let queued: Span[] = [];
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    sending ??= sendBatch().finally(() => {
      sending = undefined;
      if (queued.length > 0) schedule();
    });
    return sending;
  };
  const sendBatch = async (): Promise<void> => {
    const batch = queued.slice(0, maxBatch);
    queued = queued.slice(batch.length);
    if (batch.length === 0) return;
    try {
      await send(encodeSpans(newMessage, resource, batch), sendTimeoutMs);
    } catch (error) {
      dropped += batch.length;
      log.warn({ err: error, dropped }, "the trace collector did not take the spans");
    }
  };
  const schedule = (): void => {
    timer ??= setTimeout(() => void flush(), queued.length >= maxBatch ? 0 : batchEveryMs).unref();
  };

  return {
    add(span) {
      if (queued.length >= maxQueued) {
        dropped += 1;
        return;
      }
      queued.push(span);
      if (queued.length === maxBatch) {
        clearTimeout(timer);
        timer = undefined;
      }
      schedule();
    },
    async stop() {
      const deadlineMs = performance.now() + lastFlushMs;
      while (queued.length > 0 && performance.now() < deadlineMs) await flush();
      clearTimeout(timer);
    },
  };
}
