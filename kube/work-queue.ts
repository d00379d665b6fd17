import { ReconcileCounts, type LiveQueue } from "./reconcile-counts.ts";

/** Failures in a row of one key wait this long first, then twice as long each time. */
const firstRetryMs = 5;
const maxRetryMs = 60_000;
/** While others wait, one of so many keys is one that nobody waits for. */
const behindShare = 8;
/** The longest a Node timer can take. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Keys waiting for a worker. A key is queued once, run by one worker, and re-run if added meanwhile. Bounded by the
 * number of distinct keys. Counts what goes through it.
 */
export class WorkQueue<K extends string = string> implements LiveQueue {
  /** Needs a run, since when. */
  readonly #dirty = new Map<K, number>();
  /** Is being run, since when. */
  readonly #processing = new Map<K, number>();
  /** In order of arrival; entries before `#head` are taken. */
  #ready: K[] = [];
  #head = 0;
  /** Those that nobody waits for, in order of arrival. */
  readonly #behind = new Set<K>();
  #sinceBehind = 0;
  readonly #waitingWorkers: ((key: K | undefined) => void)[] = [];
  readonly #later = new Map<K, { timer: NodeJS.Timeout; atMs: number }>();
  readonly #failures = new Map<K, number>();
  readonly #random: () => number;
  readonly #counts: ReconcileCounts;
  readonly #nowMs: () => number;
  #stopped = false;

  /** `nowMs`: a clock that only goes forward. */
  constructor(
    random: () => number = Math.random,
    counts: ReconcileCounts = new ReconcileCounts(""),
    nowMs: () => number = () => performance.now(),
  ) {
    this.#random = random;
    this.#counts = counts;
    this.#nowMs = nowMs;
    counts.queues.add(this);
  }

  /** Keys that wait for a worker now; those that wait for a time are not counted. */
  get depth(): number {
    return this.#ready.length - this.#head + this.#behind.size;
  }

  runningSince(): Iterable<number> {
    return this.#processing.values();
  }

  add(key: K): void {
    if (this.#stopped) return;
    if (this.#dirty.has(key)) {
      if (this.#behind.delete(key)) this.#ready.push(key);
      return;
    }
    this.#counts.adds += 1;
    this.#dirty.set(key, this.#nowMs());
    if (!this.#processing.has(key)) this.#offer(key);
  }

  /** Adds what nobody waits for: its turn comes when no other key waits, and now and then before. */
  addBehind(key: K): void {
    if (this.#stopped || this.#dirty.has(key)) return;
    if (this.#processing.has(key) || this.#waitingWorkers.length > 0) return this.add(key);
    this.#counts.adds += 1;
    this.#dirty.set(key, this.#nowMs());
    this.#behind.add(key);
  }

  /** Adds it after `ms`. Of several times for one key the earliest counts. */
  addAfter(key: K, ms: number): void {
    if (this.#stopped) return;
    this.#counts.retries += 1;
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
    const isReady = this.#head < this.#ready.length;
    if (this.#behind.size > 0 && (!isReady || ++this.#sinceBehind >= behindShare)) {
      this.#sinceBehind = 0;
      const key = this.#behind.values().next().value!;
      this.#behind.delete(key);
      return this.#start(key);
    }
    if (isReady) return this.#start(this.#shift());
    return new Promise((resolve) => this.#waitingWorkers.push(resolve));
  }

  done(key: K): void {
    const sinceMs = this.#processing.get(key);
    if (sinceMs !== undefined) this.#counts.workSeconds.add((this.#nowMs() - sinceMs) / 1000);
    this.#processing.delete(key);
    if (this.#dirty.has(key) && !this.#stopped) this.#offer(key);
  }

  /** Lets every waiting worker go and takes no more keys. */
  shutDown(): void {
    this.#stopped = true;
    this.#counts.queues.delete(this);
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
    const nowMs = this.#nowMs();
    this.#counts.queuedSeconds.add((nowMs - (this.#dirty.get(key) ?? nowMs)) / 1000);
    this.#dirty.delete(key);
    this.#processing.set(key, nowMs);
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
