/** Reconciles PodAutoscalers of the kpa class: decider, replicas, ServerlessService, Metric, status. */
import { revisionScaling, type RevisionScaling } from "../api/autoscaling-annotations.ts";
import { kpaClass, type AutoscalerConfig } from "../api/autoscaling-config.ts";
import { metrics, podAutoscalers, type Metric, type PodAutoscaler } from "../api/autoscaling.ts";
import { Conditions, podAutoscalerConditions } from "../api/conditions.ts";
import { keyOf, type KubeObject, type Resource } from "../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../api/networking.ts";
import { isAlreadyExists, type KubeClient } from "../kube/client.ts";
import type { Lister } from "../kube/informer.ts";
import { OwnWrites } from "../kube/own-writes.ts";
import { done, TerminalError, type Outcome } from "../kube/reconciler.ts";
import { isControlledBy, updateStatus } from "../kube/write.ts";
import { updateChild } from "./child-writes.ts";
import { makeMetric, makeServerlessService } from "./children.ts";
import { activatorCount } from "./decide.ts";
import type { DeciderView } from "./decider.ts";
import { metricStatus } from "./metric-status.ts";
import type { MultiScaler } from "./multi-scaler.ts";
import { isServable, scale, targetKey, type RevisionScalingDeps } from "./revision-scaling.ts";
import { unknownScale, type ScaleOutcome } from "./scale-to-zero.ts";
import { isReachable, podAutoscalerStatus } from "./status.ts";
import type { MetricFailure } from "./upstream/scrape.ts";

export interface PodAutoscalerDeps extends RevisionScalingDeps {
  client: KubeClient;
  multiScaler: MultiScaler;
  metrics: Lister<Metric>;
  readyPods: (key: string) => number;
  /** Why the loads of pods that do not stream are not known; undefined while they are. */
  metricFailure: (key: string) => MetricFailure | undefined;
  /** Since when this process knows of loads. */
  leadSinceMs: number;
  /** Reconciles the key again before long. */
  again: (key: string) => void;
  /** Calls back once, later; returns what cancels it. */
  after: (ms: number, call: () => void) => () => void;
}

/** A reconcile waits so long for its write. */
const writeWaitMs = 250;
/** And so long for those of other revisions that have no pod. */
const othersFirstMs = 1000;

export function podAutoscalerReconciler(
  deps: PodAutoscalerDeps,
): (key: string, signal: AbortSignal) => Promise<Outcome> {
  const ownWrites = new OwnWrites<PodAutoscaler>();
  return async function reconcile(key, signal) {
    const cached = deps.podAutoscalers.get(key);
    const pa = cached === undefined ? undefined : ownWrites.newest(cached);
    const config = deps.config();
    if (pa === undefined || pa.metadata.deletionTimestamp !== undefined || !isOurs(pa, config)) {
      deps.multiScaler.remove(key);
      return done;
    }
    const scaling = revisionScaling(pa.metadata.annotations, config, pa.spec.containerConcurrency ?? 0);
    const found = deps.serverlessServices.get(key);
    if (found !== undefined && !isControlledBy(found, pa)) return notOwned(deps, pa, "ServerlessService");
    if (found === undefined) {
      const made = makeServerlessService(pa, "Proxy", activatorCount(scaling, 0, config.activatorCapacity));
      await create(deps.client, serverlessServices, made);
    }
    const decider = ensureDecider(deps, pa, scaling, config);
    if (!isServable(found)) {
      ownWrites.wrote(pa, await writeStatus(deps, pa, undefined, scaling, unknownScale));
      return done;
    }

    const outcome = await scale(deps, pa, found, scaling, decider.desiredPods, signal);
    // Replicas before the rest: requests may be waiting for them, and statuses are many when many revisions wake.
    await writeOrLeave(deps, pa, outcome);
    await deps.scaler.wakesStarted(othersFirstMs);
    const sksWritten = await reconcileChildren(deps, pa, found, scaling, config, decider, outcome.scale);
    ownWrites.wrote(pa, await writeStatus(deps, pa, sksWritten, scaling, outcome.scale));
    return outcome.againMs === undefined ? done : { is: "again", afterMs: outcome.againMs };
  };
}

/** Waits for the write, but not so long that slow writes would take all workers: then it is looked at again if it fails. */
async function writeOrLeave(deps: PodAutoscalerDeps, pa: PodAutoscaler, outcome: ScaleOutcome): Promise<void> {
  deps.multiScaler.applied(keyOf(pa), { atMs: deps.nowMs(), replicas: outcome.scale, because: outcome.because });
  const deployment = deps.deployments.get(targetKey(pa));
  if (outcome.write === undefined || deployment === undefined) return;
  const write = deps.scaler.write(deployment, outcome.write);
  const cancelled = Promise.withResolvers<"slow">();
  const cancel = deps.after(writeWaitMs, () => cancelled.resolve("slow"));
  try {
    const result = await Promise.race([write, cancelled.promise]);
    if (result === "slow") write.catch(() => deps.again(keyOf(pa)));
  } finally {
    cancel();
  }
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
    updateChild(deps.client, serverlessServices, sks, wantedSks),
    metric === undefined
      ? create(deps.client, metrics, wantedMetric)
      : isControlledBy(metric, pa)
        ? updateChild(deps.client, metrics, metric, wantedMetric).then((stored) => markMetric(deps, stored))
        : notOwned(deps, pa, "Metric"),
  ]);
  return written;
}

async function markMetric(deps: PodAutoscalerDeps, metric: Metric): Promise<void> {
  const status = metricStatus(metric, deps.metricFailure(keyOf(metric)), deps.nowMs());
  await updateStatus(deps.client, metrics, { ...metric, status }, metric);
}

async function writeStatus(
  deps: PodAutoscalerDeps,
  pa: PodAutoscaler,
  sks: ServerlessService | undefined,
  scaling: RevisionScaling,
  want: number,
): Promise<PodAutoscaler> {
  const ready = deps.readyPods(keyOf(pa));
  const status = podAutoscalerStatus({ pa, sks, scaling, want, ready }, deps.nowMs());
  return updateStatus(deps.client, podAutoscalers, { ...pa, status }, pa);
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
