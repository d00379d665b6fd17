/**
 * Writes that the cache has not shown yet. A controller that looks at a cache which lags behind its own writes would
 * create the same pod twice; it acts on an owner only while nothing of its own is outstanding there.
 */
export class Expectations {
  readonly #outstanding = new Map<string, Map<string, number>>(); // owner → object → deadline
  readonly #lifetimeMs: number;

  /** An expectation that is not met within `lifetimeMs` is given up: the watch may have merged two changes. */
  constructor(lifetimeMs = 30_000) {
    this.#lifetimeMs = lifetimeMs;
  }

  /** Call it before the write: the watch event may arrive before the answer. */
  expect(owner: string, object: string, nowMs: number): void {
    let objects = this.#outstanding.get(owner);
    if (objects === undefined) this.#outstanding.set(owner, (objects = new Map()));
    objects.set(object, nowMs + this.#lifetimeMs);
  }

  /** The cache shows the write, or the write failed. */
  met(owner: string, object: string): void {
    const objects = this.#outstanding.get(owner);
    if (objects?.delete(object) === true && objects.size === 0) this.#outstanding.delete(owner);
  }

  forget(owner: string): void {
    this.#outstanding.delete(owner);
  }

  /** 0 when nothing is outstanding, else how long until the last expectation is given up. */
  pendingMs(owner: string, nowMs: number): number {
    const deadlines = [...(this.#outstanding.get(owner)?.values() ?? [])];
    const pending = Math.max(0, ...deadlines.map((deadline) => deadline - nowMs));
    if (pending === 0) this.#outstanding.delete(owner);
    return pending;
  }
}
