/** What a Revision's conditions say of its Deployment, its pods and its PodAutoscaler (spec: serving-api 4.11). */
import type { PodAutoscaler } from "../../api/autoscaling.ts";
import { conditionOf, type Conditions } from "../../api/conditions.ts";
import type { Deployment, Pod } from "../../api/core.ts";
import { label } from "../../api/keys.ts";
import type { Revision } from "../../api/serving.ts";
import { queueProxyName } from "./queue-proxy.ts";
import type { Reachability } from "./resources.ts";

type Status = NonNullable<Revision["status"]>;

export const deploying = "Deploying";

/** A Deployment that was created just now has said nothing yet. */
export function showNewDeployment(conditions: Conditions): void {
  conditions.markUnknown("ResourcesAvailable", deploying, "");
  conditions.markUnknown("ContainerHealthy", deploying, "");
}

export function showDeployment(
  conditions: Conditions,
  deployment: Deployment,
  pods: readonly Pod[],
  podIsAlwaysSchedulable: boolean,
): void {
  const kube = (type: string) => deployment.status?.conditions?.find((condition) => condition.type === type);
  const progressing = kube("Progressing");
  const replicaFailure = kube("ReplicaFailure");
  if (replicaFailure?.status === "True")
    conditions.markFalse("ResourcesAvailable", replicaFailure.reason ?? "", replicaFailure.message ?? "");
  else if (progressing === undefined) conditions.markUnknown("ResourcesAvailable", deploying, "");
  else if (progressing.status === "True") conditions.markTrue("ResourcesAvailable");
  else conditions.set("ResourcesAvailable", progressing.status, progressing.reason, progressing.message);

  if ((deployment.spec.replicas ?? 1) > 0 && (deployment.status?.availableReplicas ?? 0) === 0) {
    const pod = pods[0];
    if (pod !== undefined) showPod(conditions, pod, podIsAlwaysSchedulable, hasTimedOut(deployment));
  }
  if ((deployment.status?.readyReplicas ?? 0) > 0) conditions.markTrue("ContainerHealthy");
}

/** All pods of a Revision that cannot start fail alike, so one stands for all. */
function showPod(conditions: Conditions, pod: Pod, alwaysSchedulable: boolean, timedOut: boolean): void {
  const scheduled = pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
  if (scheduled?.status === "False" && !alwaysSchedulable)
    conditions.markFalse("ResourcesAvailable", scheduled.reason ?? "", scheduled.message ?? "");
  for (const status of pod.status?.containerStatuses ?? []) {
    if (status.name === queueProxyName) continue;
    const terminated = status.lastState?.terminated;
    if (terminated !== undefined) {
      const { exitCode, message = "" } = terminated;
      const text = exitCode === 0 && message === "" ? "container exited with no error" : message;
      conditions.markFalse("ContainerHealthy", `ExitCode${exitCode}`, `Container failed with: ${text}`);
      return;
    }
    const waiting = status.state?.waiting;
    if (waiting !== undefined && timedOut) {
      conditions.markFalse("ResourcesAvailable", waiting.reason ?? "", waiting.message ?? "");
      return;
    }
  }
}

function hasTimedOut(deployment: Deployment): boolean {
  const progressing = deployment.status?.conditions?.find(({ type }) => type === "Progressing");
  return progressing?.status === "False" && progressing.reason === "ProgressDeadlineExceeded";
}

export function showPodAutoscaler(status: Status, conditions: Conditions, podAutoscaler: PodAutoscaler): void {
  const { actualScale, desiredScale, serviceName = "" } = podAutoscaler.status ?? {};
  if (actualScale !== undefined && actualScale >= 0) status.actualReplicas = actualScale;
  else delete status.actualReplicas;
  if (desiredScale !== undefined && desiredScale >= 0) status.desiredReplicas = desiredScale;
  else delete status.desiredReplicas;

  const unavailable = conditions.is("ResourcesAvailable", "False");
  const ready = conditionOf(podAutoscaler, "Ready");
  if (ready === undefined) {
    conditions.markUnknown("Active", deploying, "");
    if (!unavailable) conditions.markUnknown("ResourcesAvailable", deploying, "");
    return;
  }
  const initialised = conditionOf(podAutoscaler, "ScaleTargetInitialized")?.status === "True";
  // Initialised means that the Revision has served: from then on its scale says whether it is there.
  if (initialised && !unavailable && !conditions.is("ContainerHealthy", "False")) {
    conditions.markTrue("ResourcesAvailable");
    conditions.markTrue("ContainerHealthy");
  }
  if (conditions.is("ResourcesAvailable", "True") && (serviceName === "" || !initialised))
    conditions.markUnknown("ResourcesAvailable", deploying, "");
  if (ready.status === "False" && !initialised && !unavailable && serviceName !== "")
    conditions.markFalse("ResourcesAvailable", "ProgressDeadlineExceeded", "Initial scale was never achieved");
  conditions.set("Active", ready.status, ready.reason, ready.message);
}

/** While it is Unknown whether the Revision comes up, the message says what holds it back, as far as is known. */
export function showCause(conditions: Conditions, cause: string): void {
  for (const type of ["ContainerHealthy", "ResourcesAvailable"]) {
    const condition = conditions.get(type);
    if (condition?.status === "Unknown" && condition.reason === deploying)
      conditions.markUnknown(type, deploying, type === "ResourcesAvailable" ? cause : "");
  }
}

export function reachabilityOf(
  revision: Revision,
  conditions: Conditions,
  deployment: Deployment | undefined,
): Reachability {
  const failed = conditions.is("ResourcesAvailable", "False") || conditions.is("ContainerHealthy", "False");
  const wanted = deployment?.spec.replicas ?? 0;
  if (failed && wanted > 0 && (deployment?.status?.readyReplicas ?? 0) === 0) return "Unreachable";
  const state = revision.metadata.labels?.[label.routingState];
  if (state === "active") return "Reachable";
  return state === "reserve" ? "Unreachable" : "";
}
