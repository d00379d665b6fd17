/** For tests: a Revision with the objects that were made for it, in the state that the row says. */
import type { PodAutoscaler } from "../../api/autoscaling.ts";
import type { Deployment } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import type { Revision } from "../../api/serving.ts";
import { parsePlatformConfig } from "../config/store.ts";
import type { Deps, Reconciler } from "../reconciler.ts";
import { configOf, type ConfigData } from "../table.ts";
import type { Resolution } from "./digest.ts";
import { revisionReconciler } from "./reconciler.ts";
import { makeDeployment, makeImages, makePodAutoscaler } from "./resources.ts";

const statsKey = Buffer.alloc(32);

/** Image tags stay as they are, unless the row says what the registry answers. */
export function makeWith(resolution?: Resolution): (deps: Deps) => Reconciler {
  return (deps) =>
    revisionReconciler({
      ...deps,
      statsKey,
      digests: {
        resolve: ({ spec, status }) =>
          resolution ?? {
            is: "resolved",
            containers: status?.containerStatuses ?? spec.containers.map(({ name }) => ({ name })),
            initContainers: status?.initContainerStatuses ?? (spec.initContainers ?? []).map(({ name }) => ({ name })),
          },
        forget: () => {},
        onResolved: () => () => {},
      },
    });
}

/** The Revision and its children, which are as the controller would make them now. */
export function madeFor(
  given: readonly KubeObject[],
  config: ConfigData,
  deploymentStatus: object,
  autoscaler: { status: object },
): KubeObject[] {
  const [revision] = given as [Revision];
  const platform = {
    config: parsePlatformConfig((name) => configOf(config, name), "cluster.local"),
    systemNamespace: "knative-serving",
    statsAddress: "autoscaler.knative-serving.svc.cluster.local:8082",
    statsKey,
  };
  const deployment: Deployment = { ...makeDeployment(revision, platform), status: deploymentStatus };
  const podAutoscaler: PodAutoscaler = {
    ...makePodAutoscaler(revision, "Reachable"),
    status: { observedGeneration: 1, serviceName: "hello-00001", ...autoscaler.status },
  };
  return [...given, deployment, podAutoscaler, ...makeImages(revision, revision.status ?? {})];
}

/** A condition of a Deployment. */
export const progressing = (status: string, reason = "", message = "") => ({
  type: "Progressing",
  status,
  reason,
  message,
});

/** The status of a Deployment whose only pod serves. */
export const up = { replicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [progressing("True")] };

/** The status of a PodAutoscaler: what Ready says, and whether the scale was ever reached. */
export const pa = (ready: [string, string?, string?] | undefined, initialised: boolean, more: object = {}) => ({
  status: {
    conditions: [
      ...(ready === undefined
        ? []
        : [{ type: "Ready", status: ready[0], reason: ready[1] ?? "", message: ready[2] ?? "" }]),
      { type: "ScaleTargetInitialized", status: initialised ? "True" : "Unknown" },
    ],
    ...more,
  },
});
