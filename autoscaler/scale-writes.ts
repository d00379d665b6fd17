/**
 * Writes of replicas, in an order that is fair: revisions without a pod go first, namespaces take turns, and no
 * namespace has more than its share under way, so that where the API server is slow for one the others go on. Of
 * several counts for one target only the newest is written.
 */

export interface ScaleTarget {
  namespace: string;
  name: string;
}

export interface ScaleWritesOptions {
  write: (target: ScaleTarget, replicas: number) => Promise<void>;
  /** Writes under way at once, in all and in one namespace. */
  total: number;
  perNamespace: number;
  /** A write that takes longer has failed; it may still arrive. */
  deadlineMs: number;
  /** Calls back once, later; returns what cancels it. */
  after: (ms: number, call: () => void) => () => void;
}

interface Wanted {
  target: ScaleTarget;
  replicas: number;
  /** The target has no pod. */
  wakes: boolean;
  done: PromiseWithResolvers<void>;
}

/** What is known of one target. */
type Entry =
  | { is: "waiting"; wanted: Wanted }
  | { is: "writing"; now: Wanted; next: Wanted | undefined; cancelDeadline: () => void };

export class ScaleWrites {
  readonly #options: ScaleWritesOptions;
  readonly #entries = new Map<string, Entry>();
  /** Targets that wait, by namespace; the namespace whose turn it is comes first. */
  readonly #lanes = { wakes: new Lane(), others: new Lane() };
  /** Under way, by namespace, those given up included until they end: each holds a connection. */
  readonly #underWay = new Map<string, number>();
  /** Namespaces in which a write ran into its deadline, until the next answer. */
  readonly #slow = new Set<string>();
  readonly #watchers = new Set<() => void>();
  #total = 0;
  #closed = false;

  constructor(options: ScaleWritesOptions) {
    this.#options = options;
  }

