/** A revision's three time limits (data-plane 1.7), all on one coarse timer: a request costs no timer of its own. */
import type { Exchange } from "./exchange.ts";

/** Milliseconds; 0 turns a limit off. */
export interface TimeLimits {
  /** Since the request arrived here. On an upgraded connection: since the last byte in either direction. */
  totalMs: number;
  /** Until the response begins. */
  responseStartMs: number;
  /** Since the last byte towards the client, or since the arrival while there was none. */
  idleMs: number;
}

export type TimeLimit = "total" | "response start" | "idle";

/** Deadlines are met up to this much late, never early. */
const tickMs = 50;
/** A power of two; 512 ticks are 25.6 s, later deadlines are looked at once per turn. */
const slotCount = 512;

interface Watched {
  exchange: Exchange;
  limits: TimeLimits;
  onExpired: (limit: TimeLimit) => void;
  /** In the list of its slot; both undefined in none. */
  before: Link | undefined;
  after: Link | undefined;
}

/** The ring of a slot's entries begins and ends here. */
interface Slot {
  before: Link;
  after: Link;
}

type Link = Watched | Slot;

/** Deadlines only ever move later, so an entry is looked at when its old one comes and put back if it has moved. */
class TimeLimitWheel {
  readonly #slots = Array.from({ length: slotCount }, emptySlot);
  #watched = 0;
  /** The last tick whose slot was looked at. */
  #tick = 0;
  #timer: NodeJS.Timeout | undefined;

  add(watched: Watched): void {
    if (this.#watched === 0) this.#tick = Math.floor(performance.now() / tickMs);
    this.#watched += 1;
    this.#timer ??= setInterval(() => this.#turn(), tickMs).unref();
    this.#put(watched);
  }

  delete(watched: Watched): void {
    if (unlink(watched)) this.#watched -= 1;
  }

  #put(watched: Watched): void {
    const tick = Math.max(this.#tick + 1, Math.ceil(deadline(watched).atMs / tickMs));
    // Past one turn: at most one slot short of a whole turn ahead, to be looked at again there.
    const slot = this.#slots[Math.min(tick, this.#tick + slotCount - 1) & (slotCount - 1)]!;
    watched.before = slot.before;
    watched.after = slot;
    slot.before.after = watched;
    slot.before = watched;
  }

  #turn(): void {
    const nowMs = performance.now();
    const last = Math.floor(nowMs / tickMs);
    // After a pause of the process every slot is looked at once.
    for (let tick = Math.max(this.#tick + 1, last - slotCount + 1); tick <= last; tick += 1) {
      this.#tick = tick;
      const slot = this.#slots[tick & (slotCount - 1)]!;
      // What is put back goes into another slot, so this one empties.
      while (slot.after !== slot) this.#look(slot.after as Watched, nowMs);
    }
    if (this.#watched > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(watched: Watched, nowMs: number): void {
    unlink(watched);
    const { atMs, limit } = deadline(watched);
    if (atMs > nowMs) {
      this.#put(watched);
      return;
    }
    this.#watched -= 1;
    watched.onExpired(limit);
  }
}

const wheel = new TimeLimitWheel();

/** Calls `onExpired` once if a limit passes before the exchange ends. It should end the exchange. */
export function limitTime(exchange: Exchange, limits: TimeLimits, onExpired: (limit: TimeLimit) => void): void {
  if (limits.totalMs <= 0 && limits.responseStartMs <= 0 && limits.idleMs <= 0) return;
  const watched: Watched = { exchange, limits, onExpired, before: undefined, after: undefined };
  wheel.add(watched);
  exchange.onEnd(() => wheel.delete(watched));
}

function emptySlot(): Slot {
  const slot = {} as Slot;
  slot.before = slot;
  slot.after = slot;
  return slot;
}

/** False: it was in no list. */
function unlink(watched: Watched): boolean {
  const { before, after } = watched;
  if (before === undefined || after === undefined) return false;
  before.after = after;
  after.before = before;
  watched.before = undefined;
  watched.after = undefined;
  return true;
}

/** The earliest limit as things stand. */
function deadline({ exchange, limits }: Watched): { atMs: number; limit: TimeLimit } {
  const { startedMs: startMs, lastActivityMs } = exchange;
  let atMs = Infinity;
  let limit: TimeLimit = "total";
  if (limits.totalMs > 0) atMs = (exchange.upgraded ? lastActivityMs : startMs) + limits.totalMs;
  if (limits.responseStartMs > 0 && !exchange.responseStarted && startMs + limits.responseStartMs < atMs) {
    atMs = startMs + limits.responseStartMs;
    limit = "response start";
  }
  if (limits.idleMs > 0 && lastActivityMs + limits.idleMs < atMs) {
    atMs = lastActivityMs + limits.idleMs;
    limit = "idle";
  }
  return { atMs, limit };
}
