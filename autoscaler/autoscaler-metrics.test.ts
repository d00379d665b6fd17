import { Registry } from "prom-client";
import { test } from "tap";
import type { Metric, PodAutoscaler } from "../api/autoscaling.ts";
import { label } from "../api/keys.ts";
import { ReconcileCounts } from "../kube/reconcile-counts.ts";
import { exposedBy, labelNames, select } from "../process/metrics-fixture.ts";
import { registerAutoscaler, type MetricSources } from "./autoscaler-metrics.ts";
import type { DeciderStatus } from "./multi-scaler.ts";
import { UpstreamMetrics } from "./upstream/upstream-metrics.ts";

const labels = { [label.service]: "hello", [label.configuration]: "hello" };

const status = (name: string, fields: Partial<DeciderStatus> = {}): DeciderStatus => ({
  key: `default/${name}`,
  metric: "concurrency",
  desiredPods: 3,
  excessBurstCapacity: 12.5,
  stable: 1.5,
  panic: 2.5,
  target: 7,
  panicking: true,
  ...fields,
});

function scene(statuses: DeciderStatus[]) {
  let asked = 0;
  const multiScaler = {
    statuses() {
      asked += 1;
      return statuses;
    },
    counts: { deciders: statuses.length, ticking: 1 },
    evaluations: 9,
  };
  const pa = { metadata: { labels }, status: { desiredScale: 2 } } as unknown as PodAutoscaler;
  const sources = {
    podAutoscalers: { get: () => pa, list: () => [pa] },
    podCounts: () => ({ ready: 1, notReady: 2, pending: 3, terminating: 4 }),
    deciding: () => [{ multiScaler }],
    reconciles: new ReconcileCounts("knative.dev.serving.pkg.reconciler.autoscaling.kpa.Reconciler"),
    stats: { counts: { used: 5, stale: 0 } },
    server: { streams: { pods: 6, activators: 1 } },
  } as unknown as MetricSources;
  const register = new Registry();
  registerAutoscaler(register, sources);
  return { register, asked: () => asked };
}

const today = ["k8s_namespace_name", "kn_configuration_name", "kn_revision_name", "kn_service_name"];
const old = ["configuration_name", "namespace_name", "revision_name", "service_name"];

/** Today's name, the name up to Knative 1.18, and what the scene says; rps in the last three. */
const names: [string, string, number][] = [
  ["kn_revision_pods_desired", "autoscaler_desired_pods", 3],
  ["kn_revision_pods_requested", "autoscaler_requested_pods", 2],
  ["kn_revision_pods_count", "autoscaler_actual_pods", 1],
  ["kn_revision_pods_not_ready_count", "autoscaler_not_ready_pods", 2],
  ["kn_revision_pods_pending_count", "autoscaler_pending_pods", 3],
  ["kn_revision_pods_terminating_count", "autoscaler_terminating_pods", 4],
  ["kn_revision_capacity_excess", "autoscaler_excess_burst_capacity", 12.5],
  ["kn_revision_panic_mode", "autoscaler_panic_mode", 1],
  ["kn_revision_concurrency_stable", "autoscaler_stable_request_concurrency", 1.5],
  ["kn_revision_concurrency_panic", "autoscaler_panic_request_concurrency", 2.5],
  ["kn_revision_concurrency_target", "autoscaler_target_concurrency_per_pod", 7],
  ["kn_revision_rps_stable_per_second", "autoscaler_stable_requests_per_second", 50],
  ["kn_revision_rps_panic_per_second", "autoscaler_panic_requests_per_second", 60],
  ["kn_revision_rps_target_per_second", "autoscaler_target_requests_per_second", 70],
];

test("every number of a revision has its names and labels of both generations", async (t) => {
  const { register, asked } = scene([
    status("hello-00001"),
    status("calls-00001", { metric: "rps", stable: 50, panic: 60, target: 70 }),
  ]);
  const exposed = await exposedBy(register);
  const found = labelNames(exposed);
  for (const [name, legacyName, want] of names) {
    t.strictSame(found[name], today, name);
    t.strictSame(found[legacyName], old, legacyName);
    const revision = name.includes("_rps_") ? "calls-00001" : "hello-00001";
    const ofRevision = { kn_revision_name: revision, kn_service_name: "hello", kn_configuration_name: "hello" };
    t.equal(select(exposed, name, { ...ofRevision, k8s_namespace_name: "default" })[0]?.value, want, name);
    const ofOld = { revision_name: revision, service_name: "hello", configuration_name: "hello" };
    t.equal(select(exposed, legacyName, { ...ofOld, namespace_name: "default" })[0]?.value, want, legacyName);
  }
  t.equal(select(exposed, "kn_revision_rps_stable_per_second").length, 1, "only of revisions that scale on it");
  t.equal(select(exposed, "kn_revision_concurrency_stable").length, 1);
  t.equal(asked(), 1, "one look at the deciders for all of them");
});

test("a revision that is gone leaves no series, and the next scrape looks again", async (t) => {
  const statuses = [status("hello-00001")];
  const { register } = scene(statuses);
  t.equal(select(await exposedBy(register), "kn_revision_pods_desired").length, 1);
  statuses.pop();
  const exposed = await exposedBy(register);
  for (const [name, legacyName] of names) t.notOk(exposed.has(name) || exposed.has(legacyName), name);
  t.equal(select(exposed, "kn_workqueue_depth").length, 1);
});

test("how long it took to ask pods shows per Configuration, until its last revision is gone", async (t) => {
  const metric = { metadata: { namespace: "default", labels } } as unknown as Metric;
  const upstream = new UpstreamMetrics();
  const register = new Registry();
  upstream.register(register, () => 1, { connections: 2, counts: { used: 1 } } as never);
  const load = { is: "load", load: { concurrency: 1, requests: 1 }, pods: 1, through: "pods" } as const;
  upstream.scraped("default/hello-00001", metric, load, 250);
  upstream.scraped("default/hello-00002", metric, load, 500);
  const exposed = await exposedBy(register);
  const ofToday = { k8s_namespace_name: "default", kn_service_name: "hello", kn_configuration_name: "hello" };
  t.equal(select(exposed, "kn_autoscaler_scrape_duration_seconds_sum", ofToday)[0]?.value, 0.75);
  const ofOld = { namespace_name: "default", service_name: "hello", configuration_name: "hello" };
  t.equal(select(exposed, "autoscaler_scrape_time_sum", ofOld)[0]?.value, 750);
  t.equal(select(exposed, "autoscaler_scrape_time_bucket", { ...ofOld, le: "250" })[0]?.value, 1);
  upstream.forget("default/hello-00001");
  t.equal(select(await exposedBy(register), "autoscaler_scrape_time_count")[0]?.value, 2);
  upstream.forget("default/hello-00002");
  t.notOk((await exposedBy(register)).has("autoscaler_scrape_time_count"));
});
