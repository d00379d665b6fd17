/**
 * What the autoscaler exports, under the names of today and those up to 1.18 (spec: autoscaling 7.1, 7.2); every value
 * is read when it is asked for.
 */
import type { Registry } from "prom-client";
import type { PodAutoscaler } from "../api/autoscaling.ts";
import { label } from "../api/keys.ts";
import { splitKey } from "../api/meta.ts";
import type { Lister } from "../kube/informer.ts";
import type { ReconcileCounts } from "../kube/reconcile-counts.ts";
import { registerReconcilers } from "../kube/reconcile-metrics.ts";
import { counter, gauge, type Labels } from "../process/metric-families.ts";
import type { Deciding } from "./buckets/terms.ts";
import type { DeciderStatus } from "./multi-scaler.ts";
import type { PodCounts } from "./pod-counts.ts";
import type { RevisionStats } from "./revision-stats.ts";
import type { StatsServer } from "./stats-server.ts";

export interface MetricSources {
  podAutoscalers: Lister<PodAutoscaler>;
  podCounts: (key: string) => PodCounts;
  /** What decides here, one for each bucket. */
  deciding: () => readonly Deciding[];
  /** Of all buckets together. */
  reconciles: ReconcileCounts;
  stats: Pick<RevisionStats, "counts">;
  server: Pick<StatsServer, "streams">;
}

/** One revision at one scrape. */
interface Row extends DeciderStatus {
  pods: PodCounts;
  requestedPods: number;
  /** Under today's names, and under the old ones. */
  labels: readonly [Labels, Labels];
}

const ofConcurrency = (read: (row: Row) => number) => (row: Row) =>
  row.metric === "concurrency" ? read(row) : undefined;
const ofRps = (read: (row: Row) => number) => (row: Row) => (row.metric === "rps" ? read(row) : undefined);

/** Name, name up to 1.18, help, and the value; undefined leaves the revision out. */
const perRevision: readonly [string, string, string, (row: Row) => number | undefined][] = [
  [
    "kn_revision_pods_desired",
    "autoscaler_desired_pods",
    "Number of pods autoscaler wants to allocate",
    ({ desiredPods }) => desiredPods,
  ],
  [
    "kn_revision_pods_requested",
    "autoscaler_requested_pods",
    "Number of pods autoscaler requested from Kubernetes",
    ({ requestedPods }) => requestedPods,
  ],
  [
    "kn_revision_pods_count",
    "autoscaler_actual_pods",
    "Number of pods that are allocated currently",
    ({ pods }) => pods.ready,
  ],
  [
    "kn_revision_pods_not_ready_count",
    "autoscaler_not_ready_pods",
    "Number of pods that are not ready currently",
    ({ pods }) => pods.notReady,
  ],
  [
    "kn_revision_pods_pending_count",
    "autoscaler_pending_pods",
    "Number of pods that are pending currently",
    ({ pods }) => pods.pending,
  ],
  [
    "kn_revision_pods_terminating_count",
    "autoscaler_terminating_pods",
    "Number of pods that are terminating currently",
    ({ pods }) => pods.terminating,
  ],
  [
    "kn_revision_capacity_excess",
    "autoscaler_excess_burst_capacity",
    "Excess burst capacity observed over the stable window",
    ({ excessBurstCapacity }) => excessBurstCapacity,
  ],
  [
    "kn_revision_panic_mode",
    "autoscaler_panic_mode",
    "If greater than 0 the autoscaler is operating in panic mode",
    ({ panicking }) => (panicking ? 1 : 0),
  ],
  [
    "kn_revision_concurrency_stable",
    "autoscaler_stable_request_concurrency",
    "Average of request count over the stable window",
    ofConcurrency(({ stable }) => stable),
  ],
  [
    "kn_revision_concurrency_panic",
    "autoscaler_panic_request_concurrency",
    "Average of request count over the panic window",
    ofConcurrency(({ panic }) => panic),
  ],
  [
    "kn_revision_concurrency_target",
    "autoscaler_target_concurrency_per_pod",
    "The desired concurrent requests for each pod",
    ofConcurrency(({ target }) => target),
  ],
  [
    "kn_revision_rps_stable_per_second",
    "autoscaler_stable_requests_per_second",
    "Average of requests-per-second over the stable window",
    ofRps(({ stable }) => stable),
  ],
  [
    "kn_revision_rps_panic_per_second",
    "autoscaler_panic_requests_per_second",
    "Average of requests-per-second over the panic window",
    ofRps(({ panic }) => panic),
  ],
  [
    "kn_revision_rps_target_per_second",
    "autoscaler_target_requests_per_second",
    "The desired requests-per-second for each pod",
    ofRps(({ target }) => target),
  ],
];

