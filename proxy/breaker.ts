/** Thrown by {@link Breaker.acquire} past the last slot. */
export class RequestQueueFullError extends Error {
  override readonly name = "RequestQueueFullError";
}

/** A caller in line; what {@link Breaker.leave} takes. */
export type Waiter = () => void;

/**
 * Runs up to `capacity` requests, holds the excess in arrival order, refuses past the last slot
 * (data-plane 1.6: a container concurrency of c gives `queueDepth` 10·c and `capacity` c).
 */
export class Breaker {
  #active = 0;
  #capacity: number;
  /** Bound on running and waiting together: queue depth + most that may ever run. */
  readonly #totalSlots: number;
  /** Keeps the order; one who gives up leaves in O(1). */
  readonly #waiting = new Set<Waiter>();

  /** `maxConcurrency` counts into the slots; `capacity` (default: the same) is what runs now. */
  constructor(options: { queueDepth: number; maxConcurrency: number; capacity?: number }) {
    this.#totalSlots = options.queueDepth + options.maxConcurrency;
    this.#capacity = options.capacity ?? options.maxConcurrency;
  }

  /** Running now. */
  get active(): number {
    return this.#active;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Running and waiting. */
  get inFlight(): number {
    return this.#active + this.#waiting.size;
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Takes a permit if one is free and nobody waits for it. Give it back with {@link release}. */
  tryAcquire(): boolean {
    // With someone waiting a permit is only ever free inside #admitWaiting: a newcomer goes to the end of the line.
    if (this.#active >= this.#capacity || this.#waiting.size > 0) return false;
    this.#active += 1;
    return true;
  }

  /**
   * Gets in line; `admit` is called with the permit already taken. Without a free slot returns false and forgets
   * `admit`. Each caller needs a function of its own: it is the handle for {@link leave}.
   */
  enqueue(admit: Waiter): boolean {
    if (this.inFlight >= this.#totalSlots) return false;
    this.#waiting.add(admit);
    return true;
  }

  /** Gives up waiting; false when it was admitted already (the permit is then the caller's to release). */
  leave(admit: Waiter): boolean {
    return this.#waiting.delete(admit);
  }

  release(): void {
    if (this.#active === 0) throw new Error("a permit was released twice");
    this.#active -= 1;
    this.#admitWaiting();
  }

  /** Takes effect as permits are released; waiters are admitted at once when it grows. */
  updateCapacity(capacity: number): void {
    this.#capacity = capacity;
    this.#admitWaiting();
  }

  /** {@link tryAcquire} or wait. Rejects with `signal.reason`, or {@link RequestQueueFullError}. */
  async acquire(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.tryAcquire()) return;
    await new Promise<void>((resolve, reject) => {
      const admit = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.delete(admit);
        reject(signal.reason as Error);
      };
      if (!this.enqueue(admit)) {
        reject(new RequestQueueFullError("pending request queue full"));
        return;
      }
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  // The permit changes hands here, before anything of the waiter runs, so no newcomer can overtake it.
  #admitWaiting(): void {
    for (const admit of this.#waiting) {
      if (this.#active >= this.#capacity) return;
      this.#active += 1;
      this.#waiting.delete(admit);
      admit();
    }
  }
}
