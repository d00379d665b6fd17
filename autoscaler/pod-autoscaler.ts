/** Reconciles PodAutoscalers of the kpa class: decider, replicas, ServerlessService, Metric, status. */
import { annotation } from "../api/keys.ts";
import { revisionScaling, type RevisionScaling } from "../api/autoscaling-annotations.ts";
import { kpaClass, type AutoscalerConfig } from "../api/autoscaling-config.ts";
import { metrics, podAutoscalers, type Metric, type PodAutoscaler } from "../api/autoscaling.ts";
import { conditionOf, Conditions, metricConditions, podAutoscalerConditions } from "../api/conditions.ts";
import type { Deployment } from "../api/core.ts";
import { parseDuration } from "../api/duration.ts";
import { keyOf, type KubeObject, type Resource } from "../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../api/networking.ts";
import { isAlreadyExists, type KubeClient } from "../kube/client.ts";
import type { Lister } from "../kube/informer.ts";
import { done, TerminalError, type Outcome } from "../kube/reconciler.ts";
import { isControlledBy, isSameJson, updateStatus } from "../kube/write.ts";
import { makeMetric, makeServerlessService } from "./children.ts";
import { activatorCount, smallestActivatorCount } from "./decide.ts";
import type { DeciderView, MultiScaler } from "./multi-scaler.ts";
import { scaleOutcome, unknownScale, type ScaleObservation, type ScaleOutcome } from "./scale-to-zero.ts";
import type { Scaler } from "./scaler.ts";
import { activityOf, isInitialized, isReachable, podAutoscalerStatus } from "./status.ts";

export interface PodAutoscalerDeps {
  client: KubeClient;
  podAutoscalers: Lister<PodAutoscaler>;
  serverlessServices: Lister<ServerlessService>;
  metrics: Lister<Metric>;
  deployments: Lister<Deployment>;
  multiScaler: MultiScaler;
  scaler: Scaler;
  readyPods: (key: string) => number;
  config: () => AutoscalerConfig;
  /** config-deployment. */
  progressDeadlineMs: () => number;
  /** Since when this process knows of loads. */
  leadSinceMs: number;
  nowMs: () => number;
}

/** Longer than the Deployment's own deadline, so that its verdict comes first. */
const activationSlackMs = 30_000;

export function podAutoscalerReconciler(
  deps: PodAutoscalerDeps,
): (key: string, signal: AbortSignal) => Promise<Outcome> {
  return async function reconcile(key, signal) {
    const pa = deps.podAutoscalers.get(key);
    const config = deps.config();
    if (pa === undefined || pa.metadata.deletionTimestamp !== undefined || !isOurs(pa, config)) {
      deps.multiScaler.remove(key);
      return done;
    }
    const scaling = revisionScaling(pa.metadata.annotations, config, pa.spec.containerConcurrency ?? 0);
    const found = deps.serverlessServices.get(key);
    if (found !== undefined && !isControlledBy(found, pa)) return notOwned(deps, pa, "ServerlessService");
    if (found === undefined) {
      const made = makeServerlessService(pa, "Proxy", smallestActivatorCount);
      await create(deps.client, serverlessServices, made);
    }
    const decider = ensureDecider(deps, pa, scaling, config);
    // Without a private Service nothing can serve yet; its name comes with the next change of the SKS.
    if (found?.status?.privateServiceName === undefined || found.status.privateServiceName === "") {
      await writeStatus(deps, pa, undefined, scaling, unknownScale);
      return done;
    }

    const outcome = await scale(deps, pa, found, scaling, decider.desiredPods, signal);
    deps.multiScaler.applied(key, { atMs: deps.nowMs(), replicas: outcome.scale, because: outcome.because });
    // Replicas first, and beside the rest: requests may be waiting for them.
    const write =
      outcome.write === undefined
        ? undefined
        : deps.scaler.write(targetOf(pa), outcome.write, deps.deployments.get(targetKey(pa))?.spec.replicas ?? 1);
    const rest = reconcileChildren(deps, pa, found, scaling, config, decider, outcome.scale).then((sks) =>
      writeStatus(deps, pa, sks, scaling, outcome.scale),
    );
    const results = await Promise.allSettled([write, rest]);
    for (const result of results) if (result.status === "rejected") throw result.reason as Error;
    return outcome.againMs === undefined ? done : { is: "again", afterMs: outcome.againMs };
  };
}

