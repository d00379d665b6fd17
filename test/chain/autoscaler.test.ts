/** The whole autoscaler against the embedded API server: real streams, real objects, a fake activator and no pods. */
import { credentials } from "@grpc/grpc-js";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { test } from "tap";
import { parse } from "yaml";
import { metrics, podAutoscalers, type Metric, type PodAutoscaler } from "../../api/autoscaling.ts";
import {
  configMaps,
  customResourceDefinitions,
  deployments,
  endpoints,
  namespaces,
  pods,
  secrets,
  type Deployment,
} from "../../api/core.ts";
import { conditionOf } from "../../api/conditions.ts";
import type { KubeObject } from "../../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../../api/networking.ts";
import { run } from "../../autoscaler/run.ts";
import { parseProcessConfig } from "../../autoscaler/config.ts";
import { statsToken } from "../../autoscaler/stats-credentials.ts";
import { inProcessClient } from "../../local/apiserver/in-process-client.ts";
import { createKindRegistry } from "../../local/apiserver/kinds/index.ts";
import { createRest } from "../../local/apiserver/rest.ts";
import { createLogger } from "../../process/logger.ts";
import { PodState, StatsClient, type Load } from "../../proto/gen/stats.ts";

const key = Buffer.alloc(32, 3);
const name = "hello-00001";
const namespace = "default";
const labels = { "serving.knative.dev/revision": name, "serving.knative.dev/service": "hello" };
const crds = path.join(import.meta.dirname, "../../manifests/crds");
/** An address of its own, so that the usual ports are free. */
const address = `127.77.${(process.pid >> 8) & 0xff}.${process.pid & 0xff || 1}`;

