/** What the autoscaler exports (spec: autoscaling 7.1); every value is read when it is asked for. */
import { Counter, Gauge, Registry } from "prom-client";
import type { PodAutoscaler } from "../api/autoscaling.ts";
import { label } from "../api/keys.ts";
import { splitKey } from "../api/meta.ts";
import type { Lister } from "../kube/informer.ts";
import type { DeciderStatus, MultiScaler } from "./multi-scaler.ts";
import type { PodCounts } from "./pod-counts.ts";
import type { RevisionStats } from "./revision-stats.ts";
import type { StatsServer } from "./stats-server.ts";

export interface MetricSources {
  podAutoscalers: Lister<PodAutoscaler>;
  podCounts: (key: string) => PodCounts;
  /** Undefined while this process does not lead. */
  multiScaler: () => MultiScaler | undefined;
  queueDepth: () => number;
  stats: RevisionStats;
  server: StatsServer;
}

const revisionLabels = ["k8s_namespace_name", "kn_service_name", "kn_configuration_name", "kn_revision_name"] as const;
type RevisionLabels = Record<(typeof revisionLabels)[number], string>;

export function createMetrics(sources: MetricSources): Registry {
  const register = new Registry();

  const labelsOf = (key: string): RevisionLabels => {
    const { namespace, name } = splitKey(key);
    const labels = sources.podAutoscalers.get(key)?.metadata.labels;
    return {
      k8s_namespace_name: namespace,
      kn_service_name: labels?.[label.service] ?? "",
      kn_configuration_name: labels?.[label.configuration] ?? "",
      kn_revision_name: name,
    };
  };
  /** A gauge with one series per revision; undefined leaves it out. A deleted revision's is gone. */
  const perRevision = (name: string, help: string, value: (status: DeciderStatus) => number | undefined): void => {
    const gauge: Gauge = new Gauge({
      name,
      help,
      labelNames: revisionLabels,
      registers: [register],
      collect() {
        this.reset();
        for (const status of sources.multiScaler()?.statuses() ?? []) {
          const now = value(status);
          if (now !== undefined) this.set(labelsOf(status.key), now);
        }
      },
    });
    void gauge;
  };
  const concurrency = (read: (status: DeciderStatus) => number) => (status: DeciderStatus) =>
    status.metric === "concurrency" ? read(status) : undefined;
  const rps = (read: (status: DeciderStatus) => number) => (status: DeciderStatus) =>
    status.metric === "rps" ? read(status) : undefined;

  perRevision("kn_revision_pods_desired", "Number of pods autoscaler wants to allocate", (s) => s.desiredPods);
  perRevision("kn_revision_pods_requested", "Number of pods autoscaler requested from Kubernetes", (s) =>
    Math.max(0, sources.podAutoscalers.get(s.key)?.status?.desiredScale ?? 0),
  );
  perRevision(
    "kn_revision_pods_count",
    "Number of pods that are allocated currently",
    (s) => sources.podCounts(s.key).ready,
  );
  perRevision(
    "kn_revision_pods_not_ready_count",
    "Number of pods that are not ready currently",
    (s) => sources.podCounts(s.key).notReady,
  );
  perRevision(
    "kn_revision_pods_pending_count",
    "Number of pods that are pending currently",
    (s) => sources.podCounts(s.key).pending,
  );
  perRevision(
    "kn_revision_pods_terminating_count",
    "Number of pods that are terminating currently",
    (s) => sources.podCounts(s.key).terminating,
  );
  perRevision(
    "kn_revision_capacity_excess",
    "Excess burst capacity observed over the stable window",
    (s) => s.excessBurstCapacity,
  );
  perRevision("kn_revision_panic_mode", "If greater than 0 the autoscaler is operating in panic mode", (s) =>
    s.panicking ? 1 : 0,
  );
  perRevision(
    "kn_revision_concurrency_stable",
    "Average of request count over the stable window",
    concurrency((s) => s.stable),
  );
  perRevision(
    "kn_revision_concurrency_panic",
    "Average of request count over the panic window",
    concurrency((s) => s.panic),
  );
  perRevision(
    "kn_revision_concurrency_target",
    "The desired concurrent requests for each pod",
    concurrency((s) => s.target),
  );
  perRevision(
    "kn_revision_rps_stable_per_second",
    "Average of requests-per-second over the stable window",
    rps((s) => s.stable),
  );
  perRevision(
    "kn_revision_rps_panic_per_second",
    "Average of requests-per-second over the panic window",
    rps((s) => s.panic),
  );
  perRevision(
    "kn_revision_rps_target_per_second",
    "The desired requests-per-second for each pod",
    rps((s) => s.target),
  );

  const gauge = (name: string, help: string, read: () => number): void => {
    void new Gauge({
      name,
      help,
      registers: [register],
      collect() {
        this.set(read());
      },
    });
  };
  void new Gauge({
    name: "kn_workqueue_depth",
    help: "Current depth of the workqueue",
    labelNames: ["name"],
    registers: [register],
    collect() {
      this.set({ name: "podautoscaler" }, sources.queueDepth());
    },
  });
  gauge("swell_autoscaler_leading", "1 while this process decides", () =>
    sources.multiScaler() === undefined ? 0 : 1,
  );
  gauge(
    "swell_autoscaler_deciders",
    "Revisions that are scaled here",
    () => sources.multiScaler()?.counts.deciders ?? 0,
  );
  gauge(
    "swell_autoscaler_deciders_ticking",
    "Revisions that are looked at on every tick",
    () => sources.multiScaler()?.counts.ticking ?? 0,
  );
  void new Gauge({
    name: "swell_autoscaler_streams",
    help: "Open stats streams",
    labelNames: ["source"],
    registers: [register],
    collect() {
      this.set({ source: "pod" }, sources.server.streams.pods);
      this.set({ source: "activator" }, sources.server.streams.activators);
    },
  });
  void new Counter({
    name: "swell_autoscaler_load_messages_total",
    help: "Reports of load by what became of them",
    labelNames: ["result"],
    registers: [register],
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(sources.stats.counts)) this.inc({ result }, count);
    },
  });
  void new Counter({
    name: "swell_autoscaler_evaluations_total",
    help: "Decisions made",
    registers: [register],
    collect() {
      this.reset();
      this.inc(sources.multiScaler()?.evaluations ?? 0);
    },
  });
  return register;
}
