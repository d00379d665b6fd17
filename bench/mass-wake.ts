/**
 * Hundreds of revisions at zero get their first request at the same moment: how long until each has its replica
 * written. Their pods fit no node, so that nothing but the autoscaler and the API server works.
 */
import { credentials } from "@grpc/grpc-js";
import { once } from "node:events";
import { podAutoscalers, type PodAutoscaler } from "../api/autoscaling.ts";
import {
  deployments,
  endpoints,
  namespaces,
  secrets,
  type Deployment,
  type Endpoints,
  type Secret,
} from "../api/core.ts";
import { label, statsTokenSecret } from "../api/keys.ts";
import { keyOf, type KubeObject } from "../api/meta.ts";
import { statsToken } from "../autoscaler/stats-credentials.ts";
import type { KubeClient } from "../kube/client.ts";
import { kubeClientFromEnvironment } from "../kube/config.ts";
import { createInformer, type Informer } from "../kube/informer.ts";
import { silentLogger } from "../process/logger.ts";
import { StatsClient } from "../proto/gen/stats.ts";
import { Cluster } from "../test/e2e/cluster.ts";
import { cpuSeconds } from "./process-accounting.ts";
import { quantile, rounded, type Row, type Scenario } from "./report.ts";

const spaces = 5;
const system = "knative-serving";
/** Everything has to be there, and everything written, within this. */
const deadlineMs = 120_000;

export const massWake: Scenario = async ({ quick, revisions, rounds }) => {
  const count = revisions ?? (quick ? 50 : 500);
  await using cluster = new Cluster();
  const { kubeconfig } = await cluster.start("--no-sample");
  await cluster.k(
    `patch cm config-autoscaler -n ${system} --type=merge -p ${JSON.stringify({ data: { "allow-zero-initial-scale": "true" } })}`,
  );
  const client = await kubeClientFromEnvironment({ KUBECONFIG: kubeconfig }, "swell-bench");
  const stop = new AbortController();
  const informer = <T extends KubeObject>(
    resource: Parameters<typeof createInformer<T>>[0]["resource"],
  ): Informer<T> => {
    const made = createInformer<T>({ client, resource, log: silentLogger });
    void made.run(stop.signal);
    return made;
  };
  try {
    const deployed = informer<Deployment>(deployments);
    const autoscalers = informer<PodAutoscaler>(podAutoscalers);
    await Promise.all([deployed.synced(), autoscalers.synced()]);
    const rows: Row[] = [];
    for (let round = 0; round < (rounds ?? 3); round += 1) {
      const ours = await populate(client, count, round);
      const mine = (object: KubeObject): boolean => ours.has(keyOf(object));
      // Inactive and settled: the autoscaler has taken it up, and its ServerlessService is ready to serve.
      await until(autoscalers, (list) => list.filter((pa) => mine(pa) && isInactive(pa)).length === count);
      const beforeMs = cpuSeconds(cluster.clusterPid()) * 1000;
      const tookMs = await wake(client, deployed, ours);
      // On a busy machine the time says little; what the server worked off before the last write says who went first.
      const serverMs = cpuSeconds(cluster.clusterPid()) * 1000 - beforeMs;
      rows.push({
        scenario: `${count} revisions in ${spaces} namespaces, first requests in one message`,
        contender: `round ${round + 1}`,
        "p50 ms": rounded(quantile(tookMs, 0.5), 0),
        "p95 ms": rounded(quantile(tookMs, 0.95), 0),
        "last ms": rounded(Math.max(...tookMs), 0),
        "API server CPU ms until then": rounded(serverMs, 0),
      });
      await Promise.all(
        Array.from({ length: spaces }, (_, space) => client.delete(namespaces, namespaceOf(round, space))),
      );
      await until(autoscalers, (list) => !list.some(mine));
    }
    return rows;
  } finally {
    stop.abort();
    await client.close();
  }
};

