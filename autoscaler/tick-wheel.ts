/**
 * Ticks for many: everyone's turn comes once a period, the turns spread evenly over it, and an empty wheel stands still.
 * A turn that comes late makes none of the later ones late.
 */

export interface TickWheelOptions<T> {
  periodMs: number;
  /** Turns within a period. */
  slots: number;
  turn: (member: T) => void;
  nowMs: () => number;
  /** Calls back once, later; returns what cancels it. */
  after: (ms: number, call: () => void) => () => void;
}

export class TickWheel<T> {
  readonly #options: TickWheelOptions<T>;
  readonly #slots: Set<T>[];
  #size = 0;
  #slot = 0;
  /** Of the next slot. */
  #dueMs = 0;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: TickWheelOptions<T>) {
    this.#options = options;
    this.#slots = Array.from({ length: options.slots }, () => new Set());
  }

  /** Members that tick. */
  get size(): number {
    return this.#size;
  }

  add(member: T, slot: number): void {
    const members = this.#slots[slot]!;
    if (members.has(member) || this.#stopped) return;
    members.add(member);
    this.#size += 1;
    if (this.#cancel !== undefined) return;
    this.#dueMs = this.#options.nowMs() + this.#slotMs;
    this.#cancel = this.#next();
  }

  delete(member: T, slot: number): void {
    if (this.#slots[slot]!.delete(member)) this.#size -= 1;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  get #slotMs(): number {
    return this.#options.periodMs / this.#slots.length;
  }

  #next(): () => void {
    const { nowMs, after, turn, periodMs } = this.#options;
    const atMs = nowMs();
    // After a standstill, or when the clock was set, nothing is made up for.
    if (Math.abs(atMs - this.#dueMs) >= periodMs) this.#dueMs = atMs + this.#slotMs;
    return after(Math.max(0, this.#dueMs - atMs), () => {
      this.#dueMs += this.#slotMs;
      this.#cancel = this.#size > 0 ? this.#next() : undefined;
      if (this.#size === 0) return;
      this.#slot = (this.#slot + 1) % this.#slots.length;
      for (const member of this.#slots[this.#slot]!) turn(member);
    });
  }
}