export function registerAutoscaler(register: Registry, sources: MetricSources): void {
  const rows = onePerScrape(() => revisionRows(sources));
  for (const [name, legacyName, help, value] of perRevision)
    for (const [at, of] of [name, legacyName].entries())
      gauge(register, of, help, () =>
        rows().flatMap((row): [Labels, number][] => {
          const now = value(row);
          return now === undefined ? [] : [[row.labels[at]!, now]];
        }),
      );
  registerReconcilers(register, "autoscaler", [sources.reconciles]);

  const sum = (read: (deciding: Deciding) => number): number =>
    sources.deciding().reduce((total, each) => total + read(each), 0);
  const single = (name: string, help: string, read: () => number): void =>
    gauge(register, name, help, () => [[{}, read()]]);
  single("swell_autoscaler_leading", "1 while this process decides", () => (sources.deciding().length === 0 ? 0 : 1));
  single("swell_autoscaler_buckets", "Buckets that this process decides for", () => sources.deciding().length);
  single("swell_autoscaler_deciders", "Revisions that are scaled here", () =>
    sum(({ multiScaler }) => multiScaler.counts.deciders),
  );
  single("swell_autoscaler_deciders_ticking", "Revisions that are looked at on every tick", () =>
    sum(({ multiScaler }) => multiScaler.counts.ticking),
  );
  gauge(register, "swell_autoscaler_streams", "Open stats streams", () => [
    [{ source: "pod" }, sources.server.streams.pods],
    [{ source: "activator" }, sources.server.streams.activators],
  ]);
  counter(register, "swell_autoscaler_load_messages_total", "Reports of load by what became of them", () =>
    Object.entries(sources.stats.counts).map(([result, count]) => [{ result }, count]),
  );
  counter(register, "swell_autoscaler_evaluations_total", "Decisions made", () => [
    [{}, sum(({ multiScaler }) => multiScaler.evaluations)],
  ]);
}

function revisionRows({ deciding, podAutoscalers, podCounts }: MetricSources): Row[] {
  return deciding()
    .flatMap(({ multiScaler }) => multiScaler.statuses())
    .map((status) => {
      const { namespace, name } = splitKey(status.key);
      const pa = podAutoscalers.get(status.key);
      const of = pa?.metadata.labels;
      const service = of?.[label.service] ?? "";
      const configuration = of?.[label.configuration] ?? "";
      return {
        ...status,
        pods: podCounts(status.key),
        requestedPods: Math.max(0, pa?.status?.desiredScale ?? 0),
        labels: [
          {
            k8s_namespace_name: namespace,
            kn_service_name: service,
            kn_configuration_name: configuration,
            kn_revision_name: name,
          },
          {
            namespace_name: namespace,
            service_name: service,
            configuration_name: configuration,
            revision_name: name,
          },
        ],
      };
    });
}

/** All metrics of one scrape are read in one turn of the event loop: what they share is made once. */
function onePerScrape<T>(make: () => T): () => T {
  let made: { is: T } | undefined;
  return () => {
    if (made === undefined) {
      made = { is: make() };
      queueMicrotask(() => (made = undefined));
    }
    return made.is;
  };
}
