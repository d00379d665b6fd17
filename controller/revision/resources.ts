/** The objects of a Revision: Deployment, PodAutoscaler, Images (spec: serving-api 4.12, 4.13). */
import { initialScale } from "../../api/autoscaling-annotations.ts";
import { podAutoscalers, images, type PodAutoscaler } from "../../api/autoscaling.ts";
import {
  deployments,
  type Container,
  type Deployment,
  type EnvVar,
  type PodSpec,
  type Volume,
} from "../../api/core.ts";
import { parseDuration } from "../../api/duration.ts";
import { annotation, autoscalingPrefix, label, port } from "../../api/keys.ts";
import { apiVersionOf } from "../../api/meta.ts";
import { deploymentName, imageCacheName } from "../../api/names.ts";
import { protocolOf, servingContainer, userPort } from "../../api/revision-shape.ts";
import type { Revision } from "../../api/serving.ts";
import { controllerReference } from "../../kube/write.ts";
import type { Image } from "../caches.ts";
import { without } from "../reconciler.ts";
import { makeQueueProxy, timeoutSecondsOf, type Platform } from "./queue-proxy.ts";

/** State of the control plane that says nothing about the pods. */
const bookkeeping = [
  "serving.knative.dev/lastPinned",
  "serving.knative.dev/no-gc",
  annotation.routingStateModified,
  annotation.routes,
];

/** `replicas` is the initial scale, which only a create uses. */
export function makeDeployment(revision: Revision, platform: Platform): Deployment {
  const { config } = platform;
  const { name = "", namespace = "", uid = "" } = revision.metadata;
  const labels = childLabels(revision);
  const annotations = Object.fromEntries(
    Object.entries(without(revision.metadata.annotations, bookkeeping)).filter(
      ([key]) => !key.startsWith(autoscalingPrefix),
    ),
  );
  const deadline = revision.metadata.annotations?.[annotation.progressDeadline];
  const deadlineMs = deadline === undefined ? undefined : parseDuration(deadline);
  const wanted: Deployment = {
    apiVersion: apiVersionOf(deployments),
    kind: deployments.kind,
    metadata: {
      name: deploymentName(name),
      namespace,
      labels,
      annotations,
      ownerReferences: [controllerReference(revision)],
    },
    spec: {
      replicas: initialScale(revision.metadata.annotations, config.autoscaler),
      selector: { matchLabels: { [label.revisionUID]: uid } },
      progressDeadlineSeconds:
        deadlineMs === undefined ? config.deployment.progressDeadlineSeconds : Math.trunc(deadlineMs / 1000),
      revisionHistoryLimit: 0,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0 } },
      template: {
        metadata: {
          labels,
          annotations: {
            ...annotations,
            "kubectl.kubernetes.io/default-container": servingContainer(revision.spec)?.name ?? "",
          },
        },
        spec: makePodSpec(revision, platform),
      },
    },
  };
  wanted.metadata.labels = { ...labels, [label.deploymentHash]: contentHash(wanted) };
  return wanted;
}

/** Of all that an update would write; the scale is the autoscaler's. */
function contentHash({ metadata, spec }: Deployment): string {
  const { replicas: _replicas, ...rest } = spec;
  const text = JSON.stringify([rest, metadata.annotations, metadata.labels]);
  // FNV-1a, 32 bits.
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(36);
}

/** The found Deployment with the wanted content; scale, selector and foreign labels and annotations stay. */
export function mergeDeployment(found: Deployment, wanted: Deployment): Deployment {
  const ours = (key: string): boolean => key.includes("knative.dev/") || key === "app";
  const merge = (
    before: Record<string, string> | undefined,
    after: Record<string, string> | undefined,
  ): Record<string, string> => ({
    ...Object.fromEntries(Object.entries(before ?? {}).filter(([key]) => !ours(key))),
    ...after,
  });
  const { template } = wanted.spec;
  return {
    ...found,
    metadata: {
      ...found.metadata,
      labels: merge(found.metadata.labels, wanted.metadata.labels),
      annotations: merge(found.metadata.annotations, wanted.metadata.annotations),
    },
    spec: {
      ...wanted.spec,
      ...(found.spec.replicas === undefined ? {} : { replicas: found.spec.replicas }),
      selector: found.spec.selector,
      template: {
        ...template,
        metadata: {
          labels: merge(found.spec.template.metadata?.labels, template.metadata?.labels),
          annotations: merge(found.spec.template.metadata?.annotations, template.metadata?.annotations),
        },
      },
    },
  };
}

