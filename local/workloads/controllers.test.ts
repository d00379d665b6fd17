/** The controllers against the embedded API server, with a stand-in for the node agent. */
import { test } from "tap";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import {
  configMaps,
  deployments,
  endpoints,
  endpointSlices,
  namespaces,
  pods,
  replicaSets,
  serviceAccounts,
  services,
  type ConfigMap,
  type Deployment,
  type Endpoints,
  type EndpointSlice,
  type Pod,
  type ReplicaSet,
  type Service,
} from "../../api/core.ts";
import { keyOf, type KubeObject, type Resource } from "../../api/meta.ts";
import { isConflict, isNotFound, type KubeClient } from "../../kube/client.ts";
import { createInformer, type Informer } from "../../kube/informer.ts";
import { createLogger } from "../../process/logger.ts";
import { startApiServer } from "../apiserver/server.ts";
import { loadCredentials } from "../credentials.ts";
import { startWorkloadControllers } from "./controllers.ts";

const folder = mkdtempSync(path.join(tmpdir(), "swell-workloads-"));
const log = createLogger("test", "error");
const stop = new AbortController();
const credentials = await loadCredentials(folder, Date.now());
const server = await startApiServer({
  file: path.join(folder, "cluster.db"),
  addresses: [],
  tls: credentials.serving,
  authenticate: () => undefined,
  log,
});
const { client } = server;
const nodePorts = { "network/web": { http: 18_080 } };
const controllers = startWorkloadControllers({ client, log, rootCa: credentials.ca, nodePorts }, stop.signal);

/** Resolves with the objects of a namespace once `isSo` holds for them. */
async function seen<T extends KubeObject>(
  resource: Resource,
  namespace: string,
  isSo: (objects: T[]) => boolean,
): Promise<T[]> {
  const over = new AbortController();
  const informer: Informer<T> = createInformer<T>({ client, resource, namespace, log });
  const found = Promise.withResolvers<T[]>();
  const look = (): void => {
    if (informer.hasSynced && isSo(informer.list())) found.resolve(informer.list());
  };
  informer.onChange(() => queueMicrotask(look));
  const running = informer.run(over.signal);
  await informer.synced();
  look();
  const result = await found.promise;
  over.abort();
  await running;
  return result;
}

/** Makes every pod ready under an address of its own, and lets those go that are deleted. */
function runPods(client: KubeClient, signal: AbortSignal): { started: string[] } {
  const started: string[] = [];
  const informer = createInformer<Pod>({ client, resource: pods, log });
  const serve = async (pod: Pod): Promise<void> => {
    const { name = "", namespace } = pod.metadata;
    if (pod.metadata.deletionTimestamp !== undefined)
      return client.delete(pods, name, namespace, { gracePeriodSeconds: 0 });
    if (pod.status?.podIP !== undefined || started.includes(keyOf(pod))) return;
    started.push(keyOf(pod));
    const status: Pod["status"] = {
      phase: "Running",
      podIP: `127.1.0.${started.length}`,
      conditions: [{ type: "Ready", status: "True", lastTransitionTime: new Date().toISOString() }],
    };
    await client.update<Pod>(pods, { ...pod, status }, { subresource: "status" });
  };
  informer.onChange(({ is, object }) => {
    if (is !== "deleted")
      serve(object).catch((error: unknown) => {
        if (!isConflict(error) && !isNotFound(error)) throw error;
      });
  });
  void informer.run(signal);
  return { started };
}

const node = runPods(client, stop.signal);

async function namespace(name: string): Promise<string> {
  await client.create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name } });
  return name;
}

function deployment(namespace: string, replicas: number, image = "one"): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace },
    spec: {
      replicas,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image }] } },
    },
  };
}

/** The Deployment once it is complete at its present generation. */
async function complete(namespace: string, image: string): Promise<Deployment> {
  const [found] = await seen<Deployment>(deployments, namespace, ([candidate]) => {
    const { status, spec, metadata } = candidate ?? {};
    return (
      spec?.template.spec.containers[0]?.image === image &&
      status?.observedGeneration === metadata?.generation &&
      status?.conditions?.some(({ reason }) => reason === "NewReplicaSetAvailable") === true &&
      (status.availableReplicas ?? 0) === spec.replicas &&
      (status.updatedReplicas ?? 0) === spec.replicas &&
      (status.replicas ?? 0) === spec.replicas
    );
  });
  return found!;
}

test("a Deployment rolls out, rolls over to another template, and scales to zero", async (t) => {
  const space = await namespace("rollout");
  await client.create(deployments, deployment(space, 3));
  const first = await complete(space, "one");
  t.equal(first.metadata.annotations?.["deployment.kubernetes.io/revision"], "1");
  t.equal((await client.list<Pod>(pods, { namespace: space })).items.length, 3);

  const patch = { spec: { template: { spec: { containers: [{ name: "c", image: "two" }] } } } };
  await client.patch(deployments, "web", space, { is: "merge", body: patch });
  const second = await complete(space, "two");
  t.equal(second.metadata.annotations?.["deployment.kubernetes.io/revision"], "2");
  const replaced = await seen<Pod>(pods, space, (all) => all.length === 3);
  t.ok(replaced.every(({ spec }) => spec.containers[0]?.image === "two"));

  await client.patch(deployments, "web", space, { is: "merge", body: { spec: { replicas: 0 } } });
  await seen<Pod>(pods, space, (all) => all.length === 0);
  const { status } = await complete(space, "two");
  t.equal(status?.availableReplicas, undefined);
  const sets = (await client.list<ReplicaSet>(replicaSets, { namespace: space })).items;
  t.same(
    sets.map(({ spec }) => spec.replicas),
    [0, 0],
    "the old one stays for a rollback",
  );
});

