/**
 * Prometheus metrics under Knative's names, today's and those up to 1.18 (data-plane 5.2, 5.3). Read from live numbers
 * at scrape; nothing per request.
 */
import type { Registry } from "prom-client";
import { counter, gauge, type Labels } from "../process/metric-families.ts";
import { legacyRevisionLabels, revisionLabels, type RequestMetrics } from "./request-metrics.ts";
import type { RevisionDirectory, RevisionEntry } from "./revision-directory.ts";

export function registerActivator(
  register: Registry,
  {
    directory,
    receivers,
    requests,
    pod,
  }: {
    directory: Pick<RevisionDirectory, "all">;
    /** Who takes reports. */
    receivers: readonly { reachable: boolean; errors: number }[];
    requests: RequestMetrics;
    /** Of this process. */
    pod: string;
  },
): void {
  requests.register(register);
  const perRevision = (
    name: string,
    help: string,
    labels: (entry: RevisionEntry) => Labels,
    value: (entry: RevisionEntry) => number,
  ): void => gauge(register, name, help, () => Array.from(directory.all(), (entry) => [labels(entry), value(entry)]));
  const nameOnly = ({ namespace, name }: RevisionEntry): Labels => ({
    k8s_namespace_name: namespace,
    kn_revision_name: name,
  });
  const concurrency = "Requests counted for the autoscaler";
  const inFlight = ({ stats }: RevisionEntry): number => stats.stats.inFlight;
  perRevision("kn_revision_request_concurrency", concurrency, revisionLabels, inFlight);
  const legacyLabels = (entry: RevisionEntry): Labels => ({
    ...legacyRevisionLabels(entry),
    pod_name: pod,
    container_name: "activator",
  });
  perRevision("activator_request_concurrency", concurrency, legacyLabels, inFlight);
  perRevision("kn_revision_request_queued", "Requests waiting for a pod", nameOnly, (entry) => entry.throttler.waiting);
  perRevision(
    "kn_revision_request_active",
    "Requests being proxied to a pod",
    nameOnly,
    (entry) => entry.throttler.active,
  );
  const peer = { peer: "autoscaler" };
  gauge(register, "kn_activator_stats_conn_reachable", "Whether an autoscaler takes reports", () => [
    [peer, receivers.some(({ reachable }) => reachable) ? 1 : 0],
  ]);
  counter(register, "kn_activator_stats_conn_errors_total", "Connections to an autoscaler that ended", () => [
    [peer, receivers.reduce((sum, { errors }) => sum + errors, 0)],
  ]);
}
