/** Puts the autoscaler together: streams in, decisions, replicas out; all of it only while it leads. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { parseAutoscalerConfig } from "../api/autoscaling-config.ts";
import { metrics, podAutoscalers, type Metric, type PodAutoscaler } from "../api/autoscaling.ts";
import {
  configMaps,
  deployments,
  pods,
  secrets,
  type ConfigMap,
  type Deployment,
  type Pod,
  type Secret,
} from "../api/core.ts";
import { label, statsTokenSecret } from "../api/keys.ts";
import { keyOf, type KubeObject, type Resource } from "../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../api/networking.ts";
import type { KubeClient } from "../kube/client.ts";
import { createInformer, type Informer, type InformerOptions } from "../kube/informer.ts";
import { lead } from "../kube/leader-election.ts";
import { startReconciler, type Reconciler } from "../kube/reconciler.ts";
import { bindAddress } from "../process/listen.ts";
import type { Logger } from "../process/logger.ts";
import { startAdminServer } from "../process/metrics-server.ts";
import { createMetrics } from "./autoscaler-metrics.ts";
import { parseLeaderElection, parseProgressDeadline, type ProcessConfig } from "./config.ts";
import { explained } from "./explain/explained.ts";
import { liveConfig } from "./live-config.ts";
import { MultiScaler } from "./multi-scaler.ts";
import { podAutoscalerReconciler } from "./pod-autoscaler.ts";
import { countPods, type PodCounts } from "./pod-counts.ts";
import { RevisionStats } from "./revision-stats.ts";
import { createScaler } from "./scaler.ts";
import { createStatsServer } from "./stats-server.ts";

/** Reconciles mostly wait for the API server; one that is slow must not hold up others. */
const workers = 64;
const bucketLease = "autoscaler-bucket-00-of-01";
/** Everything is looked at again after a change of configuration, spread over this time. */
const configSpreadMs = 1000;

/** What exists only while this process leads. */
interface Leadership {
  multiScaler: MultiScaler;
  reconciler: Reconciler;
}

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
  const maps = inform<ConfigMap>(configMaps, { namespace: systemNamespace });
  const tokenKeys = inform<Secret>(secrets, {
    namespace: systemNamespace,
    fieldSelector: `metadata.name=${statsTokenSecret}`,
  });
  const autoscalers = inform<PodAutoscaler>(podAutoscalers);
  const serverless = inform<ServerlessService>(serverlessServices);
  const metricObjects = inform<Metric>(metrics);
  const deploymentObjects = inform<Deployment>(deployments, { labelSelector });
  const podObjects = inform<Pod>(pods, { labelSelector, indexes: { revision: revisionKey } });
  const informers = [maps, tokenKeys, autoscalers, serverless, metricObjects, deploymentObjects, podObjects];
  let synced = false;

  let leadership: Leadership | undefined;
  const look = (key: string): void => leadership?.reconciler.queue.add(key);
  const stats = new RevisionStats({
    settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
    events: {
      onLoad: (key) => leadership?.multiScaler.onLoad(key),
      onPods(key) {
        leadership?.multiScaler.onPods(key);
        look(key);
      },
    },
    nowMs: Date.now,
  });
  const podCounts = (key: string): PodCounts =>
    countPods(podObjects.byIndex("revision", key), (pod) => stats.podState(key, pod));
  const server = createStatsServer({
    stats,
    key: () => {
      const encoded = tokenKeys.get(`${systemNamespace}/${statsTokenSecret}`)?.data?.["key"];
      return encoded === undefined ? undefined : Buffer.from(encoded, "base64");
    },
    leading: () => leadership !== undefined,
    log,
  });

  const health = await startAdminServer({
    port: config.healthPort,
    env,
    log,
    readiness: () => (synced ? undefined : "the caches have not synced"),
    debug: {
      decisions: ([namespace, revision]) =>
        leadership?.multiScaler.decisions(`${namespace}/${revision}`)?.map(explained),
      deciders: () => leadership?.multiScaler.statuses(),
      pods: ([namespace, revision]) => stats.pods(`${namespace}/${revision}`),
    },
  });
  const register = createMetrics({
    podAutoscalers: autoscalers,
    podCounts,
    multiScaler: () => leadership?.multiScaler,
    queueDepth: () => leadership?.reconciler.depth() ?? 0,
    stats,
    server,
  });
  const exporter = await startAdminServer({ port: config.metricsPort, env, log, register });

  await Promise.all(informers.map((informer) => informer.synced(stop)));
  const onConfig = (): void => {
    for (const pa of autoscalers.list())
      leadership?.reconciler.queue.addAfter(keyOf(pa), Math.random() * configSpreadMs);
  };
  const shared = { configMaps: maps, namespace: systemNamespace, log };
  const scaling = liveConfig({
    ...shared,
    name: "config-autoscaler",
    parse: parseAutoscalerConfig,
    onChange: onConfig,
  });
  const deadline = liveConfig({ ...shared, name: "config-deployment", parse: parseProgressDeadline });
  const election = liveConfig({ ...shared, name: "config-leader-election", parse: parseLeaderElection });

  autoscalers.onChange(({ object }) => look(keyOf(object)));
  serverless.onChange(({ object }) => look(keyOf(object)));
  metricObjects.onChange((change) => {
    if (change.is === "deleted") look(keyOf(change.object));
  });
  deploymentObjects.onChange((change) => {
    const replicasAsBefore = change.is === "updated" && change.previous.spec.replicas === change.object.spec.replicas;
    if (!replicasAsBefore) for (const key of revisionKey(change.object)) look(key);
  });
  podObjects.onChange(({ object }) => {
    for (const key of revisionKey(object)) {
      leadership?.multiScaler.onPods(key);
      look(key);
    }
  });

  const statsPort = await server.listen(bindAddress(env) ?? "::", config.statsPort);
  synced = true;
  log.info({ statsPort, healthPort: health.port, metricsPort: exporter.port }, "autoscaler serving");

  const onLead = async (lost: AbortSignal): Promise<void> => {
    const scaler = createScaler({ client, log });
    const readyPods = (key: string): number => podCounts(key).ready;
    const multiScaler = new MultiScaler({
      stats,
      readyPods,
      onDecision: look,
      nowMs: Date.now,
      after(ms, call) {
        const timer = setTimeout(call, ms);
        return () => clearTimeout(timer);
      },
      log,
    });
    const reconciler = startReconciler({
      name: "podautoscaler",
      workers,
      log,
      reconcile: podAutoscalerReconciler({
        client,
        podAutoscalers: autoscalers,
        serverlessServices: serverless,
        metrics: metricObjects,
        deployments: deploymentObjects,
        multiScaler,
        scaler,
        readyPods,
        config: () => scaling.current,
        progressDeadlineMs: () => deadline.current,
        leadSinceMs: Date.now(),
        nowMs: Date.now,
      }),
    });
    leadership = { multiScaler, reconciler };
    for (const pa of autoscalers.list()) look(keyOf(pa));
    const running = reconciler.run(lost);
    if (!lost.aborted) await once(lost, "abort");
    leadership = undefined;
    multiScaler.stop();
    server.endStreams();
    await running;
    await scaler.close();
  };
  await lead(
    {
      client,
      lease: bucketLease,
      namespace: systemNamespace,
      identity: `${config.podName}_${randomUUID()}`,
      settings: election.current,
      log,
      onLead,
    },
    stop,
  );
  await Promise.all([server.close(), health.close(), exporter.close()]);
}
