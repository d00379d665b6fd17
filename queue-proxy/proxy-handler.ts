/** The innermost layers: counts the request, waits for the container's capacity, forwards to the app. */
import { Breaker } from "../proxy/breaker.ts";
import type { Exchange, ExchangeEnd, Handler, Upstream } from "../proxy/exchange.ts";
import type { RequestStats } from "../proxy/request-stats.ts";
import type { AppReturn } from "./app-return.ts";
import type { Log } from "./log.ts";
import { answerAppFailure, answerQueueFull } from "./our-error.ts";
import type { Tracing } from "./tracing.ts";

/** Knative queues ten requests for each that may run (data-plane 1.6). */
const queueDepthPerPermit = 10;

export interface AppMetrics {
  /** Seconds in the app, after the queue, when it is over. */
  invoked(exchange: Exchange, end: ExchangeEnd, seconds: number): void;
}

/** What a request holds of the breaker. Without a limit every one that goes to the app holds a permit that costs nothing. */
type Place = "none" | "line" | "permit";

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
  /** Undefined: an app that is away is not waited for. */
  appReturn?: AppReturn;
  log: Log;
}): Handler {
  const { breaker, stats, onStats, metrics, tracing, appReturn, log } = options;
  const http1: Upstream = { host: "127.0.0.1", port: options.userPort, protocol: "http1" };
  const http2: Upstream = { ...http1, protocol: "h2c" };

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

    let place: Place = "none";
    let forwardedMs = 0;
    const forward = (): void => {
      place = "permit";
      tracing?.of(exchange)?.forwarding();
      forwardedMs = performance.now();
      // What the client speaks is spoken to the app: nothing is translated.
      exchange.relay(head.httpVersion === "2.0" ? http2 : http1, (error) => {
        if (appReturn?.await(exchange, error, forward) === true) {
          log.warn({ err: error }, "waiting for the app");
          return;
        }
        log.error({ err: error }, "error reverse proxying request");
        answerAppFailure(exchange, error);
      });
    };
    exchange.onEnd((end) => {
      const nowMs = performance.now();
      stats.left(nowMs, proxied);
      onStats();
      if (place === "permit") {
        metrics?.invoked(exchange, end, (nowMs - forwardedMs) / 1000);
        breaker?.release();
        // Gone or timed out while it waited: its place is free at once.
      } else if (place === "line") breaker?.leave(forward);
    });
    if (breaker === undefined || breaker.tryAcquire()) forward();
    else if (breaker.enqueue(forward)) place = "line";
    else answerQueueFull(exchange);
  };
}
