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
  startMs: number;
  lastActivityMs: number;
  onExpired: (limit: TimeLimit) => void;
  slot: Set<Watched> | undefined;
}

/** Deadlines only ever move later, so an entry is looked at when its old one comes and put back if it has moved. */
class TimeLimitWheel {
  readonly #slots = Array.from({ length: slotCount }, () => new Set<Watched>());
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
    if (watched.slot?.delete(watched) === true) this.#watched -= 1;
  }

  #put(watched: Watched): void {
    const tick = Math.max(this.#tick + 1, Math.ceil(deadline(watched).atMs / tickMs));
    // Past one turn: at most one slot short of a whole turn ahead, to be looked at again there.
    const slot = this.#slots[Math.min(tick, this.#tick + slotCount - 1) & (slotCount - 1)]!;
    slot.add(watched);
    watched.slot = slot;
  }

  #turn(): void {
    const nowMs = performance.now();
    const last = Math.floor(nowMs / tickMs);
    // After a pause of the process every slot is looked at once.
    for (let tick = Math.max(this.#tick + 1, last - slotCount + 1); tick <= last; tick += 1) {
      this.#tick = tick;
      const slot = this.#slots[tick & (slotCount - 1)]!;
      if (slot.size === 0) continue;
      const due = [...slot];
      slot.clear();
      for (const watched of due) this.#look(watched, nowMs);
    }
    if (this.#watched > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(watched: Watched, nowMs: number): void {
    const { atMs, limit } = deadline(watched);
    if (atMs > nowMs) {
      this.#put(watched);
      return;
    }
    this.#watched -= 1;
    watched.slot = undefined;
    watched.onExpired(limit);
  }
}

const wheel = new TimeLimitWheel();

/** Calls `onExpired` once if a limit passes before the exchange ends. It should end the exchange. */
export function limitTime(exchange: Exchange, limits: TimeLimits, onExpired: (limit: TimeLimit) => void): void {
  if (limits.totalMs <= 0 && limits.responseStartMs <= 0 && limits.idleMs <= 0) return;
  const nowMs = performance.now();
  const watched: Watched = { exchange, limits, startMs: nowMs, lastActivityMs: nowMs, onExpired, slot: undefined };
  exchange.onActivity(() => {
    watched.lastActivityMs = performance.now();
  });
  wheel.add(watched);
  exchange.onEnd(() => wheel.delete(watched));
}

/** The earliest limit as things stand. */
function deadline({ exchange, limits, startMs, lastActivityMs }: Watched): { atMs: number; limit: TimeLimit } {
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
