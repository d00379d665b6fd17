/** Failures in a row of one key wait this long first, then twice as long each time. */
const firstRetryMs = 5;
const maxRetryMs = 60_000;
/** The longest a Node timer can take. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Keys waiting for a worker. A key is queued once, run by one worker, and re-run if added meanwhile. Bounded by the
 * number of distinct keys.
 */
export class WorkQueue<K extends string = string> {
  /** Needs a run. */
  readonly #dirty = new Set<K>();
  /** Is being run. */
  readonly #processing = new Set<K>();
  /** In order of arrival; entries before `#head` are taken. */
  #ready: K[] = [];
  #head = 0;
  readonly #waitingWorkers: ((key: K | undefined) => void)[] = [];
  readonly #later = new Map<K, { timer: NodeJS.Timeout; atMs: number }>();
  readonly #failures = new Map<K, number>();
  readonly #random: () => number;
  #stopped = false;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Keys that wait for a worker now; those that wait for a time are not counted. */
  get depth(): number {
    return this.#ready.length - this.#head;
  }

  add(key: K): void {
    if (this.#stopped || this.#dirty.has(key)) return;
    this.#dirty.add(key);
    if (!this.#processing.has(key)) this.#offer(key);
  }

  /** Adds it after `ms`. Of several times for one key the earliest counts. */
  addAfter(key: K, ms: number): void {
    if (this.#stopped) return;
    if (ms <= 0) {
      this.add(key);
      return;
    }
    const delayMs = Math.min(ms, maxTimerMs);
    const atMs = performance.now() + delayMs;
    const planned = this.#later.get(key);
    if (planned !== undefined) {
      if (planned.atMs <= atMs) return;
      clearTimeout(planned.timer);
    }
    const timer = setTimeout(() => {
      this.#later.delete(key);
      this.add(key);
    }, delayMs);
    this.#later.set(key, { timer, atMs });
  }

  /** Adds it after a time that doubles with each call, with jitter, until {@link forget}. */
  addRateLimited(key: K): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const ceilingMs = Math.min(maxRetryMs, firstRetryMs * 2 ** Math.min(failures, 30));
    this.addAfter(key, ceilingMs * (0.5 + 0.5 * this.#random()));
  }

  /** The key's failures no longer count. */
  forget(key: K): void {
    this.#failures.delete(key);
  }

  /** The next key, marked as being run; undefined once the queue is shut down. Call {@link done} afterwards. */
  async take(): Promise<K | undefined> {
    if (this.#stopped) return undefined;
    if (this.#head < this.#ready.length) return this.#start(this.#shift());
    return new Promise((resolve) => this.#waitingWorkers.push(resolve));
  }

  done(key: K): void {
    this.#processing.delete(key);
    if (this.#dirty.has(key) && !this.#stopped) this.#offer(key);
  }

  /** Lets every waiting worker go and takes no more keys. */
  shutDown(): void {
    this.#stopped = true;
    for (const { timer } of this.#later.values()) clearTimeout(timer);
    this.#later.clear();
    for (const resolve of this.#waitingWorkers.splice(0)) resolve(undefined);
  }

  #offer(key: K): void {
    const worker = this.#waitingWorkers.shift();
    if (worker === undefined) this.#ready.push(key);
    else worker(this.#start(key));
  }

  #start(key: K): K {
    this.#dirty.delete(key);
    this.#processing.add(key);
    return key;
  }

  #shift(): K {
    const key = this.#ready[this.#head]!;
    this.#head += 1;
    // Array.shift moves every element once it is long; cutting off the taken half now and then does not.
    if (this.#head > 1024 && this.#head * 2 > this.#ready.length) {
      this.#ready = this.#ready.slice(this.#head);
      this.#head = 0;
    }
    return key;
  }
}
