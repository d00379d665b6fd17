/**
 * The load of one revision, from all who see a part of it, as averages over its windows.
 *
 * Sources report integrals, so what a second held is known exactly once they have reported past its end. A decision
 * does not wait for that: each second is written as it ends, with every live source assumed to go on as it was last
 * seen, and the report that comes later puts the difference where it belongs. A silent live source thus keeps its last
 * concurrency, a repeated or merged message changes nothing, and a source that is gone adds nothing more.
 */
import type { Aggregation } from "../api/autoscaling-annotations.ts";
import type { Load } from "../proto/gen/stats.ts";
import { LoadSource, type Refusal, type SourceKind, type SourceMemory, type Step } from "./load-source.ts";
import { TimeWindow, type WindowMemory } from "./time-window.ts";

export interface WindowSettings {
  stableWindowMs: number;
  panicWindowMs: number;
  aggregation: Aggregation;
}

export type Recorded = { is: "used" } | { is: "stale" } | { is: "refused"; because: Refusal };

export interface Averages {
  stable: number;
  panic: number;
  /** False when nothing was seen for a stable window: the averages say nothing then. */
  hasData: boolean;
}

/** All that another process needs to go on with a revision's windows. */
export interface CollectionMemory {
  settings: WindowSettings;
  /** The second (Unix time) that had not ended. */
  second: number;
  open: number;
  seen: boolean;
  arrivals: { current: number; before: number; seen: boolean; seenBefore: boolean };
  concurrency: WindowMemory | undefined;
  requests: WindowMemory | undefined;
  sources: SourceMemory[];
}

/** A concurrency counts between ticks when it was never lower for this long. */
export const heldMs = 100;
/** Of its first second a series needs to have seen this much to use it. */
const smallestCoverage = 0.1;
/** Changes of concurrency that are told apart within `heldMs`. */
const heldChanges = 32;

export class Collection {
  #settings: WindowSettings;
  readonly #sources = new Map<string, LoadSource>();
  #concurrency: Pair;
  #requests: Pair;
  /** The second (Unix time) that has not ended yet. */
  #current: number;
  /** Sum of the live sources' rates: what each second gets when it ends. */
  #rate = 0;
  /** Correction to that for the current second. */
  #open = 0;
  /** Sources whose silence means something: pods, and activators that hold requests. */
  #present = 0;
  #seenInSecond = false;
  /** When the present series began, while that is in the current second. */
  #seriesStartMs: number | undefined;
  /** Arrivals of the current second and of the one before, whose last reports are still under way. */
  #arrivals = { current: 0, before: 0, seen: false, seenBefore: false };
  /** What senders of averages (`upstream/`) have in flight; what they held is written, second by second, as they say. */
  #averaged = 0;
  /** Concurrency over the last `heldMs`, oldest first; each holds until the next. */
  #levels: { atMs: number; value: number }[] = [];

  constructor(settings: WindowSettings, nowMs: number) {
    this.#settings = settings;
    this.#concurrency = windows(settings);
    this.#requests = windows(settings);
    this.#current = secondOf(nowMs);
  }

