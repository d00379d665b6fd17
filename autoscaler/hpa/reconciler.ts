/** Reconciles PodAutoscalers of the hpa class: HorizontalPodAutoscaler, ServerlessService, status. */
import { revisionScaling } from "../../api/autoscaling-annotations.ts";
import { hpaClass, kpaClass, type AutoscalerConfig } from "../../api/autoscaling-config.ts";
import { podAutoscalers, type PodAutoscaler } from "../../api/autoscaling.ts";
import type { Deployment } from "../../api/core.ts";
import { horizontalPodAutoscalers, type HorizontalPodAutoscaler } from "../../api/horizontal-pod-autoscaler.ts";
import { keyOf, type KubeObject, type Resource } from "../../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../../api/networking.ts";
import { isAlreadyExists, isConflict, isNotFound, type KubeClient } from "../../kube/client.ts";
import type { RecordEvent } from "../../kube/events.ts";
import type { Lister } from "../../kube/informer.ts";
import { done, TerminalError, type Outcome } from "../../kube/reconciler.ts";
import { isControlledBy, updateStatus } from "../../kube/write.ts";
import { updateChild } from "../child-writes.ts";
import { makeServerlessService } from "../children.ts";
import { makeHorizontalPodAutoscaler, settledSpec } from "./horizontal-pod-autoscaler.ts";
import { childProblemStatus, hpaStatus, problemMessage, type ChildProblem } from "./status.ts";

export interface HpaDeps {
  client: KubeClient;
  podAutoscalers: Lister<PodAutoscaler>;
  horizontalPodAutoscalers: Lister<HorizontalPodAutoscaler>;
  serverlessServices: Lister<ServerlessService>;
  /** At least those of revisions. */
  deployments: Lister<Deployment>;
  config: () => AutoscalerConfig;
  record: RecordEvent;
  nowMs: () => number;
}

export function hpaReconciler(deps: HpaDeps): (key: string) => Promise<Outcome> {
  return async function reconcile(key) {
    const pa = deps.podAutoscalers.get(key);
    if (pa === undefined || pa.metadata.deletionTimestamp !== undefined) return done; // owner references clean up
    const podAutoscalerClass = classOf(pa, deps.config());
    if (podAutoscalerClass === kpaClass) await removeLeftover(deps, pa);
    if (podAutoscalerClass !== hpaClass) return done;
    try {
      await reconcileHpa(deps, pa);
      return done;
    } catch (error) {
      if (error instanceof ChildError) await writeStatus(deps, pa, childProblemStatus(pa, error.problem, deps.nowMs()));
      if (!isConflict(error)) deps.record(pa, "Warning", "InternalError", (error as Error).message);
      // Nothing but a change of what is in the way cures it, and that is heard of.
      if (error instanceof ChildError && error.problem.reason === "NotOwned")
        throw new TerminalError(error.message, { cause: error });
      throw error;
    }
  };
}

/** An absent class is the configured default. */
export function classOf(pa: PodAutoscaler, config: AutoscalerConfig): string {
  return pa.metadata.annotations?.["autoscaling.knative.dev/class"] || config.podAutoscalerClass;
}

async function reconcileHpa(deps: HpaDeps, pa: PodAutoscaler): Promise<void> {
  const { client } = deps;
  const scaling = revisionScaling(pa.metadata.annotations, deps.config(), pa.spec.containerConcurrency ?? 0);
  const wantedHpa = makeHorizontalPodAutoscaler(pa, scaling);
  // 0 activators are all of them: they get the requests while no pod is ready.
  const wantedSks = makeServerlessService(pa, "Serve", 0);
  const [foundHpa, foundSks] = await Promise.all([
    ensureChild(client, horizontalPodAutoscalers, deps.horizontalPodAutoscalers, pa, wantedHpa),
    ensureChild(client, serverlessServices, deps.serverlessServices, pa, wantedSks),
  ]);
  const [hpa, sks] = await Promise.all([
    updateChild(client, horizontalPodAutoscalers, foundHpa, {
      ...wantedHpa,
      spec: settledSpec(foundHpa.spec, wantedHpa.spec),
    }),
    updateChild(client, serverlessServices, foundSks, wantedSks),
  ]);
  const deployment = deps.deployments.get(`${pa.metadata.namespace}/${pa.spec.scaleTargetRef.name}`);
  await writeStatus(deps, pa, hpaStatus({ pa, scaling, sks, hpa, deployment }, deps.nowMs()));
}

async function writeStatus(deps: HpaDeps, pa: PodAutoscaler, status: PodAutoscaler["status"] & {}): Promise<void> {
  await updateStatus(deps.client, podAutoscalers, { ...pa, status }, pa);
}

/** Two that scale one Deployment would undo each other's work; one that somebody else made under that name stays. */
async function removeLeftover({ client, ...deps }: HpaDeps, pa: PodAutoscaler): Promise<void> {
  const hpa = deps.horizontalPodAutoscalers.get(keyOf(pa));
  if (hpa === undefined || hpa.metadata.deletionTimestamp !== undefined || !isControlledBy(hpa, pa)) return;
  const { name = "", namespace, uid } = hpa.metadata;
  try {
    await client.delete(horizontalPodAutoscalers, name, namespace, {
      propagationPolicy: "Background",
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

class ChildError extends Error {
  override readonly name = "ChildError";
  readonly problem: ChildProblem;

  constructor(problem: ChildProblem, cause?: unknown) {
    const why = cause === undefined ? "" : ` ${(cause as Error).message}`;
    super(`${problemMessage(problem)}${why}`, cause === undefined ? {} : { cause });
    this.problem = problem;
  }
}

/** The child as it stands, else made. The cache may lag: a name that is taken is looked up. */
async function ensureChild<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  cache: Lister<T>,
  pa: PodAutoscaler,
  wanted: T,
): Promise<T> {
  const { name = "", namespace } = wanted.metadata;
  let found = cache.get(keyOf(wanted));
  if (found === undefined) {
    try {
      return await client.create(resource, wanted);
    } catch (error) {
      if (!isAlreadyExists(error)) throw new ChildError({ reason: "FailedCreate", kind: resource.kind, name }, error);
      found = await client.get<T>(resource, name, namespace);
    }
  }
  if (!isControlledBy(found, pa)) throw new ChildError({ reason: "NotOwned", kind: resource.kind, name });
  return found;
}
