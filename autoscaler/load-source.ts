/** One sender of load: its clock in terms of ours, and what its next message may claim. */
import type { Load } from "../proto/gen/stats.ts";

/** `pod`: what came through an activator is counted there and left out here. */
export type SourceKind = "pod" | "activator";

/** What a message adds, on our clock. */
export type Step =
  /** Nothing can be said about the time before: counting starts here. */
  | { is: "start"; atMs: number; arrivals: number }
  | { is: "interval"; fromMs: number; toMs: number; requestSeconds: number; arrivals: number }
  /** Seen before, or overtaken by a newer one. */
  | { is: "stale" }
  | { is: "refused"; because: Refusal };

export type Refusal = "malformed" | "future" | "implausible";

/** A live source as another process goes on with it. */
export interface SourceMemory {
  id: string;
  kind: SourceKind;
  epoch: number;
  rate: number;
  atMs: number;
  seenMs: number;
  offsetMs: number;
  load: Load;
}

/** A source whose clock runs ahead of ours by more than this is not believed. */
const futureSlackMs = 5000;
/** After so many refusals in a row the source is taken as new: its clock has changed for good. */
const refusalsToRestart = 3;
/** Concurrency of one source that is taken for nonsense. */
const implausibleConcurrency = 1_000_000;
/** Differences between its measure of time and ours that mean nothing. */
const jitterMs = 20;
/** How much a source's clock may drift against ours: the smallest delay seen is forgotten at this rate. */
const driftFraction = 0.0001;

export class LoadSource {
  readonly id: string;
  readonly kind: SourceKind;
  readonly epoch: number;
  /** A stream feeds it now. */
  live = true;
  /** What it adds to the present second. */
  rate = 0;
  /** What was taken for granted since the last message, and until when. */
  taken: { rate: number; untilMs: number } = { rate: 0, untilMs: Infinity };
  /** Our time of the last message's clock. */
  atMs = 0;
  /** When the last message came, or the stream ended. */
  seenMs: number;
  /** Handed over by another process: its stream has not come here yet. */
  awaited = false;
  #load: Load | undefined;
  /** Our clock minus the source's, with the smallest delay seen. */
  #offsetMs = 0;
  /** The smallest since counting started, as it was. */
  #firstOffsetMs = 0;
  #refusals = 0;

  constructor(id: string, kind: SourceKind, epoch: number, nowMs: number) {
    this.id = id;
    this.kind = kind;
    this.epoch = epoch;
    this.seenMs = nowMs;
  }

  /** Of a source that goes on as it was, until its stream comes. */
  static from(memory: SourceMemory): LoadSource {
    const source = new LoadSource(memory.id, memory.kind, memory.epoch, memory.seenMs);
    source.rate = memory.rate;
    source.taken = { rate: memory.rate, untilMs: Infinity };
    source.atMs = memory.atMs;
    source.awaited = true;
    source.#load = memory.load;
    source.#offsetMs = memory.offsetMs;
    source.#firstOffsetMs = memory.offsetMs;
    return source;
  }

