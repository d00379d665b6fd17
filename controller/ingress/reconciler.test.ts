/** The ingress reconciler on a fake API server; the gateway pods are a function. */
import { test, type Test } from "tap";
import { conditionOf } from "../../api/conditions.ts";
import { ingressHash } from "../../api/ingress-hash.ts";
import { annotation } from "../../api/keys.ts";
import type { KubeObject } from "../../api/meta.ts";
import { swellIngressClass, type KIngress } from "../../api/networking.ts";
import { FakeApiServer } from "../../kube/fake-api-server.ts";
import { httpsClient } from "../../kube/https-client.ts";
import { startReconciler } from "../../kube/reconciler.ts";
import { silentLogger } from "../../process/logger.ts";
import { createCaches } from "../caches.ts";
import type { Deps } from "../reconciler.ts";
import type { ProbeResult, ProbeTarget } from "./gateway-probe.ts";
import { ingressReconciler } from "./reconciler.ts";

const paths = {
  ingresses: "/apis/networking.internal.knative.dev/v1alpha1/ingresses",
  endpoints: "/api/v1/endpoints",
};

function ingress(name: string, hosts: string[], created: string, annotations?: Record<string, string>): KIngress {
  const split = { serviceNamespace: "ns", serviceName: "s", servicePort: 80, percent: 100 };
  return {
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "Ingress",
    metadata: {
      name,
      namespace: "ns",
      generation: 1,
      creationTimestamp: created,
      annotations: annotations ?? { [annotation.ingressClass]: swellIngressClass },
    },
    spec: {
      httpOption: "Enabled",
      rules: [{ hosts, visibility: "ExternalIP", http: { paths: [{ splits: [split] }] } }],
    },
  };
}

const gateway = (...ips: string[]): KubeObject =>
  ({
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { name: "gateway", namespace: "knative-serving" },
    subsets: [{ addresses: ips.map((ip) => ({ ip })), ports: [{ name: "http", port: 8080 }] }],
  }) as KubeObject;

async function setUp(
  t: Test,
  objects: [string, KubeObject][],
  probe: (target: ProbeTarget, hash: string) => ProbeResult,
) {
  const api = new FakeApiServer();
  await api.start();
  for (const [path, object] of objects) api.put(path, object);
  const client = httpsClient({ server: api.url, userAgent: "test" });
  const all = createCaches(client, silentLogger);
  const stop = new AbortController();
  const deps = {
    client,
    caches: all,
    record: () => undefined,
    nowMs: Date.now,
    log: silentLogger,
    systemNamespace: "knative-serving",
    clusterDomain: "cluster.local",
  } as unknown as Deps;
  const { name, reconcile, watch } = ingressReconciler(deps, async (target, hash) => probe(target, hash));
  const reconciler = startReconciler({ name, reconcile, log: silentLogger });
  const running = [all.ingresses.run(stop.signal), all.endpoints.run(stop.signal), reconciler.run(stop.signal)];
  await Promise.all([all.ingresses.synced(), all.endpoints.synced()]);
  const unwatch = watch(
    (key) => reconciler.queue.add(key),
    (key, ms) => reconciler.queue.addAfter(key, ms),
  );
  t.teardown(async () => {
    for (const each of unwatch) each();
    stop.abort();
    await Promise.all(running);
    await client.close();
    await api.stop();
  });
  const read = (key: string): KIngress => api.read(paths.ingresses, `ns/${key}`) as KIngress;
  const becomes = async (key: string, status: string, reason?: string): Promise<KIngress> => {
    await api.until(() => {
      const condition = conditionOf(read(key), "LoadBalancerReady");
      return condition?.status === status && condition.reason === reason;
    });
    return read(key);
  };
  return { api, read, becomes };
}

