/**
 * Puts the autoscaler together: streams in, decisions, replicas out. Revisions are divided into buckets; each is decided
 * for by the one autoscaler that holds its lease (buckets/), and all hear what activators hold.
 */
import { parseAutoscalerConfig } from "../api/autoscaling-config.ts";
import { metrics, podAutoscalers, type Metric, type PodAutoscaler } from "../api/autoscaling.ts";
import {
  configMaps,
  deployments,
  endpoints,
  leases,
  pods,
  secrets,
  type ConfigMap,
  type Deployment,
  type Endpoints,
  type Lease,
  type Pod,
  type Secret,
} from "../api/core.ts";
import { label, statsTokenSecret } from "../api/keys.ts";
import { keyOf, type KubeObject, type Resource } from "../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../api/networking.ts";
import type { KubeClient } from "../kube/client.ts";
import { createInformer, type Informer, type InformerOptions } from "../kube/informer.ts";
import { followObservability } from "../kube/metric-push.ts";
import { queueName, ReconcileCounts } from "../kube/reconcile-counts.ts";
import { startReconciler } from "../kube/reconciler.ts";
import { bindAddress } from "../process/listen.ts";
import type { Logger } from "../process/logger.ts";
import { startAdminServer } from "../process/metrics-server.ts";
import { createMetricPush } from "../process/otlp/metric-push.ts";
import { processRegister, processResource } from "../process/process-metrics.ts";
import { resolveHost } from "../process/resolve.ts";
import { registerAutoscaler } from "./autoscaler-metrics.ts";
import { Buckets } from "./buckets/bucket.ts";
import { handOverLabel, handOverStore } from "./buckets/hand-over-store.ts";
import { createOwnership, type Ownership } from "./buckets/ownership.ts";
import { Peers } from "./buckets/peers.ts";
import { Terms, type Deciding, type TermsOptions } from "./buckets/terms.ts";
import { parseLeaderElection, parseProgressDeadline, type ProcessConfig } from "./config.ts";
import { explained } from "./explain/explained.ts";
import { trimmedDeployment, trimmedPod } from "./kept-fields.ts";
import { liveConfig } from "./live-config.ts";
import { MultiScaler } from "./multi-scaler.ts";
import { podAutoscalerReconciler } from "./pod-autoscaler.ts";
import { countPods, type PodCounts } from "./pod-counts.ts";
import { raiser } from "./revision-scaling.ts";
import { RevisionStats } from "./revision-stats.ts";
import { createScaler } from "./scaler.ts";
import { createStatsServer } from "./stats-server.ts";
import { parseMeshMode } from "./upstream/mesh-mode.ts";
import { createUpstream } from "./upstream/upstream.ts";

/** Reconciles mostly wait for the API server; one that is slow must not hold up others. */
const workers = 64;
/** Everything is looked at again after a change of configuration, spread over this time. */
const configSpreadMs = 1000;

/** The Service that all autoscalers are behind. */
const serviceName = "autoscaler";