/** An absent class is the configured default. */
export function isOurs(pa: PodAutoscaler, config: AutoscalerConfig): boolean {
  return (pa.metadata.annotations?.["autoscaling.knative.dev/class"] || config.podAutoscalerClass) === kpaClass;
}

function ensureDecider(
  deps: PodAutoscalerDeps,
  pa: PodAutoscaler,
  scaling: RevisionScaling,
  config: AutoscalerConfig,
): DeciderView {
  const created = Date.parse(pa.metadata.creationTimestamp ?? "");
  return deps.multiScaler.ensure(keyOf(pa), {
    scaling,
    reachable: isReachable(pa),
    replicas: deps.deployments.get(targetKey(pa))?.spec.replicas ?? 0,
    // Creation times are whole seconds, cut off.
    foundRunning: !Number.isNaN(created) && created + 1000 < deps.leadSinceMs,
    eventEvaluations: config.eventEvaluations,
  });
}

async function scale(
  deps: PodAutoscalerDeps,
  pa: PodAutoscaler,
  sks: ServerlessService,
  scaling: RevisionScaling,
  want: number,
  signal: AbortSignal,
): Promise<ScaleOutcome> {
  const { apiVersion, kind } = pa.spec.scaleTargetRef;
  if (kind !== "Deployment" || !apiVersion.startsWith("apps/"))
    throw new TerminalError(`cannot scale a ${kind} of ${apiVersion}`);
  const deployment = deps.deployments.get(targetKey(pa));
  // It is made before its PodAutoscaler: our copy is behind, and will tell.
  if (deployment === undefined) return { scale: unknownScale, because: "no Deployment yet" };
  const proxied = conditionOf(sks, "ActivatorEndpointsPopulated");
  const proxiedSinceMs = proxied?.status === "True" ? Date.parse(proxied.lastTransitionTime ?? "") : Number.NaN;
  const progressDeadlineMs =
    parseDuration(pa.metadata.annotations?.[annotation.progressDeadline] ?? "") ?? deps.progressDeadlineMs();
  const config = deps.config();
  const seen: ScaleObservation = {
    want,
    replicas: deployment.spec.replicas ?? 1,
    activity: activityOf(pa),
    reachable: isReachable(pa),
    initialized: isInitialized(pa),
    activationTimeoutMs: progressDeadlineMs + activationSlackMs,
    mode: sks.spec.mode,
    proxiedSinceMs: Number.isNaN(proxiedSinceMs) ? undefined : proxiedSinceMs,
    probe: "not-run",
  };
  const outcome = scaleOutcome(scaling, config, seen, deps.nowMs());
  if (outcome.probe !== true) return outcome;
  const name = sks.status?.serviceName ?? pa.metadata.name!;
  const passed = await deps.scaler.probe({ namespace: pa.metadata.namespace!, name }, signal);
  // A request may have come while we asked: then the last pod stays.
  const now = deps.multiScaler.get(keyOf(pa))?.desiredPods ?? want;
  return scaleOutcome(scaling, config, { ...seen, want: now, probe: passed ? "passed" : "failed" }, deps.nowMs());
}