test("Ready once every gateway pod has proven the hash of this version, with one entry for each door", async (t) => {
  const object = ingress("i", ["a.example.com"], "2026-01-01T00:00:00Z");
  const asked: string[] = [];
  const { becomes } = await setUp(
    t,
    [
      [paths.endpoints, gateway("10.0.0.1", "10.0.0.2")],
      [paths.ingresses, object],
    ],
    ({ address, host, path }, hash) => {
      asked.push(`${address} ${host}${path}`);
      if (asked.length < 4) return { is: "retry", why: "another version" };
      return hash === ingressHash(object) ? { is: "ready" } : { is: "retry", why: "another hash" };
    },
  );
  const { status } = await becomes("i", "True");
  t.strictSame([...new Set(asked)].sort(), [
    "10.0.0.1:8080 a.example.com/healthz",
    "10.0.0.2:8080 a.example.com/healthz",
  ]);
  t.match(status, {
    observedGeneration: 1,
    publicLoadBalancer: { ingress: [{ domainInternal: "gateway.knative-serving.svc.cluster.local" }] },
    privateLoadBalancer: { ingress: [{ domainInternal: "gateway-internal.knative-serving.svc.cluster.local" }] },
  });
});

test("a gateway that answers at once is not waited for in the status; one that does not is", async (t) => {
  let isThere = true;
  const { api, becomes } = await setUp(
    t,
    [
      [paths.endpoints, gateway("10.0.0.1")],
      [paths.ingresses, ingress("quick", ["a.example.com"], "2026-01-01T00:00:00Z")],
    ],
    () => (isThere ? { is: "ready" } : { is: "retry", why: "not yet" }),
  );
  const writes = (name: string): number =>
    api.requests.filter(({ method, path }) => method === "PUT" && path.includes(`/${name}/`)).length;
  await becomes("quick", "True");
  t.equal(writes("quick"), 1);
  isThere = false;
  api.put(paths.ingresses, ingress("slow", ["b.example.com"], "2026-01-01T00:00:00Z"));
  await becomes("slow", "Unknown", "Uninitialized");
  isThere = true;
  await becomes("slow", "True");
  t.equal(writes("slow"), 2);
});

test("a host that is taken is a DomainConflict, until the first is deleted", async (t) => {
  const { api, becomes, read } = await setUp(
    t,
    [
      [paths.endpoints, gateway("10.0.0.1")],
      [paths.ingresses, ingress("second", ["own.example.com", "Shared.example.com"], "2026-01-02T00:00:00Z")],
      [paths.ingresses, ingress("zz-first", ["shared.example.com"], "2026-01-01T00:00:00Z")],
    ],
    () => ({ is: "ready" }),
  );
  await becomes("zz-first", "True");
  const rejected = await becomes("second", "False", "DomainConflict");
  t.equal(
    conditionOf(rejected, "LoadBalancerReady")?.message,
    "Ingress rejected: ingress has a conflicting domain with another ingress",
  );
  t.match(conditionOf(rejected, "Ready"), { status: "False", reason: "DomainConflict" });
  api.remove(paths.ingresses, "ns/zz-first");
  await becomes("second", "True");

  // Whoever had it first keeps it, though a newer one had become Ready with it meanwhile.
  api.put(paths.ingresses, ingress("old", ["own.example.com"], "2025-01-01T00:00:00Z"));
  await becomes("old", "True");
  await becomes("second", "False", "DomainConflict");
  t.match(conditionOf(read("second"), "Ready"), { status: "False" });
});

const foreign: [string, Record<string, string>][] = [
  ["no class", { other: "x" }],
  ["another class", { [annotation.ingressClass]: "istio.ingress.networking.knative.dev" }],
  ["an empty class", { [annotation.ingressClass]: "" }],
];
test("ingressclass: what is not ours is not touched", async (t) => {
  const objects = foreign.map(([, annotations], at): [string, KubeObject] => [
    paths.ingresses,
    ingress(`foreign-${at}`, ["a.example.com"], "2025-01-01T00:00:00Z", annotations),
  ]);
  const { api, becomes, read } = await setUp(
    t,
    [
      ...objects,
      [paths.endpoints, gateway("10.0.0.1")],
      [paths.ingresses, ingress("ours", ["a.example.com"], "2026-01-01T00:00:00Z")],
    ],
    () => ({ is: "ready" }),
  );
  await becomes("ours", "True");
  for (const [at, [name]] of foreign.entries()) t.equal(read(`foreign-${at}`).status, undefined, name);
  const written = api.requests.filter(({ method }) => method !== "GET").map(({ path }) => path.split("/").at(-2));
  t.strictSame([...new Set(written)], ["ours"]);
});
