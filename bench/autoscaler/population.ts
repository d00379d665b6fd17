/** The revisions of a measurement, and their objects as controllers and kubelets would have left them. */
import { podAutoscalerConditions, metricConditions, Conditions } from "../../api/conditions.ts";
import { revisionScaling } from "../../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import { metrics, podAutoscalers, type Metric, type PodAutoscaler } from "../../api/autoscaling.ts";
import { deployments, pods, type Deployment, type Pod } from "../../api/core.ts";
import { label } from "../../api/keys.ts";
import type { Resource, KubeObject } from "../../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../../api/networking.ts";
import { makeMetric, makeServerlessService } from "../../autoscaler/children.ts";
import { activatorCount } from "../../autoscaler/decide.ts";
import { podAutoscalerStatus } from "../../autoscaler/status.ts";

export interface Population {
  /** With pods; their indexes come first. */
  running: number;
  podsPerRevision: number;
  /** Without. */
  atZero: number;
}

export const namespace = "scale";
/** Requests in flight on a pod: it changes between this and one more. */
export const restingRequests = 5;
/** Ten pods with 5.5 each are ten pods' worth, whatever single pods do. */
const targetPerPod = 5.8;
const config = parseAutoscalerConfig(undefined);

export const revisionName = (revision: number): string => `r${revision}`;
export const podName = (pod: number): string => `p${pod}`;
export const deploymentName = (revision: number): string => `${revisionName(revision)}-deployment`;

/** Everything but the pods, in the order of `resources`. */
export function objectsOf(population: Population, nowMs: number): [Resource, KubeObject[]][] {
  const all = Array.from({ length: population.running + population.atZero }, (_, revision) =>
    revisionObjects(revision, revision < population.running ? population.podsPerRevision : 0, nowMs),
  );
  return [
    [podAutoscalers, all.map(({ pa }) => pa)],
    [serverlessServices, all.map(({ sks }) => sks)],
    [metrics, all.map(({ metric }) => metric)],
    [deployments, all.map(({ deployment }) => deployment)],
  ];
}

function revisionObjects(
  revision: number,
  replicas: number,
  nowMs: number,
): { pa: PodAutoscaler; sks: ServerlessService; metric: Metric; deployment: Deployment } {
  const name = revisionName(revision);
  const created = new Date(nowMs).toISOString().replace(/\.\d+Z$/, "Z");
  const pa: PodAutoscaler = {
    apiVersion: "autoscaling.internal.knative.dev/v1alpha1",
    kind: "PodAutoscaler",
    metadata: {
      name,
      namespace,
      uid: `pa-${revision}`,
      generation: 1,
      creationTimestamp: created,
      labels: labelsOf(revision),
      annotations: {
        "autoscaling.knative.dev/target": String(targetPerPod),
        "autoscaling.knative.dev/target-utilization-percentage": "100",
      },
    },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: deploymentName(revision) },
      reachability: "Reachable",
      protocolType: "http1",
    },
  };
  const scaling = revisionScaling(pa.metadata.annotations, config, 0);
  const sks = makeServerlessService(pa, "Proxy", activatorCount(scaling, replicas, config.activatorCapacity));
  sks.metadata.generation = 1;
  sks.status = {
    observedGeneration: 1,
    serviceName: name,
    privateServiceName: `${name}-private`,
    conditions: ["ActivatorEndpointsPopulated", "EndpointsPopulated", "Ready"].map((type) => ({
      type,
      status: "True",
      lastTransitionTime: created,
    })),
  };
  const metric = makeMetric(pa, scaling, `${name}-private`);
  metric.metadata.generation = 1;
  const ready = new Conditions(metricConditions, undefined, nowMs);
  ready.markTrue("Ready");
  metric.status = { conditions: ready.list(), observedGeneration: 1 };
  const conditions = new Conditions(podAutoscalerConditions, undefined, nowMs);
  if (replicas === 0) conditions.markFalse("Active", "NoTraffic", "The target is not receiving traffic.");
  conditions.markTrue("ScaleTargetInitialized");
  pa.status = { conditions: conditions.list() };
  pa.status = podAutoscalerStatus({ pa, sks, scaling, want: replicas, ready: replicas }, nowMs);
  const deployment: Deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: deploymentName(revision), namespace, labels: labelsOf(revision), generation: 1 },
    spec: {
      replicas,
      selector: { matchLabels: { [label.revision]: name } },
      template: { metadata: { labels: labelsOf(revision) }, spec: { containers: containers(revision) } },
    },
    status: { observedGeneration: 1, replicas, readyReplicas: replicas, availableReplicas: replicas },
  };
  return { pa, sks, metric, deployment };
}