test("a revision is started, let go when idle, and woken by what is held", { timeout: 60_000 }, async (t) => {
  const log = createLogger("autoscaler", process.env["SWELL_LOG_LEVEL"] ?? "silent");
  const rest = await createRest({ file: ":memory:", kinds: createKindRegistry(), log });
  const client = inProcessClient(rest, { username: "system:admin", groups: ["system:masters"] });
  const changed = new Set<() => void>();
  rest.store.onChange(() => {
    for (const look of changed) look();
  });
  /** Reads again after every write until it holds. */
  const until = async <T>(read: () => Promise<T>, holds: (value: T) => boolean, what: string): Promise<T> => {
    for (;;) {
      const again = Promise.withResolvers<void>();
      changed.add(again.resolve);
      const value = await read();
      if (holds(value)) {
        t.pass(what);
        return value;
      }
      await again.promise;
      changed.delete(again.resolve);
    }
  };
  for (const file of readdirSync(crds))
    if (/^(podautoscaler|metric|serverlessservice)\.yaml$/u.test(file))
      await client.create(customResourceDefinitions, parse(readFileSync(path.join(crds, file), "utf8")) as KubeObject);
  const make = (kind: string, apiVersion: string, more: object, of: object = {}): KubeObject => ({
    apiVersion,
    kind,
    metadata: { name, namespace, labels, ...of },
    ...more,
  });
  const system = (named: string) => ({ name: named, namespace: "knative-serving", labels: {} });
  for (const each of ["knative-serving", namespace])
    await client
      .create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: each } })
      .catch(() => undefined);
  await client.create(
    secrets,
    make("Secret", "v1", { data: { key: key.toString("base64") } }, system("swell-stats-token-key")),
  );
  await client.create(
    configMaps,
    make("ConfigMap", "v1", { data: { "scale-to-zero-grace-period": "1s" } }, system("config-autoscaler")),
  );
  const template = { metadata: { labels }, spec: { containers: [{ name: "user", image: "x" }] } };
  await client.create(
    deployments,
    make(
      "Deployment",
      "apps/v1",
      { spec: { replicas: 1, selector: { matchLabels: labels }, template } },
      {
        name: `${name}-deployment`,
      },
    ),
  );
  await client.create(
    podAutoscalers,
    make(
      "PodAutoscaler",
      "autoscaling.internal.knative.dev/v1alpha1",
      {
        spec: {
          containerConcurrency: 10,
          scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: `${name}-deployment` },
          protocolType: "http1",
          reachability: "Reachable",
        },
      },
      { annotations: { "autoscaling.knative.dev/window": "6s", "autoscaling.knative.dev/metric": "concurrency" } },
    ),
  );

  const stop = new AbortController();
  const env = { POD_NAME: "autoscaler-1", SWELL_BIND_ADDRESS: address };
  const running = run(client, parseProcessConfig(env), log, stop.signal);
  t.teardown(async () => {
    stop.abort();
    await running;
    await rest.close();
  });

  const getPa = () => client.get<PodAutoscaler>(podAutoscalers, name, namespace);
  const getSks = async () =>
    (await client.list<ServerlessService>(serverlessServices)).items.find((sks) => sks.metadata.name === name);
  const replicas = async () =>
    (await client.get<Deployment>(deployments, `${name}-deployment`, namespace)).spec.replicas;
  const active = (pa: PodAutoscaler) => conditionOf(pa, "Active");

  const sks = (await until(getSks, (found) => found !== undefined, "the ServerlessService is made"))!;
  t.match(sks.spec, { mode: "Proxy", numActivators: 3, objectRef: { name: `${name}-deployment` } });
  t.equal(sks.metadata.annotations?.["autoscaling.knative.dev/metric"], undefined);
  t.match(sks.metadata.ownerReferences, [{ kind: "PodAutoscaler", controller: true }]);
  await until(getPa, (pa) => conditionOf(pa, "SKSReady")?.message === "No Private Service Name", "and waited for");

  const since = new Date().toISOString().replace(/\.\d+Z/u, "Z");
  const condition = (type: string) => ({ type, status: "True" as const, lastTransitionTime: since });
  await client.update(
    serverlessServices,
    {
      ...sks,
      status: {
        observedGeneration: sks.metadata.generation ?? 1,
        serviceName: name,
        privateServiceName: `${name}-private`,
        conditions: [condition("ActivatorEndpointsPopulated"), condition("EndpointsPopulated"), condition("Ready")],
      },
    },
    { subresource: "status" },
  );
  await until(getPa, (pa) => active(pa)?.reason === "Queued", "requests would be held");
  const metric = await until(
    async () => (await client.list<Metric>(metrics)).items[0],
    (found) => found !== undefined,
    "the Metric is made",
  );
  t.same(metric?.spec, { stableWindow: 6e9, panicWindow: 1e9, scrapeTarget: `${name}-private` });

  // A pod that says on its stream that it is ready.
  const stats = new StatsClient(`${address}:8082`, credentials.createInsecure());
  t.teardown(() => stats.close());
  await client.create(
    pods,
    make("Pod", "v1", { spec: template.spec, status: { phase: "Pending" } }, { name: "pod-1" }),
  );
  const pod = stats.pod();
  pod.on("error", () => {}).resume();
  const token = statsToken(key, `pod/${namespace}/${name}`);
  pod.write({
    body: {
      $case: "hello",
      value: { namespace, revision: name, pod: "pod-1", token, servingPort: 8012, epoch: 1 },
    },
  });
  pod.write({ body: { $case: "load", value: { sequence: 1, state: PodState.READY, load: load({}) } } });
  const ready = await until(getPa, (pa) => active(pa)?.status === "True", "the pod's own word makes it active");
  t.equal(ready.status?.actualScale, 1);
  t.equal(conditionOf(ready, "ScaleTargetInitialized")?.status, "True");
  t.equal(conditionOf(ready, "Ready")?.status, "True");

  // What answers at the public endpoints is not the activator yet.
  let body = "queue";
  const door = createServer((_request, response) => response.end(body));
  door.listen(0, address);
  await once(door, "listening");
  t.teardown(() => door.close());
  const { port } = door.address() as AddressInfo;
  await client.create(
    endpoints,
    make("Endpoints", "v1", { subsets: [{ addresses: [{ ip: address }], ports: [{ name: "http", port }] }] }),
  );
  await until(getPa, (pa) => active(pa)?.reason === "NoTraffic", "an idle revision turns inactive");
  await once(door, "request");
  t.equal(await replicas(), 1, "and keeps its pod until the activator is in the path");
  body = "activator";
  await until(replicas, (count) => count === 0, "then it goes");
  await client.delete(pods, "pod-1", namespace, { gracePeriodSeconds: 0 });
  pod.end();
  await until(getPa, (pa) => pa.status?.desiredScale === 0 && pa.status.actualScale === 0, "and the status says so");

  const activator = stats.activator();
  activator.on("error", () => {}).resume();
  activator.write({
    body: { $case: "hello", value: { pod: "activator-1", token: statsToken(key, "activator"), epoch: 1 } },
  });
  activator.write({
    body: {
      $case: "load",
      value: {
        sequence: 1,
        revisions: [{ revision: { namespace, name }, load: load({ inFlight: 100, arrivals: 100 }) }],
      },
    },
  });
  const counts: (number | undefined)[] = [];
  await until(replicas, (count) => counts.push(count) > 0 && count !== 0, "a hundred held requests wake it");
  t.equal(counts.at(-1), 15, "with the right number at once");
  await until(
    getPa,
    (pa) => active(pa)?.reason === "Queued" && pa.status?.desiredScale === 15,
    "which the status says",
  );

  const decisions = (await (
    await fetch(`http://${address}:8080/debug/decisions/${namespace}/${name}`)
  ).json()) as unknown[];
  t.match(decisions.at(-1), { desiredPods: 15, inputs: { inFlight: 100 } });
  const exported = await (await fetch(`http://${address}:9090/metrics`)).text();
  t.match(
    exported,
    /kn_revision_pods_desired\{k8s_namespace_name="default",kn_service_name="hello",kn_configuration_name="",kn_revision_name="hello-00001"\} 15/u,
  );
});

function load(fields: Partial<Load>): Load {
  return {
    clockMs: 1,
    requestSeconds: 0,
    proxiedRequestSeconds: 0,
    arrivals: 0,
    proxiedArrivals: 0,
    inFlight: 0,
    proxiedInFlight: 0,
    ...fields,
  };
}
