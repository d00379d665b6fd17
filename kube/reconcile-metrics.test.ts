import { Registry } from "prom-client";
import { test } from "tap";
import { silentLogger } from "../process/logger.ts";
import { exposedBy, labelNames, select } from "../process/metrics-fixture.ts";
import { ApiError } from "./client.ts";
import { ClientCounts, pathTemplate } from "./client-counts.ts";
import { FakeApiServer } from "./fake-api-server.ts";
import { httpsClient } from "./https-client.ts";
import { queueName, ReconcileCounts } from "./reconcile-counts.ts";
import { registerReconcilers } from "./reconcile-metrics.ts";
import { done, startReconciler, TerminalError, type Outcome } from "./reconciler.ts";
import { WorkQueue } from "./work-queue.ts";

const name = queueName("knative.dev.serving.pkg.reconciler.service.reconciler");

const conflict = new ApiError({
  apiVersion: "v1",
  kind: "Status",
  metadata: {},
  status: "Failure",
  reason: "Conflict",
  code: 409,
});

/** One term that ends with the last step. */
async function term(counts: ReconcileCounts, steps: (Outcome | Error)[]): Promise<void> {
  const stop = new AbortController();
  let runs = 0;
  const reconciler = startReconciler({
    name: "service-controller",
    log: silentLogger,
    counts,
    workers: 1,
    async reconcile() {
      const step = steps[runs++];
      if (runs === steps.length) setImmediate(() => stop.abort());
      if (step instanceof Error) throw step;
      if (runs < steps.length) reconciler.queue.add("ns/a");
      return step ?? done;
    },
  });
  reconciler.queue.add("ns/a");
  await reconciler.run(stop.signal);
}

test("queues have the names that Knative's dashboards select", (t) => {
  for (const [lease, want] of [
    ["service.reconciler", "service.Reconciler"],
    ["route.reconciler", "route.Reconciler"],
    ["configuration.reconciler", "configuration.Reconciler"],
    ["revision.reconciler", "revision.Reconciler"],
    ["autoscaling.kpa.reconciler", "autoscaling.kpa.Reconciler"],
    ["gc.reconciler", "gc.reconciler"],
    ["serverlessservice.reconciler", "serverlessservice.reconciler"],
    ["nscert.reconciler", "nscert.reconciler"],
  ])
    t.equal(queueName(`knative.dev.serving.pkg.reconciler.${lease}`), `knative.dev.serving.pkg.reconciler.${want}`);
  t.equal(queueName("swell.dev.controller.ingress.reconciler"), "swell.dev.controller.ingress.reconciler");
  t.end();
});

test("a reconciler's metrics, with their labels", async (t) => {
  const register = new Registry();
  const counts = new ReconcileCounts(name);
  registerReconcilers(register, "controller", [counts]);
  await term(counts, [done, { is: "again", afterMs: 3_600_000 }, conflict, new Error("no"), done]);
  const exposed = await exposedBy(register);
  t.strictSame(labelNames(exposed), {
    kn_workqueue_depth: ["name"],
    kn_workqueue_adds_total: ["name"],
    kn_workqueue_retries_total: ["name"],
    kn_workqueue_queue_duration_seconds: ["name"],
    kn_workqueue_process_duration_seconds: ["name"],
    kn_workqueue_unfinished_work_seconds: ["name"],
    kn_workqueue_longest_running_processor_seconds: ["name"],
    swell_reconciles_total: ["name", "result"],
    swell_reconciler_leading: ["name"],
    controller_reconcile_count: ["reconciler", "success"],
    controller_reconcile_latency: ["reconciler", "success"],
    controller_work_queue_depth: ["reconciler"],
  });
  const value = (metric: string, labels: Record<string, string> = { name }): number | undefined =>
    select(exposed, metric, labels)[0]?.value;
  t.equal(value("kn_workqueue_adds_total"), 5);
  t.equal(value("kn_workqueue_retries_total"), 3, "one asked for, two after failures");
  t.equal(value("kn_workqueue_queue_duration_seconds_count"), 5);
  t.equal(value("kn_workqueue_process_duration_seconds_count"), 5);
  t.equal(value("swell_reconciler_leading"), 0, "the term is over");
  for (const [result, want] of [
    ["done", 2],
    ["again", 1],
    ["conflict", 1],
    ["failed", 1],
    ["terminal", 0],
  ] as const)
    t.equal(value("swell_reconciles_total", { name, result }), want, result);
  t.equal(value("controller_reconcile_count", { reconciler: name, success: "true" }), 3);
  t.equal(value("controller_reconcile_count", { reconciler: name, success: "false" }), 2);
  t.equal(value("controller_reconcile_latency_bucket", { success: "false", le: "+Inf" }), 2);
});