function childLabels(revision: Revision): Record<string, string> {
  const { name = "", uid = "" } = revision.metadata;
  return {
    app: name,
    ...without(revision.metadata.labels, [label.route, label.routingState]),
    [label.revision]: name,
    [label.revisionUID]: uid,
  };
}

function makePodSpec(revision: Revision, platform: Platform): PodSpec {
  const { config } = platform;
  const {
    containerConcurrency: _concurrency,
    timeoutSeconds: _timeout,
    responseStartTimeoutSeconds: _start,
    idleTimeoutSeconds: _idle,
    containers,
    volumes = [],
    ...rest
  } = revision.spec;
  const sidecar = makeQueueProxy(revision, platform);
  const varLog: Volume[] = config.observability.enableVarLogCollection
    ? [{ name: "knative-var-log", emptyDir: {} }]
    : [];
  const allVolumes = [...volumes, ...sidecar.volumes, ...varLog];
  const links = rest.enableServiceLinks ?? config.defaults.enableServiceLinks;
  const runtimeClass = rest.runtimeClassName ?? config.deployment.runtimeClassName(revision.metadata.labels);
  const spread = rest.affinity === undefined && config.deployment.defaultAffinity !== "none";
  return {
    ...rest,
    containers: [...containers.map((container) => makeUserContainer(revision, container, platform)), sidecar.container],
    ...(allVolumes.length > 0 ? { volumes: allVolumes } : {}),
    terminationGracePeriodSeconds: timeoutSecondsOf(revision, config),
    ...(links === undefined ? {} : { enableServiceLinks: links }),
    ...(runtimeClass === undefined ? {} : { runtimeClassName: runtimeClass }),
    ...(spread ? { affinity: spreadOverNodes(revision.metadata.name ?? "") } : {}),
  };
}

const spreadOverNodes = (revision: string): Record<string, unknown> => ({
  podAntiAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 100,
        podAffinityTerm: {
          topologyKey: "kubernetes.io/hostname",
          labelSelector: { matchLabels: { [label.revision]: revision } },
        },
      },
    ],
  },
});

