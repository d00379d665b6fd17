/**
 * A proxy that is to stop goes on serving until nobody sends it new requests: whoever routes to it hears of the end
 * with a delay. Quiet is a time without a new request; drained is quiet and nothing in flight.
 */
export interface DrainTimes {
  /** Without a new request, when nothing says that the senders know. */
  quietMs: number;
  /** After {@link Drainer.acknowledged}: all senders were told. */
  acknowledgedQuietMs: number;
}

export class Drainer {
  readonly #times: DrainTimes;
  #inFlight = 0;
  #state: { is: "serving" } | { is: "draining"; lastMs: number; toldMs: number | undefined } | { is: "quiet" } = {
    is: "serving",
  };
  #timer: NodeJS.Timeout | undefined;
  #quiet = Promise.withResolvers<void>();
  #drained = Promise.withResolvers<void>();

  constructor(times: DrainTimes) {
    this.#times = times;
  }

  /** Requests between {@link arrived} and {@link left}. */
  get inFlight(): number {
    return this.#inFlight;
  }

  get draining(): boolean {
    return this.#state.is !== "serving";
  }

  /** No new request for the quiet time; what is in flight may still run. */
  get quiet(): Promise<void> {
    return this.#quiet.promise;
  }

  /** Quiet and nothing in flight. */
  get drained(): Promise<void> {
    return this.#drained.promise;
  }

  start(): void {
    if (this.#state.is !== "serving") return;
    this.#state = { is: "draining", lastMs: performance.now(), toldMs: undefined };
    this.#wait();
  }

  /** Back to serving, unless it is quiet already. Waiters are released. */
  cancel(): void {
    if (this.#state.is !== "draining") return;
    this.#state = { is: "serving" };
    clearTimeout(this.#timer);
    this.#quiet.resolve();
    this.#drained.resolve();
    this.#quiet = Promise.withResolvers<void>();
    this.#drained = Promise.withResolvers<void>();
  }

  /** Every sender was told, so that fewer requests are on their way here. */
  acknowledged(): void {
    if (this.#state.is !== "draining" || this.#state.toldMs !== undefined) return;
    this.#state.toldMs = performance.now();
    this.#wait();
  }

  /** Call for every request that is not a probe. */
  arrived(): void {
    this.#inFlight += 1;
    if (this.#state.is === "draining") this.#state.lastMs = performance.now();
  }

  /** Call when such a request has ended. */
  left(): void {
    this.#inFlight -= 1;
    this.#settle();
  }

  #settle(): void {
    if (this.#state.is === "quiet" && this.#inFlight === 0) this.#drained.resolve();
  }

  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#state.is !== "draining") return;
    const leftMs = this.#quietAtMs(this.#state.lastMs, this.#state.toldMs) - performance.now();
    if (leftMs > 0) {
      this.#timer = setTimeout(() => this.#wait(), leftMs);
      return;
    }
    this.#state = { is: "quiet" };
    this.#quiet.resolve();
    this.#settle();
  }

  #quietAtMs(lastMs: number, toldMs: number | undefined): number {
    const untoldMs = lastMs + this.#times.quietMs;
    if (toldMs === undefined) return untoldMs;
    return Math.min(untoldMs, Math.max(lastMs, toldMs) + this.#times.acknowledgedQuietMs);
  }
}
