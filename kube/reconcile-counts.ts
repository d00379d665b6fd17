/**
 * What is counted of one reconciler: plain numbers, over all terms in which this process led, so that a counter never
 * falls because a lease was lost. Read by `reconcile-metrics.ts`.
 */
import { Histogram, legacyMsBounds, secondsBounds } from "../process/histogram.ts";

export const results = ["done", "again", "conflict", "failed", "terminal"] as const;
/** `again`: a run that asked for another one. `conflict`: somebody else wrote first. `terminal`: not retried. */
export type Result = (typeof results)[number];

/** A queue that is there now. */
export interface LiveQueue {
  /** Keys that wait for a worker. */
  readonly depth: number;
  /** When the runs that are under way began, in milliseconds of `performance.now()`. */
  runningSince(): Iterable<number>;
}

export class ReconcileCounts {
  /** As dashboards select it. */
  readonly name: string;
  adds = 0;
  /** Keys that were added for a later time, after a failure or because a run asked for it. */
  retries = 0;
  readonly queuedSeconds = new Histogram(secondsBounds);
  readonly workSeconds = new Histogram(secondsBounds);
  readonly results: Record<Result, number> = { done: 0, again: 0, conflict: 0, failed: 0, terminal: 0 };
  /** Under the names up to Knative 1.18. */
  readonly succeededMs = new Histogram(legacyMsBounds);
  readonly failedMs = new Histogram(legacyMsBounds);
  /** None while another process leads. */
  readonly queues = new Set<LiveQueue>();

  constructor(name: string) {
    this.name = name;
  }

  ended(result: Result, tookMs: number): void {
    this.results[result] += 1;
    const ms = result === "done" || result === "again" ? this.succeededMs : this.failedMs;
    ms.add(tookMs);
  }
}

/**
 * The name of a reconciler's queue as Knative's dashboards select it: the path of its Go type. `lease`: the same in
 * small letters, as leases are named.
 */
export function queueName(lease: string): string {
  const [, package_] = /^knative\.dev\.serving\.pkg\.reconciler\.(.+)\.reconciler$/u.exec(lease) ?? [];
  if (package_ === undefined || smallTypes.has(package_)) return lease;
  return `${lease.slice(0, -"reconciler".length)}Reconciler`;
}

/** Go packages whose type is not exported. */
const smallTypes = new Set(["gc", "metric", "nscert", "serverlessservice"]);
