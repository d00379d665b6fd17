/** A `Stat` of Knative's, from whom nothing is believed before it was looked at (autoscaling 2.1). */
import type { Stat } from "../../proto/gen/upstream-stat.ts";

/** What one second held, without what an activator counts for itself. */
export interface SecondOfLoad {
  concurrency: number;
  /** Arrivals. */
  requests: number;
}

export type StatRefusal = "malformed" | "future" | "implausible";

export type CheckedStat =
  | { is: "good"; load: SecondOfLoad; atMs: number }
  /** Of before the window. */
  | { is: "stale" }
  | { is: "refused"; because: StatRefusal };

/** Clocks of senders may run ahead of ours by so much. */
const futureSlackMs = 5000;
/** Concurrency and arrivals of one second from one sender that are taken for nonsense. */
const implausible = 1_000_000;
const longestName = 253;

/** `windowMs` is the stable window: what is older says nothing. */
export function checkStat(stat: Stat, nowMs: number, windowMs: number): CheckedStat {
  const { averageConcurrentRequests: concurrency, averageProxiedConcurrentRequests: proxied } = stat;
  const { requestCount: requests, proxiedRequestCount: proxiedRequests } = stat;
  for (const value of [concurrency, proxied, proxiedRequests, stat.processUptime])
    if (!(value >= 0 && value < Infinity)) return { is: "refused", because: "malformed" };
  // An activator takes the request that it told of at once from its next count, which may not have it yet.
  if (!(requests >= -1 && requests < Infinity)) return { is: "refused", because: "malformed" };
  if (isMore(proxied, concurrency) || isMore(proxiedRequests, Math.max(0, requests)))
    return { is: "refused", because: "malformed" };
  if (stat.podName.length > longestName || stat.timestamp < 0) return { is: "refused", because: "malformed" };
  if (Math.max(concurrency, proxied, requests, proxiedRequests) > implausible)
    return { is: "refused", because: "implausible" };
  const atMs = stat.timestamp === 0 ? nowMs : stat.timestamp * 1000;
  if (atMs > nowMs + futureSlackMs) return { is: "refused", because: "future" };
  if (atMs <= nowMs - windowMs) return { is: "stale" };
  return {
    is: "good",
    load: { concurrency: Math.max(0, concurrency - proxied), requests: requests - proxiedRequests },
    atMs,
  };
}

/** Sums of many small numbers may differ in their last digits. */
const isMore = (part: number, whole: number): boolean => part > whole * (1 + 1e-9) + 1e-6;
