/** Pushes the request metrics to a collector once per interval, and once more at the end. */
import type { Log } from "./log.ts";
import { encodeMetrics, type ExportedMetric } from "./otlp-metrics.ts";
import type { NewMessage } from "./otlp-message.ts";
import type { SendBatch } from "./otlp-transport.ts";
import type { Attribute } from "./tracing.ts";

const sendTimeoutMs = 10_000;

export function startMetricExport(options: {
  newMessage: NewMessage;
  resource: readonly Attribute[];
  collect: () => readonly ExportedMetric[];
  send: SendBatch;
  intervalMs: number;
  log: Log;
}): { stop: () => Promise<void> } {
  const startMs = Date.now();
  let sending: Promise<void> | undefined;
  const push = (): Promise<void> => {
    // Counts only grow: a collector that is slower than the interval misses nothing but points.
    sending ??= send().finally(() => {
      sending = undefined;
    });
    return sending;
  };
  const send = async (): Promise<void> => {
    const metrics = options.collect();
    if (metrics.length === 0) return;
    try {
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
