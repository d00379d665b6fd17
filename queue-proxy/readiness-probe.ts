/** The user's readiness probe, run on the pod's behalf (data-plane 1.9). */
import { runProbe } from "./probe-action.ts";
import type { Log } from "./log.ts";
import type { ProbeSpec } from "./probe-spec.ts";

/** Knative tries a probe without a period each 50 ms; the first tries here come sooner, since most apps start fast. */
const firstPauseMs = 5;
const maxPauseMs = 50;
const aggressiveLimitMs = 10_000;
const aggressiveTryMs = 100;
/** Between the tries of our own before the first success, for a probe with a period. */
const maxStartPauseMs = 200;

export type Readiness = "starting" | "ready" | "not-ready";

export interface ReadinessProbe {
  readonly state: Readiness;
  /** Runs the probe, or joins a run: true when every container passes. */
  check(): Promise<boolean>;
  /** Nothing listens any more, whatever the last run said. False when it was never ready, or nothing is probed. */
  lost(): boolean;
  /** Tries until it succeeds; `signal` ends it. Again after a loss of readiness. */
  watch(signal: AbortSignal): void;
}

/**
 * Without probes the app is ready at once. `onChange` hears every change of state; readiness is lost only after as many
 * failed runs as the probe's failureThreshold says, since each caller's run counts as one.
 */
export function createReadinessProbe(options: {
  probes: readonly ProbeSpec[];
  http2AutoDetection: boolean;
  log: Log;
  onChange: (state: Readiness) => void;
}): ReadinessProbe {
  const { probes, log } = options;
  const failureThreshold = Math.max(1, ...probes.map((probe) => probe.failureThreshold));
  let state: Readiness = "starting";
  let failures = 0;
  let running: Promise<boolean> | undefined;
  let watching: AbortSignal | undefined;

  const become = (next: Readiness): void => {
    if (state === next) return;
    state = next;
    options.onChange(next);
  };

  const check = (): Promise<boolean> => {
    running ??= runAll().finally(() => {
      running = undefined;
    });
    return running;
  };

  const runAll = async (): Promise<boolean> => {
    const outcomes = await Promise.all(probes.map((probe) => run(probe)));
    const passed = outcomes.every(Boolean);
    if (passed) {
      failures = 0;
      become("ready");
    } else {
      failures += 1;
      if (state === "ready" && failures >= failureThreshold) {
        become("not-ready");
        if (watching !== undefined) void keepTrying(watching);
      }
    }
    return passed;
  };

  const run = async (probe: ProbeSpec): Promise<boolean> => {
    const { action } = probe;
    const once = (timeoutMs: number): Promise<void> => runProbe(action, timeoutMs, options.http2AutoDetection);
    if (probe.periodMs > 0) {
      try {
        await once(probe.timeoutMs);
        return true;
      } catch (error) {
        log.debug({ err: error }, "the readiness probe failed");
        return false;
      }
    }
    const startedMs = performance.now();
    let successes = 0;
    let tries = 0;
    for (;;) {
      tries += 1;
      try {
        await once(aggressiveTryMs);
        successes += 1;
        if (successes >= probe.successThreshold) return true;
      } catch (error) {
        successes = 0;
        if (performance.now() - startedMs >= aggressiveLimitMs) {
          log.warn({ err: error }, `aggressive probe error (failed ${tries} times): ${(error as Error).message}`);
          return false;
        }
      }
      await pause(Math.min(maxPauseMs, Math.max(firstPauseMs, (performance.now() - startedMs) / 10)));
    }
  };

  const keepTrying = async (signal: AbortSignal): Promise<void> => {
    const startedMs = performance.now();
    while (!signal.aborted) {
      if (await check()) return;
      await pause(Math.min(maxStartPauseMs, Math.max(firstPauseMs, (performance.now() - startedMs) / 10)));
    }
  };

  return {
    get state() {
      return state;
    },
    check,
    lost() {
      if (probes.length === 0 || state === "starting") return false;
      if (state === "ready") {
        become("not-ready");
        if (watching !== undefined) void keepTrying(watching);
      }
      return true;
    },
    watch(signal) {
      watching = signal;
      void keepTrying(signal);
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
