/** The layers of the main server, outermost first (data-plane 1.4). */
import type { Drainer } from "../proxy/drain.ts";
import type { Exchange, Handler } from "../proxy/exchange.ts";
import { addForwarded } from "../proxy/forwarded.ts";
import { answerHashProbe, answerHealthProbe } from "../proxy/network-probe.ts";
import { limitTime, type TimeLimits } from "../proxy/timeouts.ts";
import type { Log } from "./log.ts";
import { answerTimeout } from "./our-error.ts";
import type { ReadinessProbe } from "./readiness-probe.ts";

type Layer = (next: Handler) => Handler;
export type Observe = (exchange: Exchange) => void;

export interface MainHandlerOptions {
  drainer: Drainer;
  readiness: ReadinessProbe;
  upgrades: Set<Exchange>;
  limits: TimeLimits;
  /** See every exchange before anything is done about it. None when nobody asks for metrics, traces or logs. */
  observers: readonly Observe[];
  /** Hears of each probe that is answered here; undefined when they are not logged. */
  observeProbe: Observe | undefined;
  proxy: Handler;
  log: Log;
}

export function mainHandler(options: MainHandlerOptions): Handler {
  const { drainer, readiness, upgrades, limits, proxy, log } = options;
  const layers: Layer[] = [
    // Before anything counts: probes are no load, never wait, and never reach the app. Whatever is not answered here is
    // an ordinary request, whoever it claims to be from.
    probes(drainer, readiness, options.observeProbe),
    // Outside of all that takes time: durations are what the client waited.
    ...options.observers.map(observed),
    // What is left is a request: it restarts the quiet period, and drain waits for its end.
    drained(drainer, upgrades),
    // Around the breaker: waiting for capacity is part of the time that a request may take.
    timed(limits, log),
    // Only what goes to the app needs it.
    forwarded,
  ];
  return layers.reduceRight((next, layer) => layer(next), proxy);
}

function observed(observe: Observe): Layer {
  return (next) => (exchange) => {
    observe(exchange);
    return next(exchange);
  };
}

function probes(drainer: Drainer, readiness: ReadinessProbe, observe: Observe | undefined): Layer {
  const ready = (): Promise<boolean> => readiness.check();
  return (next) => (exchange) => {
    const { draining } = drainer;
    const answered =
      answerHealthProbe(exchange, { name: "queue", draining, ready }) || answerHashProbe(exchange, draining);
    if (!answered) return next(exchange);
    observe?.(exchange);
    return undefined;
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
      answerTimeout(exchange, limit);
    });
    return next(exchange);
  };
}

const forwarded: Layer = (next) => (exchange) => {
  addForwarded(exchange.head.headers);
  return next(exchange);
};
