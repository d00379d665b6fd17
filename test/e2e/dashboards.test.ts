/**
 * What dashboards written for Knative ask for, asked of the running programs after one Service and one request: each
 * query has to find a series. Of both generations (eventing-functions-monitoring 3.4, 3.5; autoscaling 7; data-plane 5).
 */
import { test, type Test } from "tap";
import { labelNames, parseExposed, select, type Exposed } from "../../process/metrics-fixture.ts";
import { Cluster, has } from "./cluster.ts";

const reconciler = (name: string): string => `knative.dev.serving.pkg.reconciler.${name}`;
const today = 'k8s_namespace_name="default",kn_configuration_name="seen",kn_revision_name="seen-00001"';
const old = 'namespace_name="default",configuration_name="seen",revision_name="seen-00001"';
/** Of every program: `container` and `pod` come from the scrape target. */
const efficiency = [
  'go_memory_used_bytes{go_memory_type="other"}',
  "go_memstats_heap_alloc_bytes",
  "process_cpu_seconds_total",
  "process_resident_memory_bytes",
];
const apiServer = ["kn_k8s_client_http_response_status_code_total", "http_client_request_duration_seconds_bucket"];
const queue = (name: string): string[] => [
  `kn_workqueue_depth{name="${name}"}`,
  `kn_workqueue_adds_total{name="${name}"}`,
  `kn_workqueue_queue_duration_seconds_bucket{name="${name}",le="10"}`,
  `kn_workqueue_process_duration_seconds_bucket{name="${name}",le="10"}`,
  `kn_workqueue_unfinished_work_seconds{name="${name}"}`,
  `kn_workqueue_longest_running_processor_seconds{name="${name}"}`,
  `kn_workqueue_retries_total{name="${name}"}`,
];

/** Program → PromQL selectors, and those of which a value is known. */
const queries: Record<string, (string | [selector: string, atLeast: number])[]> = {
  controller: [
    'target_info{service_name="controller"}',
    ...["service", "route", "configuration", "revision"].flatMap((kind) => queue(reconciler(`${kind}.Reconciler`))),
    ...["service", "route", "configuration", "revision"].flatMap((kind): [string, number][] => [
      [`kn_workqueue_process_duration_seconds_count{name="${reconciler(`${kind}.Reconciler`)}"}`, 1],
      [`controller_reconcile_count{reconciler="${reconciler(`${kind}.Reconciler`)}",success="true"}`, 1],
      [`controller_reconcile_latency_bucket{reconciler="${reconciler(`${kind}.Reconciler`)}",le="100000"}`, 1],
    ]),
    ...["serverlessservice.reconciler", "labeler.Reconciler", "gc.reconciler", "domainmapping.Reconciler"].map(
      (name) => `kn_workqueue_depth{name="${reconciler(name)}"}`,
    ),
    "controller_work_queue_depth",
  ],
  autoscaler: [
    'target_info{service_name="autoscaler"}',
    ...queue(reconciler("autoscaling.kpa.Reconciler")),
    ...[
      "pods_desired",
      "pods_requested",
      "pods_count",
      "pods_not_ready_count",
      "pods_pending_count",
      "pods_terminating_count",
      "capacity_excess",
      "panic_mode",
      "concurrency_stable",
      "concurrency_panic",
      "concurrency_target",
    ].map((name) => `kn_revision_${name}{${today},kn_service_name="seen"}`),
    [`kn_revision_pods_count{${today}}`, 1],
    ...[
      "desired_pods",
      "requested_pods",
      "actual_pods",
      "not_ready_pods",
      "pending_pods",
      "terminating_pods",
      "excess_burst_capacity",
      "panic_mode",
      "stable_request_concurrency",
      "panic_request_concurrency",
      "target_concurrency_per_pod",
    ].map((name) => `autoscaler_${name}{${old}}`),
    [`autoscaler_actual_pods{${old}}`, 1],
  ],
  "autoscaler-hpa": ['target_info{service_name="hpaautoscaler"}', ...queue(reconciler("autoscaling.hpa.Reconciler"))],
  activator: [
    'target_info{service_name="activator"}',
    `kn_revision_request_concurrency{${today}}`,
    'kn_revision_request_queued{k8s_namespace_name="default",kn_revision_name="seen-00001"}',
    'kn_revision_request_active{k8s_namespace_name="default",kn_revision_name="seen-00001"}',
    ['kn_activator_stats_conn_reachable{peer="autoscaler"}', 1],
    'kn_activator_stats_conn_errors_total{peer="autoscaler"}',
    [`http_server_request_duration_seconds_count{${today},http_response_status_code="200"}`, 1],
    `http_server_request_duration_seconds_bucket{${today},http_request_method="GET",le="0.005"}`,
    `activator_request_concurrency{${old}}`,
    [`activator_request_count{${old},response_code="200",response_code_class="2xx"}`, 1],
    [`activator_request_latencies_bucket{${old},response_code_class="2xx",le="100000"}`, 1],
  ],
  webhook: [
    'target_info{service_name="webhook"}',
    'kn_webhook_handler_duration_seconds_bucket{kn_webhook_type="defaulting",kn_webhook_resource_kind="Service",kn_webhook_operation_type="CREATE",kn_webhook_operation_status="success"}',
    'kn_webhook_handler_duration_seconds_bucket{kn_webhook_type="validation",kn_webhook_resource_group="serving.knative.dev"}',
    ['http_server_request_duration_seconds_count{http_request_method="POST",http_response_status_code="200"}', 1],
  ],
};