const namespaceOf = (round: number, space: number): string => `wake-${round}-${space}`;
const isInactive = ({ status }: PodAutoscaler): boolean =>
  (status?.serviceName ?? "") !== "" &&
  status?.conditions?.some(({ type, status: is }) => type === "Active" && is === "False") === true;

/** PodAutoscalers at zero with their Deployments, spread over namespaces; the answer is their keys. */
async function populate(client: KubeClient, count: number, round: number): Promise<Set<string>> {
  for (let space = 0; space < spaces; space += 1)
    await client.create(namespaces, {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: namespaceOf(round, space) },
    });
  const keys = new Set<string>();
  const creates = Array.from({ length: count }, async (_, at) => {
    const [namespace, name] = [namespaceOf(round, at % spaces), `r-${at}`];
    const labels = { [label.revision]: name, [label.revisionUID]: `bench-${namespace}-${at}` };
    const annotations = { "autoscaling.knative.dev/initial-scale": "0" };
    const spec = { nodeSelector: { "bench/none": "true" }, containers: [{ name: "user", image: "dev.local/none" }] };
    // One name for both: what is seen of the Deployment is the key of its PodAutoscaler.
    await client.create<KubeObject>(deployments, {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name, namespace, labels },
      spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
    } as KubeObject);
    await client.create<KubeObject>(podAutoscalers, {
      apiVersion: "autoscaling.internal.knative.dev/v1alpha1",
      kind: "PodAutoscaler",
      metadata: { name, namespace, labels, annotations },
      spec: {
        containerConcurrency: 10,
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
        protocolType: "http1",
        reachability: "Reachable",
      },
    } as KubeObject);
    keys.add(`${namespace}/${name}`);
  });
  await Promise.all(creates);
  return keys;
}

/** Says as an activator that each holds a request; milliseconds until each one's replicas were seen written. */
async function wake(client: KubeClient, deployed: Informer<Deployment>, keys: ReadonlySet<string>): Promise<number[]> {
  const found = await client.get<Endpoints>(endpoints, "autoscaler", system);
  const encoded = (await client.get<Secret>(secrets, statsTokenSecret, system)).data?.["key"] ?? "";
  const ip = found.subsets?.[0]?.addresses?.[0]?.ip;
  if (ip === undefined) throw new Error("the autoscaler has no address");
  const stats = new StatsClient(`${ip}:8082`, credentials.createInsecure());
  try {
    const call = stats.activator();
    call.on("error", () => undefined);
    const token = statsToken(Buffer.from(encoded, "base64"), "activator");
    call.write({ body: { $case: "hello", value: { pod: "activator-bench", token, epoch: Date.now() } } });
    call.write({ body: { $case: "load", value: { sequence: 1, revisions: [] } } });
    await once(call, "data");
    const tookMs: number[] = [];
    const startMs = performance.now();
    const seen = new Set<string>();
    const all = until(deployed, (list) => {
      for (const deployment of list) {
        const key = keyOf(deployment);
        if ((deployment.spec.replicas ?? 0) === 0 || seen.has(key) || !keys.has(key)) continue;
        seen.add(key);
        tookMs.push(performance.now() - startMs);
      }
      return seen.size === keys.size;
    });
    const load = { clockMs: 1, requestSeconds: 0, proxiedRequestSeconds: 0, arrivals: 1, proxiedArrivals: 0 };
    const revisions = [...keys].map((key) => {
      const [namespace = "", name = ""] = key.split("/");
      return { revision: { namespace, name }, load: { ...load, inFlight: 1, proxiedInFlight: 0 } };
    });
    call.write({ body: { $case: "load", value: { sequence: 2, revisions } } });
    await all;
    return tookMs;
  } finally {
    stats.close();
  }
}

function until<T extends KubeObject>(informer: Informer<T>, accept: (list: readonly T[]) => boolean): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error(`not within ${deadlineMs} ms`)), deadlineMs);
  const look = (): void => {
    if (accept(informer.list())) resolve();
  };
  const unwatch = informer.onChange(look);
  look();
  return promise.finally(() => {
    clearTimeout(timer);
    unwatch();
  });
}
