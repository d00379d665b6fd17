/** The layers of the main server, outermost first (data-plane 1.4). */
import type { Drainer } from "../proxy/drain.ts";
import type { Exchange, Handler } from "../proxy/exchange.ts";
import { addForwarded } from "../proxy/forwarded.ts";
import { answerHashProbe, answerHealthProbe } from "../proxy/network-probe.ts";
import { limitTime, type TimeLimits } from "../proxy/timeouts.ts";
import type { Log } from "./log.ts";
import type { ReadinessProbe } from "./readiness-probe.ts";

type Layer = (next: Handler) => Handler;

export interface MainHandlerOptions {
  drainer: Drainer;
  readiness: ReadinessProbe;
  upgrades: Set<Exchange>;
  limits: TimeLimits;
  /** Sees every exchange, probes included; undefined when nobody asks for metrics. */
  observe: ((exchange: Exchange) => void) | undefined;
  proxy: Handler;
  log: Log;
}

export function mainHandler(options: MainHandlerOptions): Handler {
  const { drainer, readiness, upgrades, limits, observe, proxy, log } = options;
  const layers: Layer[] = [
    // Outside of everything else: its durations are what the client waited.
    ...(observe === undefined ? [] : [observed(observe)]),
    // Before anything counts: probes are no load, never wait, and never reach the app.
    probes(drainer, readiness),
    // What is left is a request: it restarts the quiet period, and drain waits for its end.
    drained(drainer, upgrades),
    // Around the breaker: waiting for capacity is part of the time that a request may take.
    timed(limits, log),
    // Only what goes to the app needs it.
    forwarded,
  ];
  return layers.reduceRight((next, layer) => layer(next), proxy);
}

function observed(observe: (exchange: Exchange) => void): Layer {
  return (next) => (exchange) => {
    observe(exchange);
    return next(exchange);
  };
}

function probes(drainer: Drainer, readiness: ReadinessProbe): Layer {
  const ready = (): Promise<boolean> => readiness.check();
  return (next) => (exchange) => {
    const { draining } = drainer;
    if (answerHealthProbe(exchange, { name: "queue", draining, ready })) return undefined;
    if (answerHashProbe(exchange, draining)) return undefined;
    return next(exchange);
  };
}

function drained(drainer: Drainer, upgrades: Set<Exchange>): Layer {
  return (next) => (exchange) => {
    drainer.arrived();
    exchange.onEnd(() => drainer.left());
    if (exchange.head.headers.has("upgrade")) {
      exchange.onResponseStart(() => {
        if (exchange.upgraded) upgrades.add(exchange);
      });
      exchange.onEnd(() => upgrades.delete(exchange));
    }
    return next(exchange);
  };
}

function timed(limits: TimeLimits, log: Log): Layer {
  return (next) => (exchange) => {
    limitTime(exchange, limits, (limit) => {
      const { message, ms } = {
        total: { message: "Request timeout", ms: limits.totalMs },
        "response start": { message: "Response start timeout", ms: limits.responseStartMs },
        idle: { message: "Idle timeout", ms: limits.idleMs },
      }[limit];
      log.warn(`${message}: ${ms / 1000}s`);
      exchange.fail(504, "request timeout");
    });
    return next(exchange);
  };
}

const forwarded: Layer = (next) => (exchange) => {
  addForwarded(exchange.head.headers);
  return next(exchange);
};
