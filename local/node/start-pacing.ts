/** Lets few pods start at a time, so that a burst of new ones leaves the processors to those that serve. */

export interface Place {
  /** Lets the next one start. May be called again. */
  release(): void;
}

interface Waiting {
  admit: (place: Place) => void;
}

export class StartPacing {
  readonly #limit: number;
  readonly #maxHoldMs: number;
  readonly #waiting = new Set<Waiting>();
  #held = 0;

  /** @param options.maxHoldMs a start that takes longer gives its place up. */
  constructor(options: { limit: number; maxHoldMs: number }) {
    this.#limit = options.limit;
    this.#maxHoldMs = options.maxHoldMs;
  }

  /**
   * In order of arrival. One that is `first` starts at once, for the few pods that all others need: they may wait for
   * each other while they start, and then must not hold each other up. It still keeps the next ordinary one waiting.
   * Rejects with the signal's reason.
   */
  async place(first: boolean, signal: AbortSignal): Promise<Place> {
    signal.throwIfAborted();
    if (first || this.#held < this.#limit) return this.#take();
    return new Promise<Place>((resolve, reject) => {
      const waiting: Waiting = {
        admit: (place) => {
          signal.removeEventListener("abort", leave);
          resolve(place);
        },
      };
      const leave = (): void => {
        this.#waiting.delete(waiting);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(waiting);
    });
  }

  #take(): Place {
    this.#held += 1;
    let holds = true;
    const release = (): void => {
      if (!holds) return;
      holds = false;
      clearTimeout(timer);
      this.#held -= 1;
      this.#admitNext();
    };
    const timer = setTimeout(release, this.#maxHoldMs);
    timer.unref();
    return { release };
  }

  #admitNext(): void {
    for (const waiting of this.#waiting) {
      if (this.#held >= this.#limit) return;
      this.#waiting.delete(waiting);
      waiting.admit(this.#take());
    }
  }
}
