/**
 * Two autoscaler processes in front of the embedded API server, with the activators' and the sidecars' own ends of the
 * stats streams: one is killed under load, and later the other is stopped in order.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type Test } from "tap";
import { parse } from "yaml";
import { Autoscalers } from "../../activator/autoscalers.ts";
import { ConcurrencyReporter } from "../../activator/concurrency-reporter.ts";
import { podAutoscalers } from "../../api/autoscaling.ts";
import {
  configMaps,
  customResourceDefinitions,
  deployments,
  endpoints,
  leases,
  namespaces,
  pods,
  secrets,
  type ConfigMap,
  type Deployment,
  type Lease,
} from "../../api/core.ts";
import type { KubeObject, Resource } from "../../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../../api/networking.ts";
import { Buckets } from "../../autoscaler/buckets/bucket.ts";
import { statsToken } from "../../autoscaler/stats-credentials.ts";
import type { DeciderStatus } from "../../autoscaler/multi-scaler.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer, type Informer } from "../../kube/informer.ts";
import { servingPair } from "../../local/apiserver/rest-fixture.ts";
import { startApiServer } from "../../local/apiserver/server.ts";
import { silentLogger } from "../../process/logger.ts";
import { createStatsReporter } from "../../queue-proxy/stats-reporter.ts";
import { podStreams } from "../../queue-proxy/stats-stream.ts";

const root = path.join(import.meta.dirname, "../..");
const system = "knative-serving";
const namespace = "default";
const signingKey = Buffer.alloc(32, 5);
const net = `127.78.${(process.pid >> 8) & 0xff}`;
/** Of the two autoscalers, and of the Service they are behind: only one of them is behind it. */
const addresses = { a: `${net}.${(process.pid & 0x7f) + 1}`, b: `${net}.${(process.pid & 0x7f) + 129}` } as const;
type Which = keyof typeof addresses;
const buckets = new Buckets(4);

class World {
  readonly client: KubeClient;
  readonly folder = mkdtempSync(path.join(tmpdir(), "swell-buckets-"));
  readonly leases: Informer<Lease>;
  readonly deployments: Informer<Deployment>;
  readonly configMaps: Informer<ConfigMap>;
  readonly #running = new Map<Which, ChildProcess>();
  readonly #stop = new AbortController();
  output = "";

