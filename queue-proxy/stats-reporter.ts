/**
 * Tells the autoscaler this pod's state and load over one stream: a change of state at once, changes of load coalesced,
 * nothing while nothing happens. Counters are cumulative, so a message that is skipped or repeated does no harm.
 */
import type { CumulativeLoad } from "../proxy/request-stats.ts";
import type { Log } from "./log.ts";
import type { Readiness } from "./readiness-probe.ts";

export type PodStateName = Readiness | "draining";

export interface PodStream {
  /** False: wait for `onDrain` before the next one. */
  send(sequence: number, state: PodStateName, load: CumulativeLoad): boolean;
  close(): void;
}

export interface PodStreamEvents {
  onAcknowledged: (sequence: number) => void;
  /** Another autoscaler, at this address, takes the reports; this stream is about to end. */
  onOwner: (host: string) => void;
  onDrain: () => void;
  /** Once, also when the address cannot be reached. Not after `close`. */
  onEnd: (error: Error) => void;
}

/** Opens a stream that has introduced itself; it may turn out later that nobody is there. */
export type OpenStream = (host: string, port: number, events: PodStreamEvents) => PodStream;

/** While the load changes. */
const changingMs = 100;
/** While requests are in flight and nothing else changes, so that a lost stream is noticed. */
const steadyMs = 1000;
/** A message that is not acknowledged for so long went to nobody. */
const acknowledgeMs = 10_000;
/** Owners that are asked in a row, each on the word of the one before. */
const redirects = 3;
const minBackOffMs = 100;
const maxBackOffMs = 5000;

export interface StatsReporter {
  /** The load has changed. Called for every request, twice. */
  loadChanged(): void;
  /** State has changed: sent at once. */
  stateChanged(): void;
  /** Keeps a stream until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export function createStatsReporter(options: {
  port: number;
  resolve: () => Promise<string[]>;
  open: OpenStream;
  state: () => PodStateName;
  stats: () => CumulativeLoad;
  /** The autoscaler has used a message that says draining: it has told who sends requests here. May repeat. */
  onDrainingAcknowledged: () => void;
  log: Log;
}): StatsReporter {
  const { log } = options;
  let stream: PodStream | undefined;
  let blocked = false;
  let sequence = 0;
  let dirty = false;
  let urgent = false;
  let sentAtMs = -Infinity;
  let timer: NodeJS.Timeout | undefined;
  let timerAtMs = Infinity;
  /** First sequence sent as draining on this stream. */
  let drainingSequence = Infinity;
  let acknowledged = 0;
  /** Since when a message waits for its acknowledgement. */
  let waitingSinceMs = Infinity;
  let onSilent: () => void = () => {};
  let lastError: unknown;

  const send = (): void => {
    if (stream === undefined || blocked) return;
    const state = options.state();
    const load = options.stats();
    sequence += 1;
    dirty = false;
    urgent = false;
    sentAtMs = performance.now();
    if (waitingSinceMs === Infinity) waitingSinceMs = sentAtMs;
    if (state !== "draining") drainingSequence = Infinity;
    else if (drainingSequence === Infinity) drainingSequence = sequence;
    blocked = !stream.send(sequence, state, load);
    schedule(load.inFlight > 0);
  };

  /** One timer, moved only when it must fire sooner. */
  const schedule = (busy: boolean): void => {
    if (stream === undefined) return;
    const atMs = urgent
      ? 0
      : dirty
        ? sentAtMs + changingMs
        : busy
          ? sentAtMs + steadyMs
          : waitingSinceMs + acknowledgeMs;
    if (atMs === Infinity || atMs >= timerAtMs) return;
    clearTimeout(timer);
    timerAtMs = atMs;
    timer = setTimeout(tick, Math.max(0, atMs - performance.now()));
    timer.unref();
  };

  const tick = (): void => {
    timerAtMs = Infinity;
    if (stream === undefined) return;
    const nowMs = performance.now();
    if (nowMs - waitingSinceMs >= acknowledgeMs) {
      onSilent();
      return;
    }
    const busy = options.stats().inFlight > 0;
    if (!blocked && (urgent || dirty || (busy && nowMs - sentAtMs >= steadyMs))) send();
    else schedule(busy);
  };

  /** Resolves when the stream has ended: whether its other side took a report, or who else does. */
  const serve = async (
    host: string,
    signal: AbortSignal,
  ): Promise<{ answered: boolean; owner: string | undefined }> => {
    const ended = Promise.withResolvers<Error | undefined>();
    const stopped = (): void => ended.resolve(undefined);
    let answered = false;
    let owner: string | undefined;
    acknowledged = 0;
    drainingSequence = Infinity;
    waitingSinceMs = Infinity;
    blocked = false;
    const opened = options.open(host, options.port, {
      onAcknowledged(highest) {
        answered = true;
        acknowledged = Math.max(acknowledged, highest);
        waitingSinceMs = acknowledged >= sequence ? Infinity : performance.now();
        if (acknowledged >= drainingSequence) options.onDrainingAcknowledged();
      },
      onOwner(address) {
        owner = address;
        ended.resolve(undefined);
      },
      onDrain() {
        blocked = false;
        if (urgent) send();
        else if (dirty) schedule(false);
      },
      onEnd: (error) => ended.resolve(error),
    });
    stream = opened;
    onSilent = () => ended.resolve(new Error(`nothing acknowledged for ${acknowledgeMs} ms`));
    signal.addEventListener("abort", stopped, { once: true });
    send();
    const error = await ended.promise;
    signal.removeEventListener("abort", stopped);
    stream = undefined;
    clearTimeout(timer);
    timerAtMs = Infinity;
    opened.close();
    if (error !== undefined) {
      lastError = error;
      log.debug({ err: error }, `the stats stream to ${host} ended`);
    }
    return { answered, owner };
  };

  return {
    loadChanged() {
      if (dirty) return;
      dirty = true;
      schedule(true);
    },
    stateChanged() {
      urgent = true;
      send();
    },
    async run(signal) {
      let failures = 0;
      while (!signal.aborted) {
        let answered = false;
        try {
          const hosts = [...(await options.resolve())];
          for (let redirected = 0; hosts.length > 0 && !answered;) {
            if (signal.aborted) return;
            const served = await serve(hosts.shift()!, signal);
            ({ answered } = served);
            if (served.owner !== undefined && redirected++ < redirects) hosts.unshift(served.owner);
          }
        } catch (error) {
          lastError = error;
          log.debug({ err: error }, "no stats stream");
        }
        failures = answered ? 0 : failures + 1;
        // Once per outage, not per try.
        if (failures === 5)
          log.warn({ err: lastError }, "the autoscaler cannot be reached; its stats stream will be retried");
        await backOff(failures, signal);
      }
    },
  };
}

function backOff(failures: number, signal: AbortSignal): Promise<void> {
  const ceilingMs = Math.min(maxBackOffMs, minBackOffMs * 2 ** failures);
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ceilingMs * (0.5 + Math.random() / 2));
    timer.unref();
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}
