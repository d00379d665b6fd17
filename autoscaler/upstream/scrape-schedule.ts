/**
 * Looks once a second at each revision that has pods without a stream. Where all pods stream, as ours do, nothing is
 * scheduled and no timer runs.
 */
import type { Addressability, Scraped, ScrapeTarget } from "./scrape.ts";

export interface ScrapeScheduleOptions {
  /** What is to be asked now; undefined: nothing, until the next `look`. */
  target: (key: string) => ScrapeTarget | undefined;
  scrape: (target: ScrapeTarget, memory: Addressability) => Promise<Scraped>;
  /** `atMs`: when the look began. */
  onScraped: (key: string, scraped: Scraped, atMs: number, tookMs: number) => void;
  onError: (key: string, error: unknown) => void;
  nowMs: () => number;
  after: (ms: number, call: () => void) => () => void;
  /** Revisions that are being asked at one time; the others wait their turn. */
  limit?: number;
}

interface Entry {
  key: string;
  slot: number;
  memory: Addressability;
  /** Until then a stream may come. */
  notBeforeMs: number;
  /** A look that takes longer than a second delays the next. */
  busy: boolean;
}

export const periodMs = 1000;
const slotMs = 50;
const slots = periodMs / slotMs;
/** At the edges of a second a look could land on either side: one second would get two, the next none. */
const edgeSlots = 2;
const defaultLimit = 64;

export class ScrapeSchedule {
  readonly #options: ScrapeScheduleOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #slots: Set<Entry>[] = Array.from({ length: slots }, () => new Set());
  readonly #waiting = new Set<Entry>();
  #added = 0;
  #asking = 0;
  /** The last slot that had its turn, counted since 1970. */
  #turn = 0;
  #cancel: (() => void) | undefined;
  #stopped = false;

  constructor(options: ScrapeScheduleOptions) {
    this.#options = options;
  }

  /** Revisions that are asked. */
  get size(): number {
    return this.#entries.size;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** What is to be asked of the revision may have changed. */
  look(key: string): void {
    if (this.#stopped) return;
    const entry = this.#entries.get(key);
    const wanted = this.#options.target(key) !== undefined;
    if (wanted === (entry !== undefined)) return;
    if (entry !== undefined) return this.#remove(entry);
    const slot = edgeSlots + (this.#added++ % (slots - 2 * edgeSlots));
    const added = {
      key,
      slot,
      memory: { podsAddressable: true },
      notBeforeMs: this.#options.nowMs() + periodMs,
      busy: false,
    };
    this.#entries.set(key, added);
    if (this.#cancel === undefined) {
      this.#turn = this.#now();
      this.#cancel = this.#next();
    }
    this.#slots[slot]!.add(added);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#waiting.clear();
    this.#entries.clear();
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.key);
    this.#slots[entry.slot]!.delete(entry);
    this.#waiting.delete(entry);
  }

  #now(): number {
    return Math.floor(this.#options.nowMs() / slotMs);
  }

  /** Aligned to the clock: timers that are late do not add up. */
  #next(): () => void {
    const { after, nowMs } = this.#options;
    return after(slotMs - (nowMs() % slotMs), () => {
      const now = this.#now();
      // A clock that jumped: nobody is asked twice for it.
      this.#turn = this.#turn > now ? now - 1 : Math.max(this.#turn, now - slots);
      while (this.#turn < now) {
        this.#turn += 1;
        for (const entry of this.#slots[this.#turn % slots]!) this.#due(entry);
      }
      this.#cancel = this.#entries.size > 0 && !this.#stopped ? this.#next() : undefined;
    });
  }

  #due(entry: Entry): void {
    if (entry.busy || this.#options.nowMs() < entry.notBeforeMs) return;
    if (this.#asking >= (this.#options.limit ?? defaultLimit)) this.#waiting.add(entry);
    else void this.#scrape(entry);
  }

  async #scrape(entry: Entry): Promise<void> {
    const { target, scrape, onScraped, onError, nowMs } = this.#options;
    const asked = target(entry.key);
    if (asked === undefined) return this.#remove(entry);
    const startMs = nowMs();
    entry.busy = true;
    this.#asking += 1;
    try {
      const scraped = await scrape(asked, entry.memory);
      // Meanwhile its pods may have got streams, or it may be another's to scale.
      if (this.#entries.get(entry.key) === entry) onScraped(entry.key, scraped, startMs, nowMs() - startMs);
    } catch (error) {
      onError(entry.key, error);
    } finally {
      entry.busy = false;
      this.#asking -= 1;
    }
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      this.#due(next);
      return undefined;
    }
    return undefined;
  }
}
