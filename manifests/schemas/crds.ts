/** Every CustomResourceDefinition of the platform (serving-api 1.1-1.9). */
import { revisionSpec, revisionTemplate } from "./pod-spec.ts";
import {
  anything,
  boolean,
  int32,
  int64,
  intOrString,
  list,
  object,
  string,
  stringMap,
  strings,
  type Schema,
} from "./schema.ts";

export interface CrdSource {
  group: string;
  version: string;
  kind: string;
  plural: string;
  shortNames: string[];
  categories: string[];
  scope: "Namespaced" | "Cluster";
  labels?: Record<string, string>;
  columns: Column[];
  spec: Schema;
  /** Absent: the status subresource is declared without a schema of its own. */
  status?: Schema;
}

interface Column {
  name: string;
  type: "string" | "integer";
  jsonPath: string;
}

const column = (name: string, jsonPath: string, type: Column["type"] = "string"): Column => ({ name, type, jsonPath });
const ready = column("Ready", ".status.conditions[?(@.type=='Ready')].status");
const reason = column("Reason", ".status.conditions[?(@.type=='Ready')].reason");
const url = column("URL", ".status.url");
const latest = [
  column("LatestCreated", ".status.latestCreatedRevisionName"),
  column("LatestReady", ".status.latestReadyRevisionName"),
];

const conditions = list(
  object({
    lastTransitionTime: string,
    message: string,
    reason: string,
    severity: string,
    "status!": string,
    "type!": string,
  }),
);
const status = (properties: Record<string, Schema> = {}): Schema =>
  object({ annotations: stringMap, conditions, observedGeneration: int64, ...properties });

const addressable = object({ CACerts: string, audience: string, name: string, url: string });
const traffic = list(
  object({
    configurationName: string,
    latestRevision: boolean,
    percent: int64,
    revisionName: string,
    tag: string,
    url: string,
  }),
);
const routeStatus = { address: addressable, traffic, url: string };
const latestStatus = { latestCreatedRevisionName: string, latestReadyRevisionName: string };
// What is missing is for the webhook to say.
const objectReference = object({ apiVersion: string, kind: string, name: string });
const loadBalancer = object({
  ingress: list(object({ domain: string, domainInternal: string, ip: string, meshOnly: boolean })),
});
const headers = { type: "object", additionalProperties: string } as const;

const split = object({
  appendHeaders: headers,
  percent: int64,
  "serviceName!": string,
  "serviceNamespace!": string,
  "servicePort!": intOrString,
});
const ingressPath = object({
  appendHeaders: headers,
  headers: { type: "object", additionalProperties: object({ "exact!": string }) },
  path: string,
  rewriteHost: string,
  "splits!": list(split),
});

const containerStatuses = list(object({ imageDigest: string, name: string }));
const serving = {
  group: "serving.knative.dev",
  version: "v1",
  scope: "Namespaced",
  categories: ["all", "knative", "serving"],
} as const;
const autoscaling = {
  group: "autoscaling.internal.knative.dev",
  version: "v1alpha1",
  scope: "Namespaced",
  categories: ["knative-internal", "autoscaling"],
} as const;
const networking = {
  group: "networking.internal.knative.dev",
  version: "v1alpha1",
  scope: "Namespaced",
  categories: ["knative-internal", "networking"],
  labels: { "app.kubernetes.io/component": "networking" },
} as const;

type Fixed = "group" | "version" | "scope" | "categories" | "labels";
type Own = Omit<CrdSource, Fixed> & { scope?: CrdSource["scope"]; labels?: Record<string, string>; version?: string };
const of = (
  fixed: Pick<CrdSource, "group"> & {
    version: string;
    scope: CrdSource["scope"];
    categories: readonly string[];
    labels?: Record<string, string>;
  },
  own: Own,
): CrdSource => ({
  ...fixed,
  ...own,
  categories: [...fixed.categories],
});