  constructor(client: KubeClient, url: string, ca: string) {
    this.client = client;
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      clusters: [
        { name: "test", cluster: { server: url, "certificate-authority-data": Buffer.from(ca).toString("base64") } },
      ],
      users: [{ name: "test", user: { token: "secret" } }],
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    };
    writeFileSync(path.join(this.folder, "kubeconfig"), JSON.stringify(config));
    const inform = <T extends KubeObject>(resource: Resource): Informer<T> => {
      const informer = createInformer<T>({ client, resource, log: silentLogger });
      void informer.run(this.#stop.signal);
      return informer;
    };
    this.leases = inform<Lease>(leases);
    this.deployments = inform<Deployment>(deployments);
    this.configMaps = inform<ConfigMap>(configMaps);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Looks again after every change of those objects. */
  async until<T extends KubeObject>(t: Test, informer: Informer<T>, what: string, holds: () => boolean): Promise<void> {
    const held = Promise.withResolvers<void>();
    const unwatch = informer.onChange(() => {
      if (holds()) held.resolve();
    });
    if (holds()) held.resolve();
    await held.promise;
    unwatch();
    t.pass(what);
  }

  async run(which: Which): Promise<void> {
    const child = spawn(process.execPath, [path.join(root, "autoscaler/main.ts")], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"],
        KUBECONFIG: path.join(this.folder, "kubeconfig"),
        POD_NAME: `autoscaler-${which}`,
        POD_IP: addresses[which],
        SWELL_BIND_ADDRESS: addresses[which],
        SWELL_BUCKETS: "4",
        SWELL_LEASE_DURATION: "4s",
        SWELL_LEASE_RENEW_DEADLINE: "3s",
        SWELL_LEASE_RETRY_PERIOD: "1s",
      },
    });
    this.#running.set(which, child);
    const serving = Promise.withResolvers<void>();
    child.stdout.on("data", (chunk: Buffer) => {
      const text = chunk.toString();
      this.output += text;
      if (text.includes("autoscaler serving")) serving.resolve();
    });
    child.stderr.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
    child.on("exit", (code) => serving.reject(new Error(`ended with ${code}:\n${this.output}`)));
    await serving.promise;
  }

  async end(which: Which, signal: NodeJS.Signals): Promise<void> {
    const child = this.#running.get(which);
    this.#running.delete(which);
    if (child === undefined) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  owners(): Map<string, Which | undefined> {
    return new Map(
      buckets.names.map((bucket) => {
        const holder = this.leases.get(`${system}/${bucket}`)?.spec?.holderIdentity ?? "";
        const [which] = (["a", "b"] as const).filter((each) => holder === `autoscaler-${each}_${addresses[each]}`);
        return [bucket, which];
      }),
    );
  }

  count(which: Which): number {
    return [...this.owners().values()].filter((owner) => owner === which).length;
  }

  replicas(revision: string): number {
    return this.deployments.get(`${namespace}/${revision}-deployment`)?.spec.replicas ?? -1;
  }

  async decider(which: Which, key: string): Promise<DeciderStatus | undefined> {
    const answer = await fetch(`http://${addresses[which]}:8080/debug/deciders`);
    if (!answer.ok) return undefined;
    return ((await answer.json()) as DeciderStatus[]).find((decider) => decider.key === key);
  }

  async close(): Promise<void> {
    for (const which of ["a", "b"] as const) await this.end(which, "SIGKILL");
    this.#stop.abort();
    rmSync(this.folder, { recursive: true });
  }
}

async function start(t: Test): Promise<World> {
  const { ca, cert, key } = await servingPair();
  const server = await startApiServer({
    file: ":memory:",
    addresses: [{ host: "127.0.0.1", port: 0 }],
    tls: { key, cert },
    authenticate: (bearer) => (bearer === "secret" ? { username: "t", groups: ["system:masters"] } : undefined),
    log: silentLogger,
  });
  const { client } = server;
  const crds = path.join(root, "manifests/crds");
  for (const file of readdirSync(crds))
    if (/^(podautoscaler|metric|serverlessservice)\.yaml$/u.test(file))
      await client.create(customResourceDefinitions, parse(readFileSync(path.join(crds, file), "utf8")) as KubeObject);
  for (const name of [system, namespace])
    await client.create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name } }).catch(() => undefined);
  const object = (kind: string, name: string, more: object): KubeObject => ({
    apiVersion: "v1",
    kind,
    metadata: { name, namespace: system },
    ...more,
  });
  await client.create(
    secrets,
    object("Secret", "swell-stats-token-key", { data: { key: signingKey.toString("base64") } }),
  );
  // Who holds a lease and has no pod is taken for dead.
  for (const which of Object.keys(addresses)) {
    const spec = { containers: [{ name: "autoscaler", image: "x" }] };
    await client.create(pods, object("Pod", `autoscaler-${which}`, { spec, status: { phase: "Running" } }));
  }
  const subsets = [{ addresses: Object.values(addresses).map((ip) => ({ ip })), ports: [{ port: 8082 }] }];
  await client.create(endpoints, object("Endpoints", "autoscaler", { subsets }));
  const world = new World(client, `https://127.0.0.1:${server.ports[0]}`, ca);
  t.teardown(async () => {
    await world.close();
    await server.close();
  });
  return world;
}

