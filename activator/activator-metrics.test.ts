/** A real activator's metrics: their names, labels and numbers, in both generations (data-plane 5.2, 5.3). */
import { test } from "tap";
import { labelNames, parseExposed, select } from "../process/metrics-fixture.ts";
import { fakePod, paths, ready, request, setUp } from "./fixture.ts";

const to = (name: string) => ({ "Knative-Serving-Revision": name, "Knative-Serving-Namespace": "ns" });

const revision = ["k8s_namespace_name", "kn_configuration_name", "kn_revision_name", "kn_service_name"];
const old = ["configuration_name", "container_name", "namespace_name", "pod_name", "revision_name", "service_name"];
const http = [
  "http_request_method",
  "http_response_status_code",
  ...revision,
  "network_protocol_name",
  "network_protocol_version",
  "server_address",
  "url_scheme",
];
const client = ["http_request_method", "server_address", "server_port", "url_scheme", "url_template"];

const table: Record<string, string[]> = {
  kn_revision_request_concurrency: revision,
  kn_revision_request_queued: ["k8s_namespace_name", "kn_revision_name"],
  kn_revision_request_active: ["k8s_namespace_name", "kn_revision_name"],
  kn_activator_stats_conn_reachable: ["peer"],
  kn_activator_stats_conn_errors_total: ["peer"],
  http_server_request_duration_seconds: http,
  http_server_request_body_size_bytes: http,
  http_server_response_body_size_bytes: http,
  http_client_request_duration_seconds: client,
  kn_k8s_client_http_response_status_code_total: ["http_request_method", "http_response_status_code", "server_address"],
  activator_request_concurrency: old,
  activator_request_count: [...old, "response_code", "response_code_class"].sort(),
  activator_request_latencies: [...old, "response_code", "response_code_class"].sort(),
  target_info: ["k8s_namespace_name", "k8s_pod_name", "service_instance_id", "service_name", "telemetry_sdk_language"],
};

test("an activator's metrics, with their labels", async (t) => {
  const pod = await fakePod(t, "p");
  const { activator, metrics } = await setUp(t, [[paths.endpoints, ready("r", pod.port)]]);
  for (let at = 0; at < 3; at += 1) await request(activator, { host: `host-${at % 2}`, ...to("r") });
  const exposed = parseExposed((await request(metrics, { host: "x" }, "/metrics")).body);
  const found = labelNames(exposed);
  for (const [name, labels] of Object.entries(table)) t.strictSame(found[name], labels, name);

  const ofOld = { namespace_name: "ns", revision_name: "r", pod_name: "activator-1", container_name: "activator" };
  const answered = { ...ofOld, response_code: "200", response_code_class: "2xx" };
  t.equal(select(exposed, "activator_request_count", answered)[0]?.value, 3, "however many series they are today");
  t.equal(select(exposed, "http_server_request_duration_seconds_count").length, 2);
  const sum = (name: string): number => select(exposed, name).reduce((total, { value }) => total + value, 0);
  t.equal(sum("http_server_request_duration_seconds_count"), 3);
  const seconds = sum("http_server_request_duration_seconds_sum");
  t.ok(Math.abs(sum("activator_request_latencies_sum") - seconds * 1000) < 1e-6, "the same in milliseconds");
  t.equal(select(exposed, "activator_request_concurrency", ofOld)[0]?.value, 0);
});

test("what clients send makes no more series than are allowed, and loses no request", async (t) => {
  const pod = await fakePod(t, "p");
  const { activator, metrics } = await setUp(t, [[paths.endpoints, ready("r", pod.port)]]);
  for (let at = 0; at < 210; at += 1) await request(activator, { host: `host-${at}`, ...to("r") });
  const exposed = parseExposed((await request(metrics, { host: "x" }, "/metrics")).body);
  const counts = select(exposed, "http_server_request_duration_seconds_count");
  t.equal(counts.length, 201);
  t.equal(
    counts.reduce((total, { value }) => total + value, 0),
    210,
  );
  t.equal(select(exposed, "activator_request_count")[0]?.value, 210);
});
