/** Waiting longer after each failure in a row, with jitter so that many waiters do not come back together. */

export interface BackOffOptions {
  firstMs: number;
  maxMs: number;
  /** 0 to 1. */
  random?: () => number;
}

export class BackOff {
  readonly #options: BackOffOptions;
  #failures = 0;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  /** Failures since the last reset. */
  get failures(): number {
    return this.#failures;
  }

  reset(): void {
    this.#failures = 0;
  }

  /** How long to wait now: doubles each time, of which a random quarter to the whole. */
  nextMs(): number {
    const { firstMs, maxMs, random = Math.random } = this.#options;
    const ceilingMs = Math.min(maxMs, firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return ceilingMs * (0.25 + 0.75 * random());
  }
}

/** Resolves after `ms` or as soon as the signal aborts, whichever is first; never rejects. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener("abort", finish, { once: true });
  });
}
