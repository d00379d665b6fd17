/**
 * Reconcilers for Prometheus, under the names that Knative's dashboards query: today's and those up to 1.18
 * (spec: eventing-functions-monitoring 3.3, 3.5).
 */
import type { Registry } from "prom-client";
import type { Histogram } from "../process/histogram.ts";
import { counter, gauge, histogram, type Labels } from "../process/metric-families.ts";
import { results, type ReconcileCounts } from "./reconcile-counts.ts";

/** `component`: what the old names begin with. */
export function registerReconcilers(register: Registry, component: string, all: readonly ReconcileCounts[]): void {
  const each =
    <V>(read: (counts: ReconcileCounts) => V) =>
    (): [Labels, V][] =>
      all.map((counts) => [{ name: counts.name }, read(counts)]);
  const depth = ({ queues }: ReconcileCounts): number => [...queues].reduce((sum, queue) => sum + queue.depth, 0);
  /** Seconds that the runs which are under way have taken so far. */
  const running = ({ queues }: ReconcileCounts): number[] => {
    const nowMs = performance.now();
    return [...queues].flatMap((queue) =>
      Array.from(queue.runningSince(), (sinceMs) => Math.max(0, nowMs - sinceMs) / 1000),
    );
  };

  gauge(register, "kn_workqueue_depth", "Number of current items in the queue", each(depth));
  counter(
    register,
    "kn_workqueue_adds_total",
    "Number of items added to the queue",
    each(({ adds }) => adds),
  );
  counter(
    register,
    "kn_workqueue_retries_total",
    "Number of items re-added to the queue",
    each(({ retries }) => retries),
  );
  histogram(
    register,
    "kn_workqueue_queue_duration_seconds",
    "How long an item stays in workqueue",
    each(({ queuedSeconds }) => queuedSeconds.values),
  );
  histogram(
    register,
    "kn_workqueue_process_duration_seconds",
    "How long in seconds processing an item from workqueue takes",
    each(({ workSeconds }) => workSeconds.values),
  );
  gauge(
    register,
    "kn_workqueue_unfinished_work_seconds",
    "How long the items that are being processed have taken so far, together",
    each((counts) => running(counts).reduce((sum, seconds) => sum + seconds, 0)),
  );
  gauge(
    register,
    "kn_workqueue_longest_running_processor_seconds",
    "How long the item that has been processed for the longest time has taken so far",
    each((counts) => Math.max(0, ...running(counts))),
  );

  counter(register, "swell_reconciles_total", "Reconciles by what became of them", () =>
    all.flatMap((counts) =>
      results.map((result) => [{ name: counts.name, result }, counts.results[result]] as [Labels, number]),
    ),
  );
  gauge(
    register,
    "swell_reconciler_leading",
    "1 while this process reconciles, 0 while another one does",
    each(({ queues }) => (queues.size > 0 ? 1 : 0)),
  );

  /** Series that counted nothing are left out, as they were then. */
  const bySuccess = <V>(read: (latencies: Histogram) => V): [Labels, V][] =>
    all.flatMap(({ name, succeededMs, failedMs }) =>
      ([["true", succeededMs] as const, ["false", failedMs] as const] as const)
        .filter(([, latencies]) => latencies.count > 0)
        .map(([success, latencies]): [Labels, V] => [{ reconciler: name, success }, read(latencies)]),
    );
  counter(register, `${component}_reconcile_count`, "Number of reconcile operations", () =>
    bySuccess(({ count }) => count),
  );
  histogram(register, `${component}_reconcile_latency`, "Latency of reconcile operations", () =>
    bySuccess(({ values }) => values),
  );
  gauge(register, `${component}_work_queue_depth`, "Depth of the work queue", () =>
    all.map((counts) => [{ reconciler: counts.name }, depth(counts)]),
  );
}
