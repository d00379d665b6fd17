/**
 * What is held and proxied here as Knative's own activator tells it (autoscaling 2.2): averages of a second for each
 * revision that sees requests, and one message at once when a revision has its first. For an autoscaler that takes no
 * stream.
 */
import { WireStatMessages, type WireStatMessage } from "../proto/gen/upstream-stat.ts";
import { averagesBetween, type CumulativeLoad } from "../proxy/request-stats.ts";
import type { ConcurrencyReporter, ReportedLoad, RevisionStats } from "./concurrency-reporter.ts";

interface Entry {
  /** As it was when it was last told; it has been idle since, unless it is told each second. */
  from: CumulativeLoad;
  /** Requests that were told ahead of their second. */
  ahead: 0 | 1;
}

const nothing: CumulativeLoad = {
  clockMs: 0,
  requestSeconds: 0,
  proxiedRequestSeconds: 0,
  arrivals: 0,
  proxiedArrivals: 0,
  inFlight: 0,
  proxiedInFlight: 0,
};

export class UpstreamStats {
  readonly #reporter: ConcurrencyReporter;
  readonly #pod: string;
  readonly #entries = new WeakMap<RevisionStats, Entry>();
  readonly #live = new Set<RevisionStats>();
  /** Of the reporter. */
  #version = 0;
  /** Clock of the last second's end. */
  #cutMs: number;

  /** `nowMs` is the reporter's clock: what was counted before is not told. */
  constructor(options: { reporter: ConcurrencyReporter; pod: string; nowMs: number }) {
    this.#reporter = options.reporter;
    this.#pod = options.pod;
    this.#cutMs = options.nowMs;
    const { loads, version } = this.#reporter.changedSince(0);
    this.#version = version;
    for (const { revision, load } of loads) {
      const of = this.#reporter.of(revision.namespace, revision.name);
      this.#entries.set(of, { from: load, ahead: 0 });
      if (load.inFlight > 0) this.#live.add(of);
    }
  }

  /** Of these, those that nothing was told of in the last second: the autoscaler may have them at zero. */
  urgent(loads: readonly ReportedLoad[], nowMs: number): WireStatMessage[] {
    return loads.flatMap(({ revision, load }) => {
      const of = this.#reporter.of(revision.namespace, revision.name);
      if (this.#live.has(of) || load.inFlight === 0) return [];
      const entry = this.#begin(of, load, nowMs);
      // All that came since is still here: it has just begun.
      if (load.arrivals - entry.from.arrivals === load.inFlight)
        entry.from = { ...load, arrivals: entry.from.arrivals };
      entry.ahead = 1;
      return [this.#message(of, 1, 1)];
    });
  }

  /** A new receiver: what is in flight it has to hear of at once, as if it had just begun. */
  present(): WireStatMessage[] {
    return [...this.#live].flatMap((of) => {
      if (of.stats.inFlight === 0) return [];
      this.#entries.get(of)!.ahead = 1;
      return [this.#message(of, 1, 1)];
    });
  }

  /** Ends a second: what it held. */
  cut(nowMs: number): WireStatMessage[] {
    const { loads, version } = this.#reporter.changedSince(this.#version);
    this.#version = version;
    for (const { revision, load } of loads) {
      const of = this.#reporter.of(revision.namespace, revision.name);
      if (!this.#live.has(of)) this.#begin(of, load, nowMs);
    }
    // Nobody else hears of it.
    this.#reporter.acknowledged(version);
    const messages = [...this.#live].map((of) => this.#cutOne(of, nowMs));
    this.#cutMs = nowMs;
    return messages;
  }

  #cutOne(of: RevisionStats, nowMs: number): WireStatMessage {
    const entry = this.#entries.get(of)!;
    const load = of.stats.load(nowMs);
    const { concurrency } = averagesBetween(entry.from, load);
    const arrivals = load.arrivals - entry.from.arrivals;
    const { ahead } = entry;
    entry.from = load;
    entry.ahead = 0;
    // Told once more, as nothing, and then no longer.
    if (concurrency === 0) this.#live.delete(of);
    return this.#message(of, Math.max(0, concurrency - ahead), Math.max(0, arrivals - ahead));
  }

  /** From the last second's end on: nothing has happened before that. */
  #begin(of: RevisionStats, load: CumulativeLoad, nowMs: number): Entry {
    const sinceMs = load.clockMs - (nowMs - this.#cutMs);
    const before = this.#entries.get(of)?.from ?? nothing;
    const entry: Entry = { from: { ...before, clockMs: Math.max(before.clockMs, sinceMs) }, ahead: 0 };
    this.#entries.set(of, entry);
    this.#live.add(of);
    return entry;
  }

  #message({ key }: RevisionStats, concurrency: number, requests: number): WireStatMessage {
    return {
      namespace: key.namespace,
      name: key.name,
      stat: {
        podName: this.#pod,
        averageConcurrentRequests: concurrency,
        averageProxiedConcurrentRequests: 0,
        requestCount: requests,
        proxiedRequestCount: 0,
        processUptime: 0,
        // The receiver's clock decides.
        timestamp: 0,
      },
    };
  }
}

export const encoded = (messages: WireStatMessage[]): Uint8Array => WireStatMessages.encode({ messages }).finish();
