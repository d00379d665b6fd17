/** The innermost layers: counts the request, waits for the container's capacity, forwards to the app. */
import { Breaker } from "../proxy/breaker.ts";
import { UpstreamError, type Exchange, type ExchangeEnd, type Handler, type Upstream } from "../proxy/exchange.ts";
import type { RequestStats } from "../proxy/request-stats.ts";
import type { Log } from "./log.ts";
import { answerAppFailure, answerQueueFull } from "./our-error.ts";
import type { Tracing } from "./tracing.ts";

/** Knative queues ten requests for each that may run (data-plane 1.6). */
const queueDepthPerPermit = 10;

export interface AppMetrics {
  /** Seconds in the app, after the queue, when it is over. */
  invoked(exchange: Exchange, end: ExchangeEnd, seconds: number): void;
}

/** Undefined for `containerConcurrency` 0: nothing is queued or refused. */
export function containerBreaker(containerConcurrency: number): Breaker | undefined {
  if (containerConcurrency < 1) return undefined;
  return new Breaker({
    queueDepth: queueDepthPerPermit * containerConcurrency,
    maxConcurrency: containerConcurrency,
  });
}

export function proxyHandler(options: {
  userPort: number;
  breaker: Breaker | undefined;
  stats: RequestStats;
  /** The counters of `stats` have changed. */
  onStats: () => void;
  metrics: AppMetrics | undefined;
  tracing: Pick<Tracing, "of"> | undefined;
  log: Log;
}): Handler {
  const { breaker, stats, onStats, metrics, tracing, log } = options;
  const http1: Upstream = { host: "127.0.0.1", port: options.userPort, protocol: "http1" };
  const http2: Upstream = { ...http1, protocol: "h2c" };

  const forward = (exchange: Exchange): Promise<void> => {
    tracing?.of(exchange)?.forwarding();
    const startedMs = performance.now();
    if (metrics !== undefined)
      exchange.onEnd((end) => metrics.invoked(exchange, end, (performance.now() - startedMs) / 1000));
    // What the client speaks is spoken to the app: nothing is translated.
    return exchange.forward(exchange.head.httpVersion === "2.0" ? http2 : http1).catch((error: unknown) => {
      if (!(error instanceof UpstreamError)) throw error;
      log.error({ err: error }, "error reverse proxying request");
      answerAppFailure(exchange, error);
    });
  };

  return function proxy(exchange) {
    const { head } = exchange;
    tracing?.of(exchange)?.proxying();
    head.headers.delete("Knative-Serving-Revision");
    head.headers.delete("Knative-Serving-Namespace");
    const originalHost = head.headers.get("K-Original-Host") ?? "";
    if (originalHost !== "") {
      head.host = originalHost;
      head.headers.delete("K-Original-Host");
    }
    const proxied = head.headers.get("K-Proxy-Request") === "activator";
    // Counted before the breaker: what waits here is demand, too.
    stats.arrived(performance.now(), proxied);
    onStats();
    exchange.onEnd(() => {
      stats.left(performance.now(), proxied);
      onStats();
    });
    if (breaker === undefined) return forward(exchange);

    if (breaker.tryAcquire()) {
      exchange.onEnd(() => breaker.release());
      return forward(exchange);
    }
    let admitted = false;
    const admit = (): void => {
      admitted = true;
      // Nobody awaits this one.
      forward(exchange).catch((error: unknown) => {
        log.error({ err: error }, "error reverse proxying request");
        exchange.fail(500, "Internal Server Error\n");
      });
    };
    if (!breaker.enqueue(admit)) {
      answerQueueFull(exchange);
      return undefined;
    }
    // Gone or timed out while it waited: its place is free at once.
    exchange.onEnd(() => (admitted ? breaker.release() : breaker.leave(admit)));
    return undefined;
  };
}
