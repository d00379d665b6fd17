/**
 * Averages over the last seconds (spec: autoscaling 2.5). One bucket per second of Unix time; values that land in the
 * same second add up, because a second's total forms from several sources.
 */
import type { Aggregation } from "../api/autoscaling-annotations.ts";

/** Weight of everything outside the window when the exponential average is chosen: 1 - 0.9999. */
const smallestWeightSum = 1 - 0.9999;
const smallestSmoothing = 0.2;

/** One value per second, from `second` (Unix time) on. */
export interface WindowMemory {
  second: number;
  values: number[];
}

export class TimeWindow {
  #buckets: Float64Array;
  #total = 0;
  /** Unix seconds; undefined before the first write. */
  #first: number | undefined;
  #last = 0;
  readonly #average: (nowSecond: number) => number;
  #smoothing = 0;
  #decay = 0;

  constructor(windowMs: number, aggregation: Aggregation) {
    this.#buckets = new Float64Array(Math.max(1, Math.ceil(windowMs / 1000)));
    this.#average = aggregation === "linear" ? (now) => this.#linear(now) : (now) => this.#weighted(now);
    this.#setSmoothing();
  }

  /** Adds `value` to the second of `nowMs`; seconds that have left the window are ignored. */
  record(nowMs: number, value: number): void {
    const second = Math.floor(nowMs / 1000);
    const size = this.#buckets.length;
    if (this.#first === undefined) {
      this.#first = second;
      this.#last = second;
    } else if (second > this.#last) {
      if (second - this.#last >= size) {
        this.#buckets.fill(0);
        this.#total = 0;
        this.#first = second;
      } else for (let at = this.#last + 1; at <= second; at++) this.#clear(at);
      this.#last = second;
    } else if (second <= this.#last - size) return;
    else if (second < this.#first) this.#first = second;
    const index = this.#index(second);
    this.#buckets[index] = this.#buckets[index]! + value;
    this.#total += value;
  }

  average(nowMs: number): number {
    return this.isEmpty(nowMs) ? 0 : this.#average(Math.floor(nowMs / 1000));
  }

  /** Nothing was recorded for longer than the window. */
  isEmpty(nowMs: number): boolean {
    return this.#first === undefined || Math.floor(nowMs / 1000) - this.#last > this.#buckets.length;
  }

  /** The second of the first value of the present series, in milliseconds; undefined before any. */
  get sinceMs(): number | undefined {
    return this.#first === undefined ? undefined : this.#first * 1000;
  }

  /** The values from the first second of the present series, or of the window, to the last one written. */
  memory(): WindowMemory | undefined {
    if (this.#first === undefined) return undefined;
    const second = Math.max(this.#first, this.#last - this.#buckets.length + 1);
    const values: number[] = [];
    for (let at = second; at <= this.#last; at++) values.push(this.#buckets[this.#index(at)]!);
    return { second, values };
  }

  /** Keeps the newest buckets. */
  resize(windowMs: number): void {
    const size = Math.max(1, Math.ceil(windowMs / 1000));
    const old = this.#buckets;
    if (size === old.length) return;
    this.#buckets = new Float64Array(size);
    this.#total = 0;
    this.#setSmoothing();
    if (this.#first === undefined) return;
    const kept = Math.min(size, old.length);
    for (let back = 0; back < kept; back++) {
      const second = this.#last - back;
      const value = old[((second % old.length) + old.length) % old.length]!;
      this.#buckets[this.#index(second)] = value;
      this.#total += value;
    }
    this.#first = this.#last - (old.length - 1);
  }

  #linear(now: number): number {
    const size = this.#buckets.length;
    const written = Math.min(this.#last - this.#first! + 1, size);
    const gap = now - this.#last;
    if (gap >= size) return 0;
    if (gap <= 0) return roundTo6(this.#total / written);
    // The seconds since the last write have not been reported yet: they are left out, not counted as zero.
    let rest = this.#total;
    for (let at = this.#last + 1; at <= now; at++) rest -= this.#buckets[this.#index(at)]!;
    return roundTo6(rest / Math.min(written, size - gap));
  }

  #weighted(now: number): number {
    const size = this.#buckets.length;
    let sum = 0;
    let weight = this.#smoothing;
    for (let back = 0; back < size; back++) {
      const second = now - back;
      // Seconds after the last write still hold what was there a window ago.
      if (second <= this.#last && second > this.#last - size) sum += this.#buckets[this.#index(second)]! * weight;
      weight *= this.#decay;
    }
    return sum;
  }

  #setSmoothing(): void {
    this.#smoothing = Math.max(smallestSmoothing, 1 - smallestWeightSum ** (1 / this.#buckets.length));
    this.#decay = 1 - this.#smoothing;
  }

  #index(second: number): number {
    const size = this.#buckets.length;
    return ((second % size) + size) % size;
  }

  #clear(second: number): void {
    const index = this.#index(second);
    this.#total -= this.#buckets[index]!;
    this.#buckets[index] = 0;
  }
}

/** Half away from zero, and the noise of adding and subtracting in `total` goes with it. */
function roundTo6(value: number): number {
  const scaled = value * 1e6;
  return (scaled < 0 ? -Math.floor(-scaled + 0.5) : Math.floor(scaled + 0.5)) / 1e6 || 0;
}
