/**
 * What one of Knative's activators says, message by message (autoscaling 2.2, 2.3): each is added to its second, and
 * stands for what is in flight until the next one.
 */
import { WireStatMessages, type WireStatMessage } from "../../proto/gen/upstream-stat.ts";
import type { RevisionStats } from "../revision-stats.ts";
import { checkStat } from "./stat.ts";

/** `unknown`: of a revision that nobody scales here. `unreadable`: not the message that it should be. */
export const outcomes = [
  "used",
  "forwarded",
  "stale",
  "unknown",
  "malformed",
  "future",
  "implausible",
  "unreadable",
] as const;
export type Outcome = (typeof outcomes)[number];

export interface ReporterOptions {
  stats: Pick<RevisionStats, "recordSecond" | "addAveraged">;
  nowMs: () => number;
  count: (outcome: Outcome) => void;
  /** Hands a message on to whoever scales its revision; false: that is nobody. */
  forward?: ((message: WireStatMessage) => boolean) | undefined;
}

/** An activator reports each second; one that has not is not waited for. */
export const levelHoldsMs = 2500;
/** The longest window there can be. */
const longestWindowMs = 60 * 60_000;
/** An activator has one entry for each revision that it sees. */
const mostEntries = 50_000;

export class Reporter {
  readonly #options: ReporterOptions;
  /** By revision. */
  readonly #levels = new Map<string, { concurrency: number; atMs: number }>();

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** Takes one binary frame in; true if something of it was used. */
  receive(frame: Uint8Array): boolean {
    const { count, forward, nowMs } = this.#options;
    let messages: WireStatMessage[];
    try {
      ({ messages } = WireStatMessages.decode(frame));
    } catch {
      count("unreadable");
      return false;
    }
    if (messages.length > mostEntries) {
      count("unreadable");
      return false;
    }
    const now = nowMs();
    let used = false;
    for (const message of messages) {
      const { namespace, name, stat } = message;
      // Room for messages of later versions.
      if (stat === undefined) continue;
      const outcome = this.#take(`${namespace}/${name}`, message, now);
      if (outcome === "unknown" && isName(namespace) && isName(name)) {
        // Whoever gets it later must not take it for later load.
        stat.timestamp ||= Math.floor(now / 1000);
        count(forward?.(message) === true ? "forwarded" : "unknown");
      } else count(outcome);
      used ||= outcome === "used";
    }
    return used;
  }

  /** Forgets what was said to be in flight and has not been said again. */
  expire(): void {
    const beforeMs = this.#options.nowMs() - levelHoldsMs;
    for (const [key, level] of this.#levels) if (level.atMs < beforeMs) this.#forget(key, level.concurrency);
  }

  close(): void {
    for (const [key, level] of this.#levels) this.#forget(key, level.concurrency);
  }

  #take(key: string, { stat }: WireStatMessage, nowMs: number): Outcome {
    const checked = checkStat(stat!, nowMs, longestWindowMs);
    if (checked.is === "stale") return "stale";
    if (checked.is === "refused") return checked.because;
    const { concurrency } = checked.load;
    // A message that was long under way says nothing of now.
    const recent = nowMs - checked.atMs < levelHoldsMs;
    const before = this.#levels.get(key)?.concurrency ?? 0;
    const inFlightChange = recent ? concurrency - before : 0;
    if (!this.#options.stats.recordSecond(key, checked.load, checked.atMs, { inFlightChange })) return "unknown";
    if (!recent) return "used";
    if (concurrency === 0) this.#levels.delete(key);
    else this.#levels.set(key, { concurrency, atMs: nowMs });
    return "used";
  }

  #forget(key: string, concurrency: number): void {
    this.#levels.delete(key);
    this.#options.stats.addAveraged(key, -concurrency);
  }
}

const isName = (name: string): boolean => name !== "" && name.length <= 253 && !name.includes("/");