  /** Goes on where another process was: its live sources are taken to go on as they were last seen. */
  static from(memory: CollectionMemory): Collection {
    const { settings, second, open, seen, arrivals, sources } = memory;
    const collection = new Collection(settings, second * 1000);
    restore(collection.#concurrency, memory.concurrency);
    restore(collection.#requests, memory.requests);
    collection.#open = open;
    collection.#seenInSecond = seen;
    collection.#arrivals = { ...arrivals };
    for (const each of sources) {
      const source = LoadSource.from(each);
      collection.#sources.set(source.id, source);
      collection.#rate += source.rate;
      if (source.kind === "pod" || source.rate > 0) collection.#present += 1;
    }
    collection.#levels = [{ atMs: second * 1000, value: collection.#rate }];
    return collection;
  }

  memory(nowMs: number): CollectionMemory {
    this.#settle(nowMs);
    return {
      settings: this.#settings,
      second: this.#current,
      open: this.#open,
      seen: this.#seenInSecond,
      arrivals: { ...this.#arrivals },
      concurrency: this.#concurrency.stable.memory(),
      requests: this.#requests.stable.memory(),
      sources: [...this.#sources.values()].flatMap((source) => source.memory() ?? []),
    };
  }

  /** Takes over what the live sources of another collection of the same revision last said. */
  adopt(other: Collection, nowMs: number): void {
    for (const { id, kind, epoch, load } of other.memory(nowMs).sources)
      this.record(this.attach(id, kind, epoch, nowMs), load, nowMs);
  }

  /** Sources that were handed over and have not come are gone. */
  dropAwaited(nowMs: number): void {
    for (const source of this.#sources.values()) if (source.awaited) this.detach(source, nowMs);
  }

  /** Windows of other lengths keep what they can; another way of averaging starts afresh. */
  configure(settings: WindowSettings): void {
    const before = this.#settings;
    this.#settings = settings;
    if (settings.aggregation !== before.aggregation) {
      this.#concurrency = windows(settings);
      this.#requests = windows(settings);
      return;
    }
    for (const pair of [this.#concurrency, this.#requests]) {
      pair.stable.resize(settings.stableWindowMs);
      pair.panic.resize(settings.panicWindowMs);
    }
  }

  /** In flight over all live sources, and as the last averages have it. */
  get inFlight(): number {
    return this.#rate + this.#averaged;
  }

  /** Nobody reports, or only activators that hold nothing. */
  get isQuiet(): boolean {
    return this.#present === 0 && this.#averaged === 0;
  }

  get sourceCount(): number {
    return this.#sources.size;
  }

  /** The most that was in flight at every moment of the last `heldMs`. */
  heldConcurrency(nowMs: number): number {
    this.#forgetLevels(nowMs);
    const { length } = this.#levels;
    if (length === 0 || this.#levels[0]!.atMs > nowMs - heldMs) return 0;
    let lowest = Infinity;
    for (const level of this.#levels) lowest = Math.min(lowest, level.value);
    return lowest;
  }

  averages(metric: "concurrency" | "rps", nowMs: number): Averages {
    this.#settle(nowMs);
    const pair = metric === "rps" ? this.#requests : this.#concurrency;
    // The current second is not written yet, with arrivals also not the one before.
    const atMs = nowMs - (metric === "rps" ? 2000 : 1000);
    const hasData = !pair.stable.isEmpty(atMs) && !pair.stable.isEmpty(atMs + 1000);
    return { stable: pair.stable.average(atMs), panic: pair.panic.average(atMs), hasData };
  }

  /** A stream begins; one of the same epoch goes on where it was. */
  attach(id: string, kind: SourceKind, epoch: number, nowMs: number): LoadSource {
    this.#settle(nowMs);
    this.#purge(nowMs);
    const known = this.#sources.get(id);
    if (known?.epoch === epoch && known.kind === kind) {
      known.awaited = false;
      if (!known.live) {
        known.live = true;
        if (kind === "pod") this.#appears(nowMs);
      }
      return known;
    }
    if (known !== undefined) this.detach(known, nowMs);
    const source = new LoadSource(id, kind, epoch, nowMs);
    this.#sources.set(id, source);
    if (kind === "pod") this.#appears(nowMs);
    return source;
  }

  /** The stream has ended: from here on the source adds nothing. */
  detach(source: LoadSource, nowMs: number): void {
    if (!source.live) return;
    this.#settle(nowMs);
    this.#setRate(source, 0, nowMs, nowMs);
    source.taken = { rate: source.taken.rate, untilMs: nowMs };
    source.live = false;
    source.seenMs = nowMs;
    if (source.kind === "pod") this.#disappears();
  }

  record(source: LoadSource, load: Load, nowMs: number): Recorded {
    this.#settle(nowMs);
    const step = source.step(load, nowMs);
    switch (step.is) {
      case "stale":
        return { is: "stale" };
      case "refused":
        return { is: "refused", because: step.because };
      case "start":
        this.#setRate(source, source.concurrencyOf(load), step.atMs, nowMs);
        if (step.arrivals > 0) this.#addArrivals(secondOf(nowMs), step.arrivals);
        break;
      case "interval":
        this.#spread(step, source.taken);
        this.#setRate(source, source.concurrencyOf(load), step.toMs, nowMs);
        break;
    }
    source.taken = { rate: source.rate, untilMs: Infinity };
    return { is: "used" };
  }

  /**
   * The load of a whole second from a sender that knows averages only: of the one that had ended at `atMs`. Values of
   * one second add up.
   */
  recordSecond(load: { concurrency: number; requests: number }, atMs: number, nowMs: number): void {
    this.#settle(nowMs);
    // Written where the newest values of streams are, which `averages` reads up to.
    const ended = Math.min(secondOf(atMs), this.#current) - 1;
    write(this.#concurrency, ended, load.concurrency);
    write(this.#requests, ended - 1, load.requests);
  }

  /** The senders of averages have so many more in flight. */
  addAveraged(change: number): void {
    this.#averaged = clean(this.#averaged + change);
  }

  /** Puts what an interval held into its seconds, less what they were given already. */
  #spread(step: Extract<Step, { is: "interval" }>, taken: LoadSource["taken"]): void {
    const { fromMs, toMs, requestSeconds, arrivals } = step;
    const lengthMs = toMs - fromMs;
    if (lengthMs <= 0) {
      this.#add(secondOf(toMs), requestSeconds);
      this.#addArrivals(secondOf(toMs), arrivals);
      return;
    }
    const oldest = this.#current - Math.ceil(this.#settings.stableWindowMs / 1000);
    for (let second = Math.max(secondOf(fromMs), oldest); second <= secondOf(toMs); second++) {
      const startMs = Math.max(fromMs, second * 1000);
      const endMs = Math.min(toMs, (second + 1) * 1000);
      const share = (endMs - startMs) / lengthMs;
      const given = (taken.rate * Math.max(0, Math.min(endMs, taken.untilMs) - startMs)) / 1000;
      this.#add(second, requestSeconds * share - given);
      this.#addArrivals(second, arrivals * share);
    }
  }

  /** From `atMs` on the source counts with another rate. */
  #setRate(source: LoadSource, rate: number, atMs: number, nowMs: number): void {
    const change = rate - source.rate;
    if (change === 0) return;
    const second = secondOf(atMs);
    if (second >= this.#current) {
      // The whole second gets the new rate when it ends, but the part before `atMs` had the old one.
      this.#open -= (change * (atMs - this.#current * 1000)) / 1000;
    } else {
      this.#add(second, (change * ((second + 1) * 1000 - atMs)) / 1000);
      for (let ended = second + 1; ended < this.#current; ended++) this.#add(ended, change);
    }
    if (source.kind === "activator") {
      if (source.rate === 0) this.#appears(atMs);
      if (rate === 0) this.#disappears();
    }
    this.#rate += change;
    source.rate = rate;
    this.#noteLevel(nowMs);
  }

  #appears(atMs: number): void {
    if (this.#present === 0 && this.#concurrency.stable.isEmpty(atMs) && !this.#seenInSecond)
      this.#seriesStartMs = Math.max(atMs, this.#current * 1000);
    this.#present += 1;
    this.#seenInSecond = true;
  }

  #disappears(): void {
    this.#present -= 1;
  }

  /** Writes the seconds that have ended. */
  #settle(nowMs: number): void {
    const current = secondOf(nowMs);
    if (current <= this.#current) return;
    const seconds = Math.ceil(this.#settings.stableWindowMs / 1000);
    for (let second = this.#current; second < current; second++) {
      // A long silence: only the seconds of the window matter.
      if (second > this.#current + 1 && second < current - seconds) second = current - seconds;
      this.#settleSecond(second);
    }
    this.#current = current;
  }

  #settleSecond(second: number): void {
    if (this.#seenInSecond || this.#present > 0) {
      const startMs = this.#seriesStartMs;
      const coverage = startMs === undefined ? 1 : ((second + 1) * 1000 - startMs) / 1000;
      const value = this.#rate + this.#open;
      if (coverage >= smallestCoverage) write(this.#concurrency, second, clean(value / coverage));
    }
    this.#seriesStartMs = undefined;
    this.#seenInSecond = this.#present > 0;
    this.#open = 0;

    const { current, before, seen, seenBefore } = this.#arrivals;
    if (seenBefore || before > 0) write(this.#requests, second - 1, before);
    this.#arrivals = { current: 0, before: current, seen: this.#present > 0, seenBefore: seen || current > 0 };
  }

  #add(second: number, value: number): void {
    if (Math.abs(value) < 1e-9) return;
    if (second >= this.#current) {
      this.#open += value;
      this.#seenInSecond = true;
    } else write(this.#concurrency, second, value);
  }

  #addArrivals(second: number, value: number): void {
    if (value === 0) return;
    if (second >= this.#current) this.#arrivals.current += value;
    else if (second === this.#current - 1) this.#arrivals.before += value;
    else write(this.#requests, second, value);
  }

  #noteLevel(nowMs: number): void {
    this.#forgetLevels(nowMs);
    if (this.#levels.length === 0) this.#levels.push({ atMs: -Infinity, value: 0 });
    const last = this.#levels.at(-1)!;
    if (last.atMs === nowMs) last.value = this.#rate;
    else if (this.#levels.length < heldChanges) this.#levels.push({ atMs: nowMs, value: this.#rate });
    else {
      // Too many to tell apart: the lower of the two newest before this one stands for both.
      const previous = this.#levels.at(-2)!;
      previous.value = Math.min(previous.value, last.value);
      this.#levels.pop();
      this.#levels.push({ atMs: nowMs, value: this.#rate });
    }
  }

  #forgetLevels(nowMs: number): void {
    let outdated = 0;
    while (outdated + 1 < this.#levels.length && this.#levels[outdated + 1]!.atMs <= nowMs - heldMs) outdated += 1;
    if (outdated > 0) this.#levels.splice(0, outdated);
  }

  #purge(nowMs: number): void {
    for (const source of this.#sources.values())
      if (!source.live && nowMs - source.seenMs > this.#settings.stableWindowMs) this.#sources.delete(source.id);
  }
}

interface Pair {
  stable: TimeWindow;
  panic: TimeWindow;
}

function windows(settings: WindowSettings): Pair {
  return {
    stable: new TimeWindow(settings.stableWindowMs, settings.aggregation),
    panic: new TimeWindow(settings.panicWindowMs, settings.aggregation),
  };
}

function write(pair: Pair, second: number, value: number): void {
  pair.stable.record(second * 1000, value);
  pair.panic.record(second * 1000, value);
}

function restore(pair: Pair, memory: WindowMemory | undefined): void {
  for (const [index, value] of memory?.values.entries() ?? []) write(pair, memory!.second + index, value);
}

const secondOf = (ms: number): number => Math.floor(ms / 1000);

/** Sums and differences of shares leave noise in the last digits, also below zero. */
const clean = (value: number): number => Math.round(value * 1e9) / 1e9;
