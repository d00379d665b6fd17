/** A dry run of a Service (`kubectl --dry-run=server`) asks the API server about the pod it would lead to. */
import { pods, type Container, type Pod, type PodSpec, type Probe } from "../../api/core.ts";
import { label } from "../../api/keys.ts";
import type { KubeObject } from "../../api/meta.ts";
import { servingContainer, userPort } from "../../api/revision-shape.ts";
import type { KService, RevisionSpec } from "../../api/serving.ts";
import { ApiError, type KubeClient } from "../../kube/client.ts";

/** Resolves with why the API server would refuse the pod, undefined when it would not. */
export type TryPod = (pod: Pod) => Promise<string | undefined>;

export function podTrial(client: KubeClient): TryPod {
  return async function tryPod(pod) {
    try {
      await client.create(pods, pod, { dryRun: true });
      return undefined;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Another webhook's doing: it says nothing about the pod.
      return error.message.includes("does not support dry run") ? undefined : error.message;
    }
  };
}

/** The pod to try for an object, undefined where there is none or the owner was asked already. */
export function trialPod(object: KubeObject): Pod | undefined {
  const isService = object.kind === "Service";
  if (!object.apiVersion.startsWith("serving.knative.dev/") || (!isService && object.kind !== "Configuration"))
    return undefined;
  if (!isService && (object.metadata.labels?.[label.service] ?? "") !== "") return undefined;
  const spec = (object as Partial<KService>).spec?.template?.spec;
  if (spec === undefined) return undefined;
  const { namespace = "" } = object.metadata;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { generateName: "dry-run-validation", namespace },
    spec: userPod(spec),
  };
}

/** Without queue-proxy and what it takes over: the readiness probe, the port that a probe leaves open. */
function userPod(spec: RevisionSpec): PodSpec {
  const {
    containerConcurrency: _concurrency,
    timeoutSeconds: _timeout,
    responseStartTimeoutSeconds: _start,
    idleTimeoutSeconds: _idle,
    containers,
    ...rest
  } = spec;
  const serving = servingContainer(spec);
  const port = userPort(spec);
  const aimed = (probe: Probe | undefined): Probe | undefined => {
    if (probe === undefined) return undefined;
    const aim = <T extends { port?: number | string }>(action: T | undefined): T | undefined =>
      action === undefined || (action.port ?? 0) !== 0 ? action : { ...action, port };
    const { httpGet, tcpSocket, ...others } = probe;
    return withoutMissing({ ...others, httpGet: aim(httpGet), tcpSocket: aim(tcpSocket) });
  };
  const asUser = (container: Container): Container => {
    const { readinessProbe: _taken, livenessProbe, startupProbe, ports, ...others } = container;
    if (container !== serving) return container;
    return withoutMissing({
      ...others,
      ports: (ports ?? [{ containerPort: port }]).map(({ containerPort }) => ({ name: "user-port", containerPort })),
      livenessProbe: aimed(livenessProbe),
      startupProbe: aimed(startupProbe),
    });
  };
  return { ...rest, containers: containers.map(asUser) };
}

/** The fields that have a value. */
const withoutMissing = <T extends object>(object: { [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