/** A revision with everything that the controller makes for it. */
async function addRevision({ client }: World, name: string, replicas: number): Promise<void> {
  const labels = { "serving.knative.dev/revision": name, "serving.knative.dev/service": name };
  const template = { metadata: { labels }, spec: { containers: [{ name: "user", image: "x" }] } };
  const make = (apiVersion: string, kind: string, named: string, more: object): KubeObject => ({
    apiVersion,
    kind,
    metadata: { name: named, namespace, labels },
    ...more,
  });
  await client.create(
    deployments,
    make("apps/v1", "Deployment", `${name}-deployment`, {
      spec: { replicas, selector: { matchLabels: labels }, template },
    }),
  );
  for (let index = 0; index < replicas; index++)
    await client.create(
      pods,
      make("v1", "Pod", `${name}-pod-${index}`, { spec: template.spec, status: { phase: "Running" } }),
    );
  const pa = make("autoscaling.internal.knative.dev/v1alpha1", "PodAutoscaler", name, {
    spec: {
      containerConcurrency: 10,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: `${name}-deployment` },
      protocolType: "http1",
      reachability: "Reachable",
    },
  });
  await client.create(podAutoscalers, pa);
}

/** What the controller answers once the autoscaler has made the ServerlessService. */
function bringUp({ client, signal }: World): void {
  const informer = createInformer<ServerlessService>({ client, resource: serverlessServices, log: silentLogger });
  informer.onChange(({ is, object }) => {
    if (is !== "added" || object.status?.privateServiceName !== undefined) return;
    const { name } = object.metadata;
    const since = new Date().toISOString();
    const condition = (type: string) => ({ type, status: "True" as const, lastTransitionTime: since });
    const status = {
      observedGeneration: 1,
      serviceName: name!,
      privateServiceName: `${name}-private`,
      conditions: ["ActivatorEndpointsPopulated", "EndpointsPopulated", "Ready"].map(condition),
    };
    client.update(serverlessServices, { ...object, status }, { subresource: "status" }).catch(() => undefined);
  });
  void informer.run(signal);
}

/** The sidecars of a revision's pods, each with so many requests in flight. `first`: the autoscaler they try first. */
function runPods({ signal }: World, revision: string, count: number, inFlight: number, first: Which): void {
  for (let index = 0; index < count; index++) {
    const startMs = performance.now();
    const pod = `${revision}-pod-${index}`;
    const token = statsToken(signingKey, `pod/${namespace}/${revision}`);
    const reporter = createStatsReporter({
      port: 8082,
      resolve: async () => [addresses[first], ...Object.values(addresses)],
      open: podStreams({ namespace, revision, pod, token, servingPort: 8012, epoch: startMs }, undefined),
      state: () => "ready",
      stats() {
        const clockMs = performance.now() - startMs;
        return {
          clockMs,
          requestSeconds: (inFlight * clockMs) / 1000,
          proxiedRequestSeconds: 0,
          arrivals: inFlight,
          proxiedArrivals: 0,
          inFlight,
          proxiedInFlight: 0,
        };
      },
      onDrainingAcknowledged: () => undefined,
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined } as never,
    });
    void reporter.run(signal);
  }
}

