/** Puts autoscaler-hpa together: what it watches, what it serves, and the work it does while it leads. */
import { randomUUID } from "node:crypto";
import { hpaClass, parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import { podAutoscalers, type PodAutoscaler } from "../../api/autoscaling.ts";
import { configMaps, deployments, type ConfigMap, type Deployment } from "../../api/core.ts";
import { horizontalPodAutoscalers, type HorizontalPodAutoscaler } from "../../api/horizontal-pod-autoscaler.ts";
import { label } from "../../api/keys.ts";
import { keyOf, type KubeObject, type Resource } from "../../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../../api/networking.ts";
import type { KubeClient } from "../../kube/client.ts";
import { eventRecorder } from "../../kube/events.ts";
import { createInformer, type Informer, type InformerOptions } from "../../kube/informer.ts";
import { lead } from "../../kube/leader-election.ts";
import { followObservability } from "../../kube/metric-push.ts";
import { queueName, ReconcileCounts } from "../../kube/reconcile-counts.ts";
import { registerReconcilers } from "../../kube/reconcile-metrics.ts";
import { startReconciler, type Reconciler } from "../../kube/reconciler.ts";
import type { Logger } from "../../process/logger.ts";
import { startAdminServer } from "../../process/metrics-server.ts";
import { createMetricPush } from "../../process/otlp/metric-push.ts";
import { processRegister, processResource } from "../../process/process-metrics.ts";
import { trimmedDeployment } from "../kept-fields.ts";
import { liveConfig } from "../live-config.ts";
import { parseElection, type HpaProcessConfig } from "./config.ts";
import { classOf, hpaReconciler } from "./reconciler.ts";

const name = "hpa-class-podautoscaler";
/** Everything is looked at again after a change of configuration, spread over this time. */
const configSpreadMs = 1000;

/** Resolves after `stop`, once the lease is released. */
export async function run(client: KubeClient, config: HpaProcessConfig, log: Logger, stop: AbortSignal): Promise<void> {
  const { env, systemNamespace } = config;
  const inform = <T extends KubeObject>(resource: Resource, more: Partial<InformerOptions<T>> = {}): Informer<T> => {
    const informer = createInformer<T>({ client, resource, log, ...more });
    void informer.run(stop);
    return informer;
  };
  const maps = inform<ConfigMap>(configMaps, { namespace: systemNamespace });
  const autoscalers = inform<PodAutoscaler>(podAutoscalers);
  const hpas = inform<HorizontalPodAutoscaler>(horizontalPodAutoscalers);
  const serverless = inform<ServerlessService>(serverlessServices);
  const deploymentObjects = inform<Deployment>(deployments, {
    labelSelector: label.revision,
    trim: trimmedDeployment,
  });
  const informers = [maps, autoscalers, hpas, serverless, deploymentObjects];
  let synced = false;
  /** Undefined while another process leads. */
  let reconciler: Reconciler | undefined;

  const health = await startAdminServer({
    port: config.healthPort,
    env,
    log,
    readiness: () => (synced ? undefined : "the caches have not synced"),
  });
  const resource = processResource("hpaautoscaler", env);
  const register = processRegister(resource);
  const push = createMetricPush({ register, resource, env, log });
  followObservability(push, { configMaps: maps, namespace: systemNamespace, log });
  const counts = new ReconcileCounts(queueName("knative.dev.serving.pkg.reconciler.autoscaling.hpa.reconciler"));
  client.counts?.register(register);
  registerReconcilers(register, "hpaautoscaler", [counts]);
  const exporter = await startAdminServer({ port: config.metricsPort, env, log, register });

  await Promise.all(informers.map((informer) => informer.synced(stop)));
  const shared = { configMaps: maps, namespace: systemNamespace, log };
  const scaling = liveConfig({
    ...shared,
    name: "config-autoscaler",
    parse: parseAutoscalerConfig,
    onChange() {
      for (const pa of autoscalers.list())
        if (isOfInterest(keyOf(pa))) reconciler?.queue.addAfter(keyOf(pa), Math.random() * configSpreadMs);
    },
  });
  const election = liveConfig({ ...shared, name: "config-leader-election", parse: parseElection });

  /** Most PodAutoscalers are of another class and need no run. One that left this class still has what was made. */
  const isOfInterest = (key: string): boolean => {
    const pa = autoscalers.get(key);
    return pa !== undefined && (classOf(pa, scaling.current) === hpaClass || hpas.get(key) !== undefined);
  };
  const look = (key: string): void => {
    if (reconciler !== undefined && isOfInterest(key)) reconciler.queue.add(key);
  };
  // What a PodAutoscaler owns bears its name; so does what stands in the way.
  for (const informer of [autoscalers, hpas, serverless]) informer.onChange(({ object }) => look(keyOf(object)));
  deploymentObjects.onChange((change) => {
    const { namespace, labels } = change.object.metadata;
    const moved = change.is !== "updated" || readiness(change.previous) !== readiness(change.object);
    if (moved) look(`${namespace}/${labels?.[label.revision]}`);
  });

  synced = true;
  log.info({ healthPort: health.port, metricsPort: exporter.port }, "autoscaler-hpa runs");
  const record = eventRecorder({ client, component: `${name}-controller`, log });
  await lead(
    {
      client,
      ...election.current,
      namespace: systemNamespace,
      identity: `${config.podName}_${randomUUID()}`,
      log,
      async onLead(lost) {
        reconciler = startReconciler({
          name,
          log,
          counts,
          reconcile: hpaReconciler({
            client,
            podAutoscalers: autoscalers,
            horizontalPodAutoscalers: hpas,
            serverlessServices: serverless,
            deployments: deploymentObjects,
            config: () => scaling.current,
            record,
            nowMs: Date.now,
          }),
        });
        for (const pa of autoscalers.list()) look(keyOf(pa));
        try {
          await reconciler.run(lost);
        } finally {
          reconciler = undefined;
        }
      },
    },
    stop,
  );
  await Promise.all([health.close(), exporter.close(), push.stop()]);
}

/** What of a Deployment shows in a status. */
const readiness = ({ spec, status }: Deployment): string => `${status?.readyReplicas ?? 0}/${spec.replicas ?? 1}`;
