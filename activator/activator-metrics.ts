/** Prometheus metrics under Knative's names (data-plane 5.2). Read from live numbers at scrape; nothing per request. */
import { Counter, Gauge, Registry } from "prom-client";
import type { Autoscalers } from "./autoscalers.ts";
import type { RequestMetrics } from "./request-metrics.ts";
import type { RevisionDirectory } from "./revision-directory.ts";

const revisionLabels = ["k8s_namespace_name", "kn_revision_name"] as const;

export function activatorMetrics(
  directory: RevisionDirectory,
  autoscalers: Autoscalers,
  requests: RequestMetrics,
): Registry {
  const register = new Registry();
  requests.register(register);
  register.registerMetric(
    new Gauge({
      name: "kn_revision_request_concurrency",
      help: "Requests counted for the autoscaler",
      labelNames: [...revisionLabels, "kn_service_name", "kn_configuration_name"],
      registers: [],
      collect() {
        this.reset();
        for (const { namespace, name, labels, stats } of directory.all())
          this.set(
            {
              k8s_namespace_name: namespace,
              kn_revision_name: name,
              kn_service_name: labels.service,
              kn_configuration_name: labels.configuration,
            },
            stats.stats.inFlight,
          );
      },
    }),
  );
  register.registerMetric(
    new Gauge({
      name: "kn_revision_request_queued",
      help: "Requests waiting for a pod",
      labelNames: revisionLabels,
      registers: [],
      collect() {
        this.reset();
        for (const { namespace, name, throttler } of directory.all())
          this.set({ k8s_namespace_name: namespace, kn_revision_name: name }, throttler.waiting);
      },
    }),
  );
  register.registerMetric(
    new Gauge({
      name: "kn_revision_request_active",
      help: "Requests being proxied to a pod",
      labelNames: revisionLabels,
      registers: [],
      collect() {
        this.reset();
        for (const { namespace, name, throttler } of directory.all())
          this.set({ k8s_namespace_name: namespace, kn_revision_name: name }, throttler.active);
      },
    }),
  );
  register.registerMetric(
    new Gauge({
      name: "kn_activator_stats_conn_reachable",
      help: "Whether an autoscaler takes reports",
      labelNames: ["peer"],
      registers: [],
      collect() {
        this.set({ peer: "autoscaler" }, autoscalers.reachable ? 1 : 0);
      },
    }),
  );
  let counted = 0;
  register.registerMetric(
    new Counter({
      name: "kn_activator_stats_conn_errors_total",
      help: "Streams to an autoscaler that ended",
      labelNames: ["peer"],
      registers: [],
      collect() {
        this.inc({ peer: "autoscaler" }, autoscalers.errors - counted);
        counted = autoscalers.errors;
      },
    }),
  );
  return register;
}