async function reconcileChildren(
  deps: PodAutoscalerDeps,
  pa: PodAutoscaler,
  sks: ServerlessService,
  scaling: RevisionScaling,
  config: AutoscalerConfig,
  decider: DeciderView,
  wanted: number,
): Promise<ServerlessService> {
  // Not knowing is no reason to change the way that requests take.
  const mode =
    wanted === unknownScale ? sks.spec.mode : wanted === 0 || decider.excessBurstCapacity < 0 ? "Proxy" : "Serve";
  const activators = activatorCount(scaling, deps.readyPods(keyOf(pa)), config.activatorCapacity);
  const wantedSks = makeServerlessService(pa, mode, activators);
  const metric = deps.metrics.get(keyOf(pa));
  const wantedMetric = makeMetric(pa, scaling, sks.status?.privateServiceName ?? "");
  const [written] = await Promise.all([
    update(deps.client, serverlessServices, sks, wantedSks),
    metric === undefined
      ? create(deps.client, metrics, wantedMetric)
      : isControlledBy(metric, pa)
        ? update(deps.client, metrics, metric, wantedMetric).then((stored) => markMetricReady(deps, stored))
        : notOwned(deps, pa, "Metric"),
  ]);
  return written;
}

/** Loads are pushed, so there is nothing that could fail to be collected. */
async function markMetricReady(deps: PodAutoscalerDeps, metric: Metric): Promise<void> {
  const conditions = new Conditions(metricConditions, metric.status?.conditions, deps.nowMs());
  conditions.markTrue("Ready");
  const status = {
    ...metric.status,
    conditions: conditions.list(),
    ...(metric.metadata.generation === undefined ? {} : { observedGeneration: metric.metadata.generation }),
  };
  await updateStatus(deps.client, metrics, { ...metric, status }, metric);
}

async function writeStatus(
  deps: PodAutoscalerDeps,
  pa: PodAutoscaler,
  sks: ServerlessService | undefined,
  scaling: RevisionScaling,
  want: number,
): Promise<void> {
  const ready = deps.readyPods(keyOf(pa));
  const status = podAutoscalerStatus({ pa, sks, scaling, want, ready }, deps.nowMs());
  await updateStatus(deps.client, podAutoscalers, { ...pa, status }, pa);
}

async function notOwned(deps: PodAutoscalerDeps, pa: PodAutoscaler, kind: string): Promise<never> {
  const message = `There is an existing ${kind} ${JSON.stringify(pa.metadata.name)} that we do not own.`;
  const conditions = new Conditions(podAutoscalerConditions, pa.status?.conditions, deps.nowMs());
  conditions.markFalse("Active", "NotOwned", message);
  await updateStatus(
    deps.client,
    podAutoscalers,
    { ...pa, status: { ...pa.status, conditions: conditions.list() } },
    pa,
  );
  throw new TerminalError(message);
}

/** Our copy may be behind: what exists already is met again with the next change. */
async function create(client: KubeClient, resource: Resource, wanted: KubeObject): Promise<void> {
  try {
    await client.create(resource, wanted);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

/** Sets spec, labels and annotations, if they differ; what others added to labels and annotations stays. */
async function update<T extends KubeObject & { spec: object }>(
  client: KubeClient,
  resource: Resource,
  found: T,
  wanted: T,
): Promise<T> {
  const labels = { ...found.metadata.labels, ...wanted.metadata.labels };
  const annotations = { ...found.metadata.annotations, ...wanted.metadata.annotations };
  const same =
    isSameJson(found.spec, { ...found.spec, ...wanted.spec }) &&
    isSameJson(found.metadata.labels ?? {}, labels) &&
    isSameJson(found.metadata.annotations ?? {}, annotations);
  if (same) return found;
  return client.update<T>(resource, {
    ...found,
    metadata: { ...found.metadata, labels, annotations },
    spec: { ...found.spec, ...wanted.spec },
  });
}

const targetOf = (pa: PodAutoscaler): { namespace: string; name: string } => ({
  namespace: pa.metadata.namespace!,
  name: pa.spec.scaleTargetRef.name,
});
const targetKey = (pa: PodAutoscaler): string => `${pa.metadata.namespace}/${pa.spec.scaleTargetRef.name}`;
