/** The platform's own metrics, pushed to a collector where config-observability says so (autoscaling 7.1). */
import { once } from "node:events";
import { createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { Registry } from "prom-client";
import { test, type Test } from "tap";
import { parseMetricsPush } from "../../api/metrics-export.ts";
import type { ConfigMap } from "../../api/core.ts";
import { followObservability } from "../../kube/metric-push.ts";
import { ReconcileCounts } from "../../kube/reconcile-counts.ts";
import { registerReconcilers } from "../../kube/reconcile-metrics.ts";
import { WorkQueue } from "../../kube/work-queue.ts";
import { ConfigError } from "../../process/env.ts";
import { silentLogger } from "../../process/logger.ts";
import { counter, gauge } from "../../process/metric-families.ts";
import { createMetricPush } from "../../process/otlp/metric-push.ts";
import { otelMetric } from "../../process/otlp/register-metrics.ts";
import { processResource } from "../../process/process-metrics.ts";
import { decodedMetrics, startCollector } from "../../queue-proxy/otlp-fixture.ts";

const queue = "knative.dev.serving.pkg.reconciler.service.Reconciler";
const env = { POD_NAME: "controller-1", SYSTEM_NAMESPACE: "knative-serving" };

/** What a program exports, old names included, with one key taken and one waiting. */
async function exported(): Promise<Registry> {
  const register = new Registry();
  const counts = new ReconcileCounts(queue);
  registerReconcilers(register, "controller", [counts]);
  const keys = new WorkQueue(Math.random, counts);
  keys.add("ns/a");
  keys.add("ns/b");
  await keys.take();
  counter(register, "kn_k8s_client_http_response_status_code_total", "Codes", () => [
    [{ http_request_method: "GET", http_response_status_code: "404", server_address: "10.0.0.1" }, 7],
  ]);
  gauge(register, "kn_revision_pods_not_ready_count", "Pods", () => [[{ k8s_namespace_name: "ns" }, 0]]);
  return register;
}

const names: [string, string, string][] = [
  ["kn_revision_pods_desired", "kn.revision.pods.desired", ""],
  ["kn_revision_pods_not_ready_count", "kn.revision.pods.not_ready.count", ""],
  ["kn_revision_rps_stable_per_second", "kn.revision.rps.stable", "1/s"],
  ["kn_autoscaler_scrape_duration_seconds", "kn.autoscaler.scrape.duration", "s"],
  ["kn_activator_stats_conn_errors_total", "kn.activator.stats.conn.errors", ""],
  ["http_server_request_body_size_bytes", "http.server.request.body.size", "By"],
  ["kn_workqueue_unfinished_work_seconds", "kn.workqueue.unfinished_work", "s"],
  ["kn_workqueue_longest_running_processor_seconds", "kn.workqueue.longest_running_processor", "s"],
  ["kn_k8s_client_http_response_status_code_total", "kn.k8s.client.http.response.status_code", ""],
  ["kn_webhook_handler_duration_seconds", "kn.webhook.handler.duration", "s"],
];
test("what is pushed has OpenTelemetry's names", (t) => {
  for (const [prometheus, name, unit] of names) t.strictSame(otelMetric(prometheus), { name, unit }, prometheus);
  t.end();
});

const settings: [string, Record<string, string> | undefined, object | string | undefined][] = [
  ["nothing is said", undefined, undefined],
  ["Prometheus fetches", { "metrics-protocol": "prometheus", "metrics-endpoint": ":9090" }, undefined],
  [
    "it is pushed",
    { "metrics-protocol": "http/protobuf", "metrics-endpoint": "http://c:4318", "metrics-export-interval": "5s" },
    { protocol: "http/protobuf", endpoint: "http://c:4318", intervalMs: 5000 },
  ],
  [
    "the interval is not said",
    { "metrics-protocol": "grpc", "metrics-endpoint": "c:4317" },
    { protocol: "grpc", endpoint: "c:4317", intervalMs: 60_000 },
  ],
  ["there is no endpoint", { "metrics-protocol": "grpc" }, 'endpoint should be set when protocol is "grpc"'],
  ["there is one for none", { "metrics-endpoint": "c" }, 'endpoint should not be set when protocol is "none"'],
  ["the protocol is unknown", { "metrics-protocol": "opencensus" }, 'unsupported protocol "opencensus"'],
];
for (const [name, data, want] of settings)
  test(`config-observability when ${name}`, (t) => {
    if (typeof want === "string") t.throws(() => parseMetricsPush(data), new ConfigError([want]));
    else t.strictSame(parseMetricsPush(data), want);
    t.end();
  });

/** Checks one request of a collector. */
function check(t: Pick<Test, "match" | "equal" | "notOk" | "strictSame">, body: Uint8Array): void {
  const { resource, metrics } = decodedMetrics(body);
  t.match(resource, {
    "service.name": "controller",
    "k8s.pod.name": "controller-1",
    "k8s.namespace.name": "knative-serving",
  });
  const points = (name: string) => metrics.get(name)?.points;
  t.match(points("kn.workqueue.depth"), [{ attributes: { name: queue }, value: 1 }]);
  t.match(points("kn.workqueue.adds"), [{ attributes: { name: queue }, value: 2 }]);
  t.equal(metrics.get("kn.workqueue.adds")?.temporality, 2, "cumulative");
  const [waited] = points("kn.workqueue.queue.duration") ?? [];
  t.equal(
    waited?.counts.reduce((sum, count) => sum + count, 0),
    1,
  );
  t.equal(waited?.counts.length, 15);
  t.strictSame(points("kn.k8s.client.http.response.status_code")?.[0]?.attributes, {
    "http.request.method": "GET",
    "http.response.status_code": 404,
    "server.address": "10.0.0.1",
  });
  t.equal(points("kn.revision.pods.not_ready.count")?.[0]?.value, 0, "zero is a value");
  t.notOk(
    [...metrics.keys()].some((name) => name.startsWith("controller")),
    "nothing under the old names",
  );
}

test("metrics are pushed over HTTP, where the ConfigMap says and from when it says so", async (t) => {
  const first = Promise.withResolvers<void>();
  const { port, requests } = await startCollector(t, () => first.resolve());
  const push = createMetricPush({
    register: await exported(),
    resource: processResource("controller", env),
    env,
    log: silentLogger,
  });
  let change: (data: Record<string, string>) => void = () => undefined;
  const configMaps = {
    onChange(listener: (change: object) => void) {
      change = (data) =>
        listener({
          is: "updated",
          object: { metadata: { name: "config-observability", namespace: "knative-serving" }, data } as ConfigMap,
        });
    },
  };
  followObservability(push, { configMaps: configMaps as never, namespace: "knative-serving", log: silentLogger });
  const to = { "metrics-protocol": "http/protobuf", "metrics-endpoint": `http://127.0.0.1:${port}` };
  change({ ...to, "metrics-export-interval": "10ms" });
  await first.promise;
  t.strictSame([requests[0]!.url, requests[0]!.type], ["/v1/metrics", "application/x-protobuf"]);
  check(t, requests[0]!.body);
  change({ "metrics-protocol": "nonsense" });
  change({ "metrics-protocol": "none" });
  await push.stop();
  const pushed = requests.length;
  push.follow({ protocol: "http/protobuf", endpoint: to["metrics-endpoint"], intervalMs: 1 });
  await push.stop();
  t.equal(requests.length, pushed, "nothing after the end");
});

/** A collector of OTLP over gRPC. */
async function grpcCollector(t: { teardown(end: () => void): void }, status: string) {
  const calls: { path: string; message: Buffer }[] = [];
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const body = Buffer.concat(chunks);
      calls.push({ path: String(headers[":path"]), message: body.subarray(5, 5 + body.readUInt32BE(1)) });
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": status, "grpc-message": "no room" }));
      stream.end(Buffer.alloc(5));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => void server.close());
  return { calls, endpoint: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

test("metrics are pushed over gRPC, and a collector that refuses is told of in the log", async (t) => {
  const warnings: string[] = [];
  const log = { ...silentLogger, info: () => undefined, warn: ({ err }: { err: Error }) => warnings.push(err.message) };
  for (const status of ["0", "8"]) {
    const { calls, endpoint } = await grpcCollector(t, status);
    const resource = processResource("controller", env);
    const push = createMetricPush({ register: await exported(), resource, env, log: log as never });
    push.follow({ protocol: "grpc", endpoint, intervalMs: 60_000 });
    await push.stop();
    t.equal(calls.length, 1, "once more at the end");
    t.equal(calls[0]!.path, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
    check(t, calls[0]!.message);
  }
  t.equal(warnings.length, 1);
  t.match(warnings[0], /answered status 8: no room$/u);
});