  /** Undefined while it has said nothing, or is gone. */
  memory(): SourceMemory | undefined {
    const { id, kind, epoch, rate, atMs, seenMs } = this;
    if (!this.live || this.#load === undefined) return undefined;
    return { id, kind, epoch, rate, atMs, seenMs, offsetMs: this.#offsetMs, load: this.#load };
  }

  /** In flight here and counted nowhere else. */
  concurrencyOf(load: Load): number {
    return this.kind === "pod" ? Math.max(0, load.inFlight - load.proxiedInFlight) : load.inFlight;
  }

  /** Takes the message in. */
  step(load: Load, nowMs: number): Step {
    if (!isWellFormed(load)) return { is: "refused", because: "malformed" };
    if (load.inFlight > implausibleConcurrency) return { is: "refused", because: "implausible" };
    const before = this.#load;
    if (before === undefined) return this.#start(load, nowMs, load.arrivals <= load.inFlight);
    const clockMs = load.clockMs - before.clockMs;
    if (clockMs < 0 || (clockMs === 0 && isSame(load, before))) return { is: "stale" };
    if (this.#wentBack(load, before)) return this.#start(load, nowMs, false);

    // By the smallest delay seen: when we are late ourselves, many of its seconds come in one of ours.
    if (load.clockMs + this.#offsetMs > nowMs + futureSlackMs) return this.#refuse("future", load, nowMs);
    const requestSeconds = this.#requestSeconds(load) - this.#requestSeconds(before);
    if (requestSeconds > implausibleConcurrency * Math.max(clockMs / 1000, 1))
      return this.#refuse("implausible", load, nowMs);

    this.#refusals = 0;
    const drifted = this.#offsetMs + Math.max(0, nowMs - this.seenMs) * driftFraction;
    this.#offsetMs = Math.min(drifted, nowMs - load.clockMs);
    // Counting started later than it seemed: the beginning of this interval lies before it.
    const beforeStartMs = Math.max(0, this.#firstOffsetMs - this.#offsetMs);
    this.#firstOffsetMs -= beforeStartMs;
    const uncounted = (this.concurrencyOf(before) * Math.min(beforeStartMs, clockMs)) / 1000;
    const fromMs = this.atMs;
    this.atMs = Math.max(fromMs, load.clockMs + this.#offsetMs);
    this.seenMs = nowMs;
    this.#load = load;
    const arrivals = this.#arrivals(load) - this.#arrivals(before);
    // Its clock measured the time: what seems a little longer or shorter to us had the same concurrency, or a load
    // that is steady at the target of one pod would now and then ask for two.
    const countedMs = clockMs - beforeStartMs;
    const lengthMs = this.atMs - fromMs;
    const stretch = countedMs > 0 && Math.abs(lengthMs - countedMs) <= jitterMs ? lengthMs / countedMs : 1;
    return {
      is: "interval",
      fromMs,
      toMs: this.atMs,
      requestSeconds: Math.max(0, requestSeconds - uncounted) * stretch,
      arrivals,
    };
  }

  #start(load: Load, nowMs: number, fresh: boolean): Step {
    this.#load = load;
    this.#refusals = 0;
    this.#offsetMs = nowMs - load.clockMs;
    this.#firstOffsetMs = this.#offsetMs;
    this.atMs = nowMs;
    this.seenMs = nowMs;
    // When all that ever arrived is still here it has just arrived.
    return { is: "start", atMs: nowMs, arrivals: fresh ? this.#arrivals(load) : 0 };
  }

  #refuse(because: Refusal, load: Load, nowMs: number): Step {
    this.#refusals += 1;
    if (because === "future" && this.#refusals >= refusalsToRestart) return this.#start(load, nowMs, false);
    return { is: "refused", because };
  }

  #wentBack(load: Load, before: Load): boolean {
    return (
      load.requestSeconds < before.requestSeconds ||
      load.proxiedRequestSeconds < before.proxiedRequestSeconds ||
      load.arrivals < before.arrivals ||
      load.proxiedArrivals < before.proxiedArrivals
    );
  }

  #requestSeconds(load: Load): number {
    return this.kind === "pod" ? load.requestSeconds - load.proxiedRequestSeconds : load.requestSeconds;
  }

  #arrivals(load: Load): number {
    return this.kind === "pod" ? Math.max(0, load.arrivals - load.proxiedArrivals) : load.arrivals;
  }
}

function isWellFormed(load: Load): boolean {
  const { clockMs, requestSeconds, proxiedRequestSeconds, arrivals, proxiedArrivals, inFlight, proxiedInFlight } = load;
  if (
    !isCount(clockMs) ||
    !isCount(requestSeconds) ||
    !isCount(proxiedRequestSeconds) ||
    !isCount(arrivals) ||
    !isCount(proxiedArrivals) ||
    !isCount(proxiedInFlight)
  )
    return false;
  // Sums of many small numbers may differ in their last digits.
  return (
    proxiedRequestSeconds <= requestSeconds * (1 + 1e-9) + 1e-6 &&
    proxiedArrivals <= arrivals &&
    proxiedInFlight <= inFlight
  );
}

const isCount = (value: number): boolean => value >= 0 && value <= Number.MAX_SAFE_INTEGER;

function isSame(a: Load, b: Load): boolean {
  return (
    a.requestSeconds === b.requestSeconds &&
    a.proxiedRequestSeconds === b.proxiedRequestSeconds &&
    a.arrivals === b.arrivals &&
    a.proxiedArrivals === b.proxiedArrivals &&
    a.inFlight === b.inFlight &&
    a.proxiedInFlight === b.proxiedInFlight
  );
}
