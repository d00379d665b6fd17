/** Ticks for many: everyone's turn comes once a period, the turns spread evenly over it, and an empty wheel stands still. */

export interface TickWheelOptions<T> {
  periodMs: number;
  /** Turns within a period. */
  slots: number;
  turn: (member: T) => void;
  /** Calls back once, later; returns what cancels it. */
  after: (ms: number, call: () => void) => () => void;
}

export class TickWheel<T> {
  readonly #options: TickWheelOptions<T>;
  readonly #slots: Set<T>[];
  #size = 0;
  #slot = 0;
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
    this.#cancel ??= this.#next();
  }

  delete(member: T, slot: number): void {
    if (this.#slots[slot]!.delete(member)) this.#size -= 1;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #next(): () => void {
    return this.#options.after(this.#options.periodMs / this.#slots.length, () => {
      this.#cancel = this.#size > 0 ? this.#next() : undefined;
      if (this.#size === 0) return;
      this.#slot = (this.#slot + 1) % this.#slots.length;
      for (const member of this.#slots[this.#slot]!) this.#options.turn(member);
    });
  }
}
