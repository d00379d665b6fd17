/** Deadlines of connections, met up to a second late: one timer for all of them, none while nobody waits. */

export interface Timed {
  /** Of performance.now(). */
  deadlineMs: number;
  onDeadline(): void;
}

const tickMs = 1000;

export class Deadlines {
  readonly #timed = new Set<Timed>();
  #timer: NodeJS.Timeout | undefined;

  /** Also for one that is there with another deadline. */
  add(timed: Timed, deadlineMs: number): void {
    timed.deadlineMs = deadlineMs;
    this.#timed.add(timed);
    this.#timer ??= setInterval(() => this.#tick(), tickMs).unref();
  }

  delete(timed: Timed): void {
    this.#timed.delete(timed);
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const timed of this.#timed) {
      if (timed.deadlineMs > nowMs) continue;
      this.#timed.delete(timed);
      timed.onDeadline();
    }
    if (this.#timed.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