export const crds: readonly CrdSource[] = [
  of(serving, {
    kind: "Service",
    plural: "services",
    shortNames: ["kservice", "ksvc"],
    labels: { "duck.knative.dev/addressable": "true", "duck.knative.dev/podspecable": "true" },
    columns: [url, ...latest, ready, reason],
    spec: object({ template: revisionTemplate, traffic }),
    status: status({ ...latestStatus, ...routeStatus }),
  }),
  of(serving, {
    kind: "Configuration",
    plural: "configurations",
    shortNames: ["config", "cfg"],
    labels: { "duck.knative.dev/podspecable": "true" },
    columns: [...latest, ready, reason],
    spec: object({ template: revisionTemplate }),
    status: status(latestStatus),
  }),
  of(serving, {
    kind: "Revision",
    plural: "revisions",
    shortNames: ["rev"],
    columns: [
      column("Config Name", ".metadata.labels['serving\\.knative\\.dev/configuration']"),
      column("Generation", ".metadata.labels['serving\\.knative\\.dev/configurationGeneration']"),
      ready,
      reason,
      column("Actual Replicas", ".status.actualReplicas", "integer"),
      column("Desired Replicas", ".status.desiredReplicas", "integer"),
    ],
    spec: revisionSpec,
    status: status({
      actualReplicas: int32,
      containerStatuses,
      desiredReplicas: int32,
      initContainerStatuses: containerStatuses,
      logUrl: string,
    }),
  }),
  of(serving, {
    kind: "Route",
    plural: "routes",
    shortNames: ["rt"],
    labels: { "duck.knative.dev/addressable": "true" },
    columns: [url, ready, reason],
    spec: object({ traffic }),
    status: status(routeStatus),
  }),
  of(serving, {
    version: "v1beta1",
    kind: "DomainMapping",
    plural: "domainmappings",
    shortNames: ["dm"],
    columns: [url, ready, reason],
    spec: object({
      "ref!": object({
        address: string,
        apiVersion: string,
        group: string,
        "kind!": string,
        "name!": string,
        namespace: string,
      }),
      tls: object({ "secretName!": string }),
    }),
    status: status({ address: addressable, url: string }),
  }),
  of(autoscaling, {
    kind: "PodAutoscaler",
    plural: "podautoscalers",
    shortNames: ["kpa", "pa"],
    columns: [
      column("DesiredScale", ".status.desiredScale", "integer"),
      column("ActualScale", ".status.actualScale", "integer"),
      ready,
      reason,
    ],
    spec: object({
      containerConcurrency: int64,
      "protocolType!": string,
      reachability: string,
      "scaleTargetRef!": { ...objectReference, "x-kubernetes-map-type": "atomic" },
    }),
    status: status({ actualScale: int32, desiredScale: int32, metricsServiceName: string, serviceName: string }),
  }),
  of(autoscaling, {
    kind: "Metric",
    plural: "metrics",
    shortNames: [],
    columns: [ready, reason],
    spec: object({ "panicWindow!": int64, "scrapeTarget!": string, "stableWindow!": int64 }),
    status: status(),
  }),
  of(networking, {
    kind: "Ingress",
    plural: "ingresses",
    shortNames: ["kingress", "king"],
    columns: [ready, reason],
    spec: object({
      httpOption: string,
      rules: list(object({ hosts: strings, http: object({ "paths!": list(ingressPath) }), visibility: string })),
      tls: list(object({ hosts: strings, secretName: string, secretNamespace: string })),
    }),
    status: status({ privateLoadBalancer: loadBalancer, publicLoadBalancer: loadBalancer }),
  }),
  of(networking, {
    kind: "ServerlessService",
    plural: "serverlessservices",
    shortNames: ["sks"],
    columns: [
      column("Mode", ".spec.mode"),
      column("Activators", ".spec.numActivators", "integer"),
      column("ServiceName", ".status.serviceName"),
      column("PrivateServiceName", ".status.privateServiceName"),
      ready,
      reason,
    ],
    spec: object({
      mode: string,
      numActivators: int32,
      "objectRef!": { ...objectReference, "x-kubernetes-map-type": "atomic" },
      "protocolType!": string,
    }),
    status: status({ privateServiceName: string, serviceName: string }),
  }),
  of(networking, {
    kind: "Certificate",
    plural: "certificates",
    shortNames: ["kcert"],
    columns: [ready, reason],
    spec: object({ "dnsNames!": strings, domain: string, "secretName!": string }),
    status: status({
      http01Challenges: list(
        object({ serviceName: string, serviceNamespace: string, servicePort: intOrString, url: string }),
      ),
      notAfter: { type: "string", format: "date-time" },
    }),
  }),
  of(networking, {
    kind: "ClusterDomainClaim",
    plural: "clusterdomainclaims",
    shortNames: ["cdc"],
    scope: "Cluster",
    columns: [],
    spec: object({ "namespace!": string }),
  }),
  of(
    {
      group: "caching.internal.knative.dev",
      version: "v1alpha1",
      scope: "Namespaced",
      categories: ["knative-internal", "caching"],
    },
    {
      kind: "Image",
      plural: "images",
      shortNames: [],
      columns: [column("Image", ".spec.image")],
      spec: object({ "image!": string, imagePullSecrets: list(object({ name: string })), serviceAccountName: string }),
      status: { ...anything },
    },
  ),
];