  /** Resolves when this count, or a newer one, is written; rejects when that failed. */
  set(target: ScaleTarget, replicas: number, wakes: boolean): Promise<void> {
    if (this.#closed) return Promise.reject(new Error("no more replicas are written"));
    const key = `${target.namespace}/${target.name}`;
    const entry = this.#entries.get(key);
    const wanted: Wanted = { target, replicas, wakes, done: Promise.withResolvers() };
    // Not every caller waits for it.
    wanted.done.promise.catch(() => undefined);
    if (entry === undefined) this.#enqueue(key, wanted);
    else if (entry.is === "waiting") {
      entry.wanted.replicas = replicas;
      if (wakes && !entry.wanted.wakes) {
        this.#lanes.others.delete(target.namespace, key);
        entry.wanted.wakes = true;
        this.#lanes.wakes.add(target.namespace, key);
      }
      return entry.wanted.done.promise;
    } else if (entry.next !== undefined) {
      entry.next.replicas = replicas;
      return entry.next.done.promise;
    } else {
      if (entry.now.replicas === replicas) return entry.now.done.promise;
      entry.next = wanted;
    }
    this.#start();
    return wanted.done.promise;
  }

  /** Targets that wait for their turn. */
  get waiting(): number {
    return this.#lanes.wakes.size + this.#lanes.others.size;
  }

  /** Resolves when nobody waits who has no pod, but where writes are slow, or after this time. */
  async wakesStarted(atMostMs: number): Promise<void> {
    if (this.#areWakesStarted()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.after(atMostMs, resolve);
    this.#watchers.add(resolve);
    await promise;
    cancel();
    this.#watchers.delete(resolve);
  }

  /** Drops what waits; what is under way ends. */
  close(): void {
    this.#closed = true;
    for (const [key, entry] of this.#entries) {
      if (entry.is === "writing") {
        entry.cancelDeadline();
        continue;
      }
      this.#entries.delete(key);
      entry.wanted.done.reject(new Error("dropped: this autoscaler stops"));
    }
    this.#lanes.wakes.clear();
    this.#lanes.others.clear();
    for (const started of this.#watchers) started();
  }

  #areWakesStarted(): boolean {
    let waiting = this.#lanes.wakes.size;
    for (const namespace of this.#slow) waiting -= this.#lanes.wakes.sizeOf(namespace);
    return waiting === 0;
  }

  #enqueue(key: string, wanted: Wanted): void {
    this.#entries.set(key, { is: "waiting", wanted });
    this.#lanes[wanted.wakes ? "wakes" : "others"].add(wanted.target.namespace, key);
  }

  #start(): void {
    const { total, perNamespace } = this.#options;
    const hasRoom = (namespace: string): boolean => (this.#underWay.get(namespace) ?? 0) < perNamespace;
    while (this.#total < total) {
      const key = this.#lanes.wakes.take(hasRoom) ?? this.#lanes.others.take(hasRoom);
      if (key === undefined) break;
      const entry = this.#entries.get(key);
      if (entry?.is === "waiting") this.#write(key, entry.wanted);
    }
    if (this.#watchers.size > 0 && this.#areWakesStarted()) for (const started of this.#watchers) started();
  }

  #write(key: string, now: Wanted): void {
    const { deadlineMs, after } = this.#options;
    const { namespace } = now.target;
    this.#total += 1;
    this.#underWay.set(namespace, (this.#underWay.get(namespace) ?? 0) + 1);
    let settled = false;
    const settle = (error?: unknown): void => {
      if (settled) return;
      settled = true;
      cancel();
      this.#total -= 1;
      const entry = this.#entries.get(key);
      this.#entries.delete(key);
      if (error === undefined) now.done.resolve();
      else now.done.reject(error);
      if (entry?.is !== "writing" || entry.next === undefined) return;
      if (this.#closed) entry.next.done.reject(new Error("dropped: this autoscaler stops"));
      else this.#enqueue(key, entry.next);
    };
    const cancel = after(deadlineMs, () => {
      this.#slow.add(namespace);
      settle(new Error(`replicas were not written within ${deadlineMs} ms`));
      this.#start();
    });
    this.#entries.set(key, { is: "writing", now, next: undefined, cancelDeadline: cancel });
    (async () => this.#options.write(now.target, now.replicas))()
      .then(
        () => settle(),
        (error: unknown) => settle(error ?? new Error("the write failed")),
      )
      .finally(() => {
        this.#slow.delete(namespace);
        const left = (this.#underWay.get(namespace) ?? 1) - 1;
        if (left === 0) this.#underWay.delete(namespace);
        else this.#underWay.set(namespace, left);
        this.#start();
      });
  }
}

/** Keys in order of arrival, namespaces in turns. */
class Lane {
  readonly #namespaces = new Map<string, Set<string>>();
  size = 0;

  add(namespace: string, key: string): void {
    const keys = this.#namespaces.get(namespace);
    if (keys === undefined) this.#namespaces.set(namespace, new Set([key]));
    else keys.add(key);
    this.size += 1;
  }

  sizeOf(namespace: string): number {
    return this.#namespaces.get(namespace)?.size ?? 0;
  }

  delete(namespace: string, key: string): void {
    const keys = this.#namespaces.get(namespace);
    if (keys?.delete(key) !== true) return;
    this.size -= 1;
    if (keys.size === 0) this.#namespaces.delete(namespace);
  }

  /** The next key of the first namespace that may; it is that namespace's last turn before all the others'. */
  take(may: (namespace: string) => boolean): string | undefined {
    for (const [namespace, keys] of this.#namespaces) {
      if (!may(namespace)) continue;
      const [key] = keys;
      if (key === undefined) continue;
      keys.delete(key);
      this.size -= 1;
      this.#namespaces.delete(namespace);
      if (keys.size > 0) this.#namespaces.set(namespace, keys);
      return key;
    }
    return undefined;
  }

  clear(): void {
    this.#namespaces.clear();
    this.size = 0;
  }
}