test("a killed autoscaler is replaced, and one that stops hands over", { timeout: 120_000 }, async (t) => {
  const world = await start(t);
  bringUp(world);
  await world.run("a");
  await world.until(t, world.leases, "the first holds all buckets", () => world.count("a") === 4);
  await world.run("b");
  await world.until(t, world.leases, "the second is given half of them", () => world.count("b") === 2);

  /** A revision of the bucket that `which` owns. */
  const named = (prefix: string, which: Which): string => {
    for (let index = 0; ; index++) {
      const name = `${prefix}-${index}-00001`;
      if (world.owners().get(buckets.of(`${namespace}/${name}`)) === which) return name;
    }
  };
  const busy = named("busy", "a");
  const cold = named("cold", "a");
  const later = named("later", "a");
  await addRevision(world, busy, 3);
  for (const name of [cold, later]) await addRevision(world, name, 0);
  const fewest = { replicas: Infinity };
  world.deployments.onChange(({ object }) => {
    if (object.metadata.name === `${busy}-deployment`)
      fewest.replicas = Math.min(fewest.replicas, object.spec.replicas ?? 1);
  });
  // Pods find the owner by way of the one that is not.
  runPods(world, busy, 3, 6, "b");
  // What a Service's address leads to is one of them; the activator hears of the other from it.
  const reporter = new ConcurrencyReporter({
    nowMs: () => performance.now(),
    onUrgent: (loads) => activator.report(loads),
  });
  const connected = new Set<string>();
  const bothUp = Promise.withResolvers<void>();
  const activator = new Autoscalers({
    resolve: async () => [addresses.b],
    port: 8082,
    pod: "activator-1",
    key: () => signingKey,
    reporter,
    onPods(stream) {
      connected.add(stream.split("#")[0]!);
      if (connected.size === 2) bothUp.resolve();
    },
    onDemands: () => undefined,
    onStreamEnded: () => undefined,
    log: silentLogger,
  });
  activator.use(namespace, cold, performance.now());
  void activator.run(world.signal);
  await bothUp.promise;
  t.pass("the activator reports to both");

  const hasWindows = async (which: Which): Promise<boolean> => {
    const decider = await world.decider(which, `${namespace}/${busy}`);
    return decider !== undefined && decider.stable > 12 && decider.desiredPods === 3;
  };
  const poll = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    // It is another process, which says nothing when it is done.
    while (!(await holds().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 50));
    t.pass(what);
  };
  await poll("the owner decides on what its pods report", () => hasWindows("a"));

  // From here on it must not.
  fewest.replicas = Infinity;
  await world.end("a", "SIGKILL");
  const killedMs = performance.now();
  const since = (): string => `${Math.round(performance.now() - killedMs)} ms after the kill`;
  const held = reporter.of(namespace, cold);
  for (let request = 0; request < 20; request++) {
    reporter.arrived(held);
    reporter.hold(held);
  }
  await world.until(t, world.deployments, "requests at zero are answered", () => world.replicas(cold) > 0);
  t.comment(`first poke served ${since()}`);
  t.equal(world.replicas(cold), 3, "for all that is held: ceil(20 / 7)");
  await world.until(t, world.leases, "the other owns all", () => world.count("b") === 4);
  t.comment(`all buckets taken ${since()}`);
  await poll("the pods have come, and what runs is kept", () => hasWindows("b"));
  t.comment(`pods' load known ${since()}`);

  await world.run("a");
  await world.until(t, world.leases, "the killed one is back with its part", () => world.count("a") === 2);
  // The one that stops owns the busy revision, or else there would be nothing to see.
  const owner = world.owners().get(buckets.of(`${namespace}/${busy}`))!;
  const next = owner === "a" ? "b" : "a";
  await poll("whoever owns it now knows its windows", () => hasWindows(owner));
  const left = Promise.withResolvers<void>();
  world.configMaps.onChange(({ is, object }) => {
    if (is === "added" && object.metadata.name === `${buckets.of(`${namespace}/${busy}`)}-windows`) left.resolve();
  });
  const stoppedMs = performance.now();
  const stopping = world.end(owner, "SIGTERM");
  await left.promise;
  t.pass("windows are left");
  await world.until(t, world.leases, "the next owner has all", () => world.count(next) === 4);
  t.comment(`all buckets handed over ${Math.round(performance.now() - stoppedMs)} ms after SIGTERM`);
  await stopping;
  await poll("it goes on with the windows it was left", () => hasWindows(next));
  const decisions = (await (
    await fetch(`http://${addresses[next]}:8080/debug/decisions/${namespace}/${busy}`)
  ).json()) as { because: string }[];
  t.notOk(
    decisions.some(({ because }) => because.includes("no data")),
    "at no moment without data",
  );
  await world.until(
    t,
    world.configMaps,
    "and what was left is gone",
    () => !world.configMaps.list(system).some(({ metadata }) => metadata.name?.endsWith("-windows")),
  );
  const second = reporter.of(namespace, later);
  reporter.arrived(second);
  reporter.hold(second);
  await world.until(t, world.deployments, "requests at zero are answered again", () => world.replicas(later) > 0);
  t.ok(fewest.replicas >= 3, "the busy revision never had fewer pods");
  if (!t.passing()) t.comment(world.output);
});
