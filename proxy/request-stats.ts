/**
 * What the autoscaler scales on: concurrency as an integral over time and arrivals as a count, those that came through
 * an activator apart (autoscaling 2.1). Everything is cumulative; averages over any period are differences.
 */

/** Has the fields of `Load` in proto/stats.proto. */
export interface CumulativeLoad {
  clockMs: number;
  requestSeconds: number;
  proxiedRequestSeconds: number;
  arrivals: number;
  proxiedArrivals: number;
  inFlight: number;
  proxiedInFlight: number;
}

/** Averages per second over one period. */
export interface PeriodAverages {
  concurrency: number;
  proxiedConcurrency: number;
  requestsPerSecond: number;
  proxiedRequestsPerSecond: number;
}

export class RequestStats {
  #clockMs: number;
  readonly #startMs: number;
  #concurrencyMs = 0;
  #proxiedConcurrencyMs = 0;
  #arrivals = 0;
  #proxiedArrivals = 0;
  #inFlight = 0;
  #proxiedInFlight = 0;

  /** Times are of any one monotonic clock, milliseconds. `startMs` is the load's clock zero. */
  constructor(startMs: number) {
    this.#startMs = startMs;
    this.#clockMs = startMs;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  arrived(nowMs: number, proxied: boolean): void {
    this.#advance(nowMs);
    this.#arrivals += 1;
    this.#inFlight += 1;
    if (!proxied) return;
    this.#proxiedArrivals += 1;
    this.#proxiedInFlight += 1;
  }

  left(nowMs: number, proxied: boolean): void {
    this.#advance(nowMs);
    this.#inFlight = Math.max(0, this.#inFlight - 1);
    if (proxied) this.#proxiedInFlight = Math.max(0, this.#proxiedInFlight - 1);
  }

  load(nowMs: number): CumulativeLoad {
    this.#advance(nowMs);
    return {
      clockMs: this.#clockMs - this.#startMs,
      requestSeconds: this.#concurrencyMs / 1000,
      proxiedRequestSeconds: this.#proxiedConcurrencyMs / 1000,
      arrivals: this.#arrivals,
      proxiedArrivals: this.#proxiedArrivals,
      inFlight: this.#inFlight,
      proxiedInFlight: this.#proxiedInFlight,
    };
  }

  /** An event stamped earlier than the last one counts as of the last one: time never runs backwards. */
  #advance(nowMs: number): void {
    const elapsedMs = nowMs - this.#clockMs;
    if (elapsedMs <= 0) return;
    this.#clockMs = nowMs;
    this.#concurrencyMs += this.#inFlight * elapsedMs;
    this.#proxiedConcurrencyMs += this.#proxiedInFlight * elapsedMs;
  }
}

/** What Knative's queue-proxy reports for the time between two readings; all zero when no time has passed. */
export function averagesBetween(from: CumulativeLoad, to: CumulativeLoad): PeriodAverages {
  const seconds = (to.clockMs - from.clockMs) / 1000;
  const rate = (before: number, after: number): number => (seconds > 0 ? Math.max(0, (after - before) / seconds) : 0);
  return {
    concurrency: rate(from.requestSeconds, to.requestSeconds),
    proxiedConcurrency: rate(from.proxiedRequestSeconds, to.proxiedRequestSeconds),
    requestsPerSecond: rate(from.arrivals, to.arrivals),
    proxiedRequestsPerSecond: rate(from.proxiedArrivals, to.proxiedArrivals),
  };
}