function makeUserContainer(revision: Revision, container: Container, { config }: Platform): Container {
  const { labels = {} } = revision.metadata;
  const serving = container === servingContainer(revision.spec);
  const appPort = userPort(revision.spec);
  const digest = revision.status?.containerStatuses?.find(({ name }) => name === container.name)?.imageDigest ?? "";
  const { readinessProbe, livenessProbe, ports: _ports, ...rest } = container;
  const collectLogs = config.observability.enableVarLogCollection;
  const env: EnvVar[] = [
    ...(container.env ?? []),
    ...(serving ? [{ name: "PORT", value: String(appPort) }] : []),
    { name: "K_REVISION", value: revision.metadata.name ?? "" },
    { name: "K_CONFIGURATION", value: labels[label.configuration] ?? "" },
    { name: "K_SERVICE", value: labels[label.service] ?? "" },
    ...(collectLogs
      ? [
          { name: "K_INTERNAL_POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
          { name: "K_INTERNAL_POD_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
        ]
      : []),
  ];
  return {
    ...rest,
    ...(digest === "" ? {} : { image: digest }),
    env,
    ...(serving ? { ports: [{ name: "user-port", containerPort: appPort, protocol: "TCP" }] } : {}),
    ...(!serving && container.ports !== undefined ? { ports: container.ports } : {}),
    // The sidecar runs what it can on the app's behalf; a command only the kubelet can run.
    ...(readinessProbe?.exec === undefined ? {} : { readinessProbe }),
    ...(livenessProbe === undefined ? {} : { livenessProbe: livenessOn(livenessProbe, serving, appPort, config) }),
    lifecycle: { preStop: { httpGet: { port: port.queueAdmin, path: "/wait-for-drain" } } },
    terminationMessagePolicy: container.terminationMessagePolicy ?? "FallbackToLogsOnError",
    ...(collectLogs
      ? {
          volumeMounts: [
            ...(container.volumeMounts ?? []),
            {
              name: "knative-var-log",
              mountPath: "/var/log",
              subPathExpr: `$(K_INTERNAL_POD_NAMESPACE)_$(K_INTERNAL_POD_NAME)_${container.name}`,
            },
          ],
        }
      : {}),
  };
}

function livenessOn(
  probe: NonNullable<Container["livenessProbe"]>,
  serving: boolean,
  appPort: number,
  config: Platform["config"],
): NonNullable<Container["livenessProbe"]> {
  if (!serving) return probe;
  const keeps = config.features.multiContainerProbing === "Enabled";
  const own = (given: number | string | undefined): number =>
    keeps && typeof given === "number" && given > 0 ? given : appPort;
  if (probe.httpGet !== undefined) return { ...probe, httpGet: { ...probe.httpGet, port: own(probe.httpGet.port) } };
  if (probe.tcpSocket !== undefined)
    return { ...probe, tcpSocket: { ...probe.tcpSocket, port: own(probe.tcpSocket.port) } };
  return probe;
}

export type Reachability = "" | "Reachable" | "Unreachable";

export function makePodAutoscaler(revision: Revision, reachability: Reachability): PodAutoscaler {
  const { name = "", namespace = "" } = revision.metadata;
  const { containerConcurrency = 0 } = revision.spec;
  return {
    apiVersion: apiVersionOf(podAutoscalers),
    kind: podAutoscalers.kind,
    metadata: {
      name,
      namespace,
      labels: childLabels(revision),
      annotations: without(revision.metadata.annotations, bookkeeping),
      ownerReferences: [controllerReference(revision)],
    },
    spec: {
      ...(containerConcurrency === 0 ? {} : { containerConcurrency }),
      scaleTargetRef: { apiVersion: apiVersionOf(deployments), kind: deployments.kind, name: deploymentName(name) },
      protocolType: protocolOf(revision.spec),
      ...(reachability === "" ? {} : { reachability }),
    },
  };
}

/** Annotations that the webhook put there and the Revision need not have. */
const defaulted = [`${autoscalingPrefix}class`, `${autoscalingPrefix}metric`];

/** The annotations of a PodAutoscaler that is kept in step with its Revision; foreign ones stay. */
export function podAutoscalerAnnotations(found: PodAutoscaler, wanted: PodAutoscaler): Record<string, string> {
  const kept = Object.entries(found.metadata.annotations ?? {}).filter(
    ([key]) => !key.startsWith(autoscalingPrefix) || defaulted.includes(key),
  );
  return { ...Object.fromEntries(kept), ...wanted.metadata.annotations };
}

/** One per container whose image is known, so that caches on the nodes can fetch it ahead. */
export function makeImages(revision: Revision, statuses: NonNullable<Revision["status"]>): Image[] {
  const { name = "", namespace = "" } = revision.metadata;
  const { serviceAccountName, imagePullSecrets, containers, initContainers = [] } = revision.spec;
  return [...(statuses.containerStatuses ?? []), ...(statuses.initContainerStatuses ?? [])].map((status) => ({
    apiVersion: apiVersionOf(images),
    kind: images.kind,
    metadata: {
      name: imageCacheName(name, status.name),
      namespace,
      labels: childLabels(revision),
      annotations: without(revision.metadata.annotations, bookkeeping),
      ownerReferences: [controllerReference(revision)],
    },
    spec: {
      image:
        status.imageDigest !== undefined && status.imageDigest !== ""
          ? status.imageDigest
          : ([...containers, ...initContainers].find((container) => container.name === status.name)?.image ?? ""),
      ...(serviceAccountName === undefined ? {} : { serviceAccountName }),
      ...(imagePullSecrets === undefined ? {} : { imagePullSecrets }),
    },
  }));
}
