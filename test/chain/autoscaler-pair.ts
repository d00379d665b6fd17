/**
 * Two autoscaler processes in front of the embedded API server, with revisions, and pods that report to them over the
 * sidecars' own end of the stream; for tests.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Test } from "tap";
import { parse } from "yaml";
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
export const system = "knative-serving";
export const namespace = "default";
export const signingKey = Buffer.alloc(32, 5);
const net = `127.78.${(process.pid >> 8) & 0xff}`;
/** Of the two autoscalers, and of the Service they are behind: only one of them is behind it. */
export const addresses = {
  a: `${net}.${(process.pid & 0x7f) + 1}`,
  b: `${net}.${(process.pid & 0x7f) + 129}`,
} as const;
export type Which = keyof typeof addresses;
export const buckets = new Buckets(4);

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

export async function start(t: Test): Promise<World> {
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
export async function addRevision({ client }: World, name: string, replicas: number): Promise<void> {
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
export function bringUp({ client, signal }: World): void {
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
export function runPods({ signal }: World, revision: string, count: number, inFlight: number, first: Which): void {
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