test("counters go on in the next term", async (t) => {
  const register = new Registry();
  const counts = new ReconcileCounts(name);
  registerReconcilers(register, "controller", [counts]);
  await term(counts, [done, done]);
  await term(counts, [new TerminalError("for good")]);
  const exposed = await exposedBy(register);
  t.equal(select(exposed, "kn_workqueue_adds_total")[0]?.value, 3);
  t.equal(select(exposed, "swell_reconciles_total", { result: "terminal" })[0]?.value, 1);
});

test("times are told by the queue's own clock", async (t) => {
  let nowMs = 1000;
  const counts = new ReconcileCounts(name);
  const queue = new WorkQueue(Math.random, counts, () => nowMs);
  queue.add("a");
  nowMs += 30;
  queue.add("a");
  await queue.take();
  nowMs += 700;
  t.strictSame([...queue.runningSince()], [1030]);
  queue.add("a");
  nowMs += 200;
  queue.done("a");
  t.equal(counts.queuedSeconds.values.sum, 0.03, "from when it was first asked for");
  t.equal(counts.workSeconds.values.sum, 0.9);
  nowMs += 50;
  await queue.take();
  t.equal(counts.queuedSeconds.values.sum, 0.28, "what was asked for during a run has waited for its end too");
  t.equal(counts.queues.size, 1);
  queue.shutDown();
  t.equal(counts.queues.size, 0);
});

test("several queues of one reconciler add up", async (t) => {
  const register = new Registry();
  const counts = new ReconcileCounts(name);
  registerReconcilers(register, "autoscaler", [counts]);
  const queues = [new WorkQueue(Math.random, counts), new WorkQueue(Math.random, counts)];
  for (const queue of queues) for (const key of ["a", "b", "c"]) queue.add(key);
  await queues[0]!.take();
  const exposed = await exposedBy(register);
  t.equal(select(exposed, "kn_workqueue_depth")[0]?.value, 5);
  t.equal(select(exposed, "autoscaler_work_queue_depth")[0]?.value, 5);
  t.equal(select(exposed, "swell_reconciler_leading")[0]?.value, 1);
});

test("requests to the API server are counted by what they are, not by name", async (t) => {
  for (const [path, want] of [
    ["/api/v1/pods?watch=true", "/api/v1/pods"],
    ["/api/v1/namespaces/a", "/api/v1/namespaces/{name}"],
    ["/api/v1/nodes/n/status", "/api/v1/nodes/{name}/status"],
    ["/api/v1/namespaces/a/pods", "/api/v1/namespaces/{namespace}/pods"],
    [
      "/apis/serving.knative.dev/v1/namespaces/a/services/b/status?x=/y",
      "/apis/serving.knative.dev/v1/namespaces/{namespace}/services/{name}/status",
    ],
  ] as const)
    t.equal(pathTemplate(path), want);

  const counts = new ClientCounts(new URL("https://10.0.0.1"));
  for (let at = 0; at < 2000; at += 1) counts.add("GET", `/apis/g${at}/v1/things`, 200, 1);
  const register = new Registry();
  counts.register(register);
  const seconds = select(await exposedBy(register), "http_client_request_duration_seconds_count");
  t.ok(seconds.length <= 501, `${seconds.length} series`);
  t.equal(
    seconds.reduce((sum, { value }) => sum + value, 0),
    2000,
    "and none is lost",
  );
});

test("a client's requests show with their method, status and template", async (t) => {
  const server = new FakeApiServer();
  t.teardown(() => server.stop());
  await server.start();
  const client = httpsClient({ server: server.url, userAgent: "test" });
  t.teardown(() => client.close());
  const services = {
    group: "serving.knative.dev",
    version: "v1",
    kind: "Service",
    plural: "services",
    namespaced: true,
  } as const;
  const object = { apiVersion: "serving.knative.dev/v1", kind: "Service", metadata: { name: "a", namespace: "ns" } };
  await client.create(services, object);
  await t.rejects(client.get(services, "none", "ns"));
  const register = new Registry();
  client.counts.register(register);
  const exposed = await exposedBy(register);
  t.strictSame(labelNames(exposed), {
    kn_k8s_client_http_response_status_code_total: [
      "http_request_method",
      "http_response_status_code",
      "server_address",
    ],
    http_client_request_duration_seconds: [
      "http_request_method",
      "server_address",
      "server_port",
      "url_scheme",
      "url_template",
    ],
  });
  const status = (labels: Record<string, string>): number | undefined =>
    select(exposed, "kn_k8s_client_http_response_status_code_total", labels)[0]?.value;
  t.equal(status({ http_request_method: "GET", http_response_status_code: "404" }), 1);
  t.ok((status({ http_request_method: "POST" }) ?? 0) === 1);
});
