/** Pushes metrics to a collector once per interval, and once more at the end. */
import { encodeMetrics, type ExportedMetric } from "./metrics.ts";
import type { Attribute, NewMessage } from "./message.ts";
import type { SendBatch } from "./transport.ts";

const sendTimeoutMs = 10_000;

export function startMetricExport(options: {
  newMessage: NewMessage;
  resource: readonly Attribute[];
  collect: () => readonly ExportedMetric[] | Promise<readonly ExportedMetric[]>;
  send: SendBatch;
  intervalMs: number;
  /** When counting began; default: now. */
  startMs?: number;
  log: { warn(fields: object, message: string): void };
}): { stop: () => Promise<void> } {
  const startMs = options.startMs ?? Date.now();
  let sending: Promise<void> | undefined;
  const push = (): Promise<void> => {
    // Counts only grow: a collector that is slower than the interval misses nothing but points.
    sending ??= send().finally(() => {
      sending = undefined;
    });
    return sending;
  };
  const send = async (): Promise<void> => {
    try {
      const metrics = await options.collect();
      if (metrics.length === 0) return;
      const times = { startMs, nowMs: Date.now() };
      await options.send(encodeMetrics(options.newMessage, options.resource, times, metrics), sendTimeoutMs);
    } catch (error) {
      options.log.warn({ err: error }, "the metrics collector did not take the metrics");
    }
  };
  const timer = setInterval(() => void push(), options.intervalMs).unref();
  return {
    async stop() {
      clearInterval(timer);
      await sending;
      await push();
    },
  };
}
