/**
 * An app whose process has ended is started again by the node, in about a second the first time. Requests that find
 * its port closed meanwhile have not reached it: they wait a little and are sent again, and the activators hear at
 * once that the pod is not ready.
 */
import type { Exchange, UpstreamError } from "../proxy/exchange.ts";

/** Since an outage's begin; what comes later is told at once that the app is away. */
const patienceMs = 3000;
/** A refusal that comes so long after the one before begins another outage. */
const apartMs = 1000;
const firstPauseMs = 10;
const maxPauseMs = 200;

export interface AppReturn {
  /** True when `again` is called after a pause, unless the exchange is over by then. */
  await(exchange: Exchange, error: UpstreamError, again: () => void): boolean;
}

export function createAppReturn(options: {
  /** The port takes no connections. False when the app was never seen to be ready. */
  lost: () => boolean;
  /** Nothing is started again any more. */
  draining: () => boolean;
  nowMs: () => number;
  random: () => number;
}): AppReturn {
  let sinceMs = -Infinity;
  let lastMs = -Infinity;
  return {
    await(exchange, error, again) {
      const { code } = (error.cause ?? {}) as { code?: string };
      if (!error.retriable || code !== "ECONNREFUSED" || options.draining() || !options.lost()) return false;
      const nowMs = options.nowMs();
      if (nowMs - lastMs > apartMs) sinceMs = nowMs;
      lastMs = nowMs;
      const awayMs = nowMs - sinceMs;
      if (awayMs >= patienceMs) return false;
      const pauseMs = Math.min(maxPauseMs, Math.max(firstPauseMs, awayMs / 4)) * (0.5 + options.random());
      setTimeout(() => {
        if (!exchange.ended) again();
      }, pauseMs);
      return true;
    },
  };
}