const labelsOf = (revision: number): Record<string, string> => ({
  [label.service]: `s${revision}`,
  [label.configuration]: `s${revision}`,
  [label.revision]: revisionName(revision),
  app: revisionName(revision),
});

/** JSON of one pod after another: held as objects, 100,000 would cost the bench itself a gigabyte. */
export function* podJson(population: Population): Generator<string> {
  const marks = { pod: "@pod@", revision: "@revision@", index: "@index@" };
  const template = JSON.stringify(podTemplate(marks));
  const parts = template.split(/(@pod@|@revision@|@index@)/);
  for (let pod = 0; pod < population.running * population.podsPerRevision; pod++) {
    const revision = revisionName(Math.floor(pod / population.podsPerRevision));
    let json = "";
    for (const part of parts)
      json +=
        part === marks.pod ? podName(pod) : part === marks.revision ? revision : part === marks.index ? pod + 1 : part;
    yield json;
  }
}

export const podResource: Resource = pods;

function podTemplate({ pod, revision, index }: { pod: string; revision: string; index: string }): Pod {
  const at = "2026-01-01T00:00:00Z";
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: pod,
      namespace,
      uid: `pod-${index}`,
      resourceVersion: index,
      creationTimestamp: at,
      labels: {
        [label.revision]: revision,
        [label.service]: revision,
        app: revision,
        "pod-template-hash": "5d4f8c7b6d",
      },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: `${revision}-deployment`, uid: revision, controller: true },
      ],
      managedFields: ["swell-controller", "kubelet"].map((manager) => ({
        manager,
        operation: "Update",
        apiVersion: "v1",
        time: at,
        fieldsType: "FieldsV1",
        fieldsV1: managedFields(),
      })),
    },
    spec: {
      containers: containers(revision),
      nodeName: "node-1",
      restartPolicy: "Always",
      dnsPolicy: "ClusterFirst",
      serviceAccountName: "default",
      schedulerName: "default-scheduler",
      terminationGracePeriodSeconds: 300,
      tolerations: [{ key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" }],
    },
    status: {
      phase: "Running",
      startTime: at,
      hostIP: "10.0.0.1",
      podIP: "10.1.0.1",
      podIPs: [{ ip: "10.1.0.1" }],
      qosClass: "Burstable",
      conditions: ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(
        (type) => ({
          type,
          status: "True",
          lastProbeTime: null,
          lastTransitionTime: at,
        }),
      ),
      containerStatuses: ["user-container", "queue-proxy"].map((name) => ({
        name,
        image: `registry.example.com/${name}@sha256:${"0".repeat(64)}`,
        imageID: `registry.example.com/${name}@sha256:${"0".repeat(64)}`,
        containerID: `containerd://${"0".repeat(64)}`,
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: at } },
      })),
    },
  };
}

function containers(revision: number | string): Pod["spec"]["containers"] {
  const env = Array.from({ length: 30 }, (_, index) => ({
    name: `SIDECAR_VARIABLE_${index}`,
    value: `value-${index}`,
  }));
  const image = `registry.example.com/app@sha256:${"0".repeat(64)}`;
  return [
    {
      name: "user-container",
      image,
      env: [{ name: "K_REVISION", value: String(revision) }],
      ports: [{ containerPort: 8080 }],
    },
    { name: "queue-proxy", image, env, ports: [{ containerPort: 8012 }, { containerPort: 8013 }] },
  ];
}

const managedFields = (): Record<string, unknown> =>
  Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`f:field${index}`, { "f:name": {}, "f:value": {} }]));