export async function run(client: KubeClient, config: ProcessConfig, log: Logger, stop: AbortSignal): Promise<void> {
  const { env, systemNamespace } = config;
  const inform = <T extends KubeObject>(resource: Resource, more: Partial<InformerOptions<T>> = {}): Informer<T> => {
    const informer = createInformer<T>({ client, resource, log, ...more });
    void informer.run(stop);
    return informer;
  };
  const revisionKey = (object: KubeObject): string[] => {
    const revision = object.metadata.labels?.[label.revision];
    return revision === undefined ? [] : [`${object.metadata.namespace}/${revision}`];
  };
  const labelSelector = label.revision;
  const maps = inform<ConfigMap>(configMaps, { namespace: systemNamespace, labelSelector: `!${handOverLabel}` });
  const tokenKeys = inform<Secret>(secrets, {
    namespace: systemNamespace,
    fieldSelector: `metadata.name=${statsTokenSecret}`,
  });
  const autoscalers = inform<PodAutoscaler>(podAutoscalers);
  const serverless = inform<ServerlessService>(serverlessServices);
  const metricObjects = inform<Metric>(metrics);
  const deploymentObjects = inform<Deployment>(deployments, { labelSelector, trim: trimmedDeployment });
  const podObjects = inform<Pod>(pods, { labelSelector, indexes: { revision: revisionKey }, trim: trimmedPod });
  const leaseObjects = inform<Lease>(leases, { namespace: systemNamespace });
  const members = inform<Endpoints>(endpoints, {
    namespace: systemNamespace,
    fieldSelector: `metadata.name=${serviceName}`,
  });
  const informers = [
    maps,
    tokenKeys,
    autoscalers,
    serverless,
    metricObjects,
    deploymentObjects,
    podObjects,
    leaseObjects,
    members,
  ];
  let synced = false;

  /** Undefined until the caches have synced. */
  let shares: { terms: Terms; ownership: Ownership } | undefined;
  const deciding = (key: string): Deciding | undefined => shares?.terms.of(key);
  const look = (key: string): void => deciding(key)?.reconciler.queue.add(key);
  const stats = new RevisionStats({
    settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
    events: {
      onLoad: (key) => deciding(key)?.multiScaler.onLoad(key),
      onPods(key) {
        deciding(key)?.multiScaler.onPods(key);
        look(key);
        upstream.look(key);
      },
      onKept: (key) => upstream.look(key),
    },
    nowMs: Date.now,
  });
  // Pods and activators that do not stream.
  const upstream = createUpstream({
    stats,
    podsOf: (key) => podObjects.byIndex("revision", key),
    metrics: metricObjects,
    mesh: () => parseMeshMode(maps.get(`${systemNamespace}/config-network`)?.data),
    resolve: (name) => resolveHost(name, env),
    onFailure: look,
    deciding: () => (shares?.terms.all().length ?? 0) > 0,
    ownsBucket: (bucket) => shares?.terms.isOurs(bucket) === true,
    ownerOf(key) {
      const owner = shares?.terms.owner(key);
      return owner?.is === "elsewhere" ? owner.address : undefined;
    },
    nowMs: Date.now,
    log,
  });
  const podCounts = (key: string): PodCounts =>
    countPods(podObjects.byIndex("revision", key), (pod) => stats.podState(key, pod));
  const server = createStatsServer({
    stats,
    key: () => {
      const encoded = tokenKeys.get(`${systemNamespace}/${statsTokenSecret}`)?.data?.["key"];
      return encoded === undefined ? undefined : Buffer.from(encoded, "base64");
    },
    leading: () => shares !== undefined,
    owner: (key) => shares?.terms.owner(key) ?? { is: "unknown" },
    autoscalers: () => shares?.ownership.members() ?? [],
    log,
  });

  const health = await startAdminServer({
    port: config.healthPort,
    env,
    log,
    readiness: () => (synced ? undefined : "the caches have not synced"),
    upgrade: upstream.door.upgrade,
    debug: {
      decisions: ([namespace, revision]) =>
        deciding(`${namespace}/${revision}`)?.multiScaler.decisions(`${namespace}/${revision}`)?.map(explained),
      deciders: () => shares?.terms.all().flatMap(({ multiScaler }) => multiScaler.statuses()),
      buckets: () => shares?.terms.describe(),
      pods: ([namespace, revision]) => stats.pods(`${namespace}/${revision}`),
    },
  });
  const resource = processResource("autoscaler", env);
  const register = processRegister(resource);
  const push = createMetricPush({ register, resource, env, log });
  followObservability(push, { configMaps: maps, namespace: systemNamespace, log });
  client.counts?.register(register);
  const reconciles = new ReconcileCounts(queueName("knative.dev.serving.pkg.reconciler.autoscaling.kpa.reconciler"));
  registerAutoscaler(register, {
    podAutoscalers: autoscalers,
    podCounts,
    deciding: () => shares?.terms.all() ?? [],
    reconciles,
    stats,
    server,
  });
  upstream.register(register);
  const exporter = await startAdminServer({ port: config.metricsPort, env, log, register });

  await Promise.all(informers.map((informer) => informer.synced(stop)));
  const onConfig = (): void => {
    for (const pa of autoscalers.list())
      deciding(keyOf(pa))?.reconciler.queue.addAfter(keyOf(pa), Math.random() * configSpreadMs);
  };
  const shared = { configMaps: maps, namespace: systemNamespace, log };
  const scaling = liveConfig({
    ...shared,
    name: "config-autoscaler",
    parse: parseAutoscalerConfig,
    onChange: onConfig,
  });
  const deadline = liveConfig({ ...shared, name: "config-deployment", parse: parseProgressDeadline });
  const election = liveConfig({
    ...shared,
    name: "config-leader-election",
    parse: (data) => parseLeaderElection(data, config.election),
  });

  autoscalers.onChange(({ object }) => look(keyOf(object)));
  serverless.onChange(({ object }) => look(keyOf(object)));
  metricObjects.onChange((change) => {
    upstream.look(keyOf(change.object));
    if (change.is === "deleted") look(keyOf(change.object));
  });
  deploymentObjects.onChange((change) => {
    const replicasAsBefore = change.is === "updated" && change.previous.spec.replicas === change.object.spec.replicas;
    if (!replicasAsBefore) for (const key of revisionKey(change.object)) look(key);
  });
  podObjects.onChange(({ object }) => {
    for (const key of revisionKey(object)) {
      deciding(key)?.multiScaler.onPods(key);
      look(key);
      upstream.look(key);
    }
  });

  const statsPort = await server.listen(bindAddress(env) ?? "::", config.statsPort);
  log.info({ statsPort, healthPort: health.port, metricsPort: exporter.port }, "autoscaler serving");

  const after = (ms: number, call: () => void): (() => void) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  };
  const scaler = createScaler({ client, log, after, nowMs: Date.now });
  const start: TermsOptions["start"] = ({ sinceMs, remembered }) => {
    const readyPods = (key: string): number => podCounts(key).ready;
    const multiScaler: MultiScaler = new MultiScaler({
      stats,
      readyPods,
      onDecision(key) {
        raise(key);
        look(key);
      },
      nowMs: Date.now,
      after,
      log,
      remembered,
    });
    const deps = {
      client,
      podAutoscalers: autoscalers,
      serverlessServices: serverless,
      metrics: metricObjects,
      deployments: deploymentObjects,
      multiScaler,
      scaler,
      readyPods,
      metricFailure: (key: string) => upstream.failure(key),
      pods: (key: string) => podObjects.byIndex("revision", key),
      inFlight: (key: string, pod: Pod) => stats.podInFlight(key, pod.metadata.name ?? ""),
      config: () => scaling.current,
      progressDeadlineMs: () => deadline.current,
      leadSinceMs: sinceMs,
      again: (key: string) => reconciler.queue.addAfter(key, 500 + Math.random() * 1000),
      after,
      nowMs: Date.now,
    };
    const raise = raiser(deps);
    const reconciler = startReconciler({
      name: "podautoscaler",
      workers,
      log,
      counts: reconciles,
      reconcile: podAutoscalerReconciler(deps),
    });
    return { multiScaler, reconciler };
  };

  const buckets = new Buckets(election.current.buckets);
  const peers = new Peers({ port: statsPort, localAddress: bindAddress(env) });
  const terms = new Terms({
    buckets,
    stats,
    store: handOverStore(client, systemNamespace),
    ownerOf: (bucket) => ownership.ownerOf(bucket),
    ip: config.podIp,
    keys: () => autoscalers.list().map(keyOf),
    start,
    endPods: (isTheirs) => server.endPods(isTheirs),
    nowMs: Date.now,
    after,
    log,
  });
  const ownership = createOwnership({
    client,
    namespace: systemNamespace,
    pod: config.podName,
    ip: config.podIp,
    buckets: buckets.names,
    settings: election.current,
    leases: leaseObjects,
    endpoints: members,
    peers,
    onOwn: (bucket, over, term) => terms.serve(bucket, over, term),
    onChange() {
      terms.look();
      server.autoscalersChanged();
    },
    log,
  });
  shares = { terms, ownership };
  synced = true;
  await ownership.run(stop);
  // Whoever decides now takes the streams.
  shares = undefined;
  server.endStreams();
  upstream.door.endConnections();
  peers.close();
  await scaler.close();
  await Promise.all([upstream.close(), server.close(), health.close(), exporter.close(), push.stop()]);
}