const ofSidecar: (string | [string, number])[] = [
  'target_info{kn_revision_name="seen-00001",kn_service_name="seen",container_name="queue-proxy"}',
  ['http_server_request_duration_seconds_count{http_response_status_code="200"}', 1],
  ['kn_serving_invocation_duration_seconds_count{http_response_status_code="200"}', 1],
  `kn_serving_queue_depth`,
  [`revision_request_count{${old},response_code="200",response_code_class="2xx"}`, 1],
  [`revision_app_request_count{${old},response_code="200"}`, 1],
  `revision_request_latencies_bucket{${old},le="5"}`,
  `revision_app_request_latencies_bucket{${old},le="5"}`,
  `revision_queue_depth{${old}}`,
];

/** What the selector finds; each has to be there. */
function check(t: Pick<Test, "ok">, exposed: Exposed, program: string, wanted: (string | [string, number])[]): void {
  for (const query of wanted) {
    const [selector, atLeast] = typeof query === "string" ? [query, undefined] : query;
    const [, name = "", matchers = ""] = /^(\w+)(?:\{(.*)\})?$/u.exec(selector) ?? [];
    const labels = Object.fromEntries(
      Array.from(matchers.matchAll(/(\w+)="([^"]*)"/gu), ([, key, value]) => [key, value]),
    );
    const found = select(exposed, name, labels as Record<string, string>);
    const sum = found.reduce((total, { value }) => total + value, 0);
    t.ok(found.length > 0 && (atLeast === undefined || sum >= atLeast), `${program}: ${selector}`, { found });
  }
}

if (!has("kubectl")) {
  test("dashboards", { skip: "kubectl is not on PATH" }, (t) => t.end());
} else {
  await using cluster = new Cluster();
  await test("dashboards of both generations find their series", async (t) => {
    await cluster.start();
    await cluster.k(
      'patch cm config-observability -n knative-serving --type=merge -p {"data":{"request-metrics-protocol":"prometheus"}}',
    );
    const service = {
      apiVersion: "serving.knative.dev/v1",
      kind: "Service",
      metadata: { name: "seen" },
      spec: {
        template: {
          metadata: { annotations: { "autoscaling.knative.dev/min-scale": "1" } },
          spec: { containerConcurrency: 10, containers: [{ image: "dev.local/hello" }] },
        },
      },
    };
    await cluster.k("apply -f -", JSON.stringify(service));
    await cluster.k("wait ksvc/seen --for=condition=Ready --timeout=30s");
    t.equal((await cluster.request("seen.default.localhost", { path: "/" })).status, 200);

    for (const [program, wanted] of Object.entries(queries)) {
      // As Knative's ServiceMonitors do: by this label and the port's name.
      const named = `get services -n knative-serving -l app=${program} -o jsonpath={.items[0].metadata.name}`;
      const behind = (await cluster.k(named)).trim();
      const url = `/api/v1/namespaces/knative-serving/services/${behind}:http-metrics/proxy/metrics`;
      const exposed = parseExposed(await cluster.k(`get --raw ${url}`));
      check(t, exposed, program, [...wanted, ...efficiency, ...apiServer]);
      t.comment(`${program}: ${Object.keys(labelNames(exposed)).length} metrics`);
    }
    const pod = await cluster.k("get pods -l serving.knative.dev/service=seen -o jsonpath={.items[0].metadata.name}");
    const url = `/api/v1/namespaces/default/pods/${pod.trim()}:9091/proxy/metrics`;
    check(t, parseExposed(await cluster.k(`get --raw ${url}`)), "queue-proxy", ofSidecar);
  });
}