test("a ReplicaSet creates exactly what is missing, however often it looks", async (t) => {
  const space = await namespace("exact");
  await client.create(deployments, deployment(space, 8));
  await complete(space, "one");
  // Each of these makes it look again, while its cache still lacks what it does about the last one.
  for (let i = 0; i < 4; i += 1) {
    const [victim] = (await client.list<Pod>(pods, { namespace: space })).items.filter(
      ({ metadata }) => metadata.deletionTimestamp === undefined,
    );
    await client.delete(pods, victim?.metadata.name ?? "", space);
  }
  await complete(space, "one");
  await seen<Pod>(pods, space, (all) => all.length === 8 && all.every(({ status }) => status?.phase === "Running"));
  t.equal(node.started.filter((key) => key.startsWith(`${space}/`)).length, 12, "eight, and one for each deleted");
});

test("a ReplicaSet adopts an orphan that its selector picks, and lets go what it no longer picks", async (t) => {
  const space = await namespace("adoption");
  await client.create(deployments, deployment(space, 1));
  await complete(space, "one");
  const [own] = (await client.list<Pod>(pods, { namespace: space })).items;
  await client.patch(pods, own?.metadata.name ?? "", space, {
    is: "merge",
    body: { metadata: { labels: { app: "elsewhere" } } },
  });
  const labelled = (all: Pod[], app: string) => all.find(({ metadata }) => metadata.labels?.["app"] === app);
  const both = await seen<Pod>(pods, space, (all) => {
    const free = labelled(all, "elsewhere");
    return labelled(all, "web") !== undefined && free?.metadata.ownerReferences?.[0] === undefined;
  });
  const [released, replaced] = [labelled(both, "elsewhere")!, labelled(both, "web")!];
  t.not(released.metadata.name, replaced.metadata.name);

  await client.delete(pods, replaced.metadata.name ?? "", space);
  await client.patch(pods, released.metadata.name ?? "", space, {
    is: "merge",
    body: { metadata: { labels: { app: "web" } } },
  });
  const [left] = await seen<Pod>(
    pods,
    space,
    (all) => all.length === 1 && all[0]?.metadata.ownerReferences?.[0]?.kind === "ReplicaSet",
  );
  t.equal(left?.metadata.labels?.["app"], "web");
});

test("a Service gets addresses, and its Endpoints and slices follow its pods", async (t) => {
  const space = await namespace("network");
  await client.create<Service>(services, {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: space },
    spec: { type: "LoadBalancer", selector: { app: "web" }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
  });
  const [service] = await seen<Service>(
    services,
    space,
    ([found]) => found?.status?.loadBalancer?.ingress?.[0] !== undefined,
  );
  t.match(service?.spec.clusterIP, /^10\.(9[6-9]|1[01]\d)\./);
  t.equal(service?.status?.loadBalancer?.ingress?.[0]?.ip, "127.0.0.1");
  t.equal(service?.spec.ports?.[0]?.nodePort, 18_080);

  await client.create(deployments, deployment(space, 2));
  const addresses = (found: Endpoints | undefined) =>
    (found?.subsets ?? []).flatMap((subset) => subset.addresses ?? []);
  await seen<Endpoints>(endpoints, space, ([found]) => addresses(found).length === 2);
  await seen<EndpointSlice>(
    endpointSlices,
    space,
    ([found]) => found?.endpoints.length === 2 && found.ports?.[0]?.port === 8080,
  );

  await client.delete(services, "web", space);
  await seen<Endpoints>(endpoints, space, (all) => all.length === 0);
  await seen<EndpointSlice>(endpointSlices, space, (all) => all.length === 0);
});

test("Endpoints that somebody else writes for a Service without selector are mirrored", async (t) => {
  const space = await namespace("mirror");
  const metadata = { name: "outside", namespace: space };
  await client.create<Service>(services, {
    apiVersion: "v1",
    kind: "Service",
    metadata,
    spec: { clusterIP: "None", ports: [{ port: 80 }] },
  });
  await client.create<Endpoints>(endpoints, {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata,
    subsets: [{ addresses: [{ ip: "127.3.0.1" }], ports: [{ port: 8012 }] }],
  });
  const [slice] = await seen<EndpointSlice>(endpointSlices, space, (all) => all.length > 0);
  t.same(slice?.endpoints[0]?.addresses, ["127.3.0.1"]);
  t.equal((await client.get<Service>(services, "outside", space)).spec.clusterIP, "None");
});

test("a namespace gets its ServiceAccount and the CA, and gets them again", async (t) => {
  const space = await namespace("defaults");
  await seen<KubeObject>(serviceAccounts, space, (all) => all.some(({ metadata }) => metadata.name === "default"));
  const rootCa = (all: ConfigMap[]) => all.find(({ metadata }) => metadata.name === "kube-root-ca.crt");
  const first = rootCa(await seen<ConfigMap>(configMaps, space, (all) => rootCa(all) !== undefined));
  t.equal(first?.data?.["ca.crt"], credentials.ca);
  await client.delete(configMaps, "kube-root-ca.crt", space);
  await seen<ConfigMap>(
    configMaps,
    space,
    (all) => (rootCa(all)?.metadata.uid ?? first?.metadata.uid) !== first?.metadata.uid,
  );
});

test("the controllers stop when they are told to", async () => {
  stop.abort();
  await controllers;
  await server.close();
  rmSync(folder, { recursive: true });
});
