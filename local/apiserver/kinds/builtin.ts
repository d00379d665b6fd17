/** The built-in kinds that are served, one line of facts each. */
import type { KubeObject } from "../../../api/meta.ts";
import { eventView } from "../event-view.ts";
import type { Kind, KindView } from "../kind.ts";
import { ageColumn, nameColumn } from "./column.ts";
import { columnsOf } from "./columns.ts";
import { defaultsOf } from "./defaults.ts";
import { knownFields } from "./known-fields.ts";
import { openApiName } from "./openapi-schema.ts";
import { strategicMergeOf } from "./strategic-merge.ts";
import { messageStructure } from "./structure.ts";
import { validationOf } from "./validation.ts";

interface Facts {
  /** Complete message name; its version is the served one. */
  message: string;
  group: string;
  plural: string;
  short?: readonly string[];
  categories?: readonly string[];
  cluster?: true;
  hasStatus?: true;
  hasScale?: true;
  hasGeneration?: true;
  view?: KindView;
  /** Field selectors as `path`, or `name=path` where the selector is not the path. */
  selectors?: readonly string[];
}

const workload = { hasStatus: true, hasGeneration: true, categories: ["all"] } as const;
const facts: readonly Facts[] = [
  {
    ...workload,
    message: "core.v1.Pod",
    group: "",
    plural: "pods",
    short: ["po"],
    selectors: [
      "spec.nodeName",
      "spec.restartPolicy",
      "spec.schedulerName",
      "spec.serviceAccountName",
      "spec.hostNetwork",
      "status.phase",
      "status.podIP",
      "status.nominatedNodeName",
    ],
  },
  {
    message: "core.v1.Service",
    group: "",
    plural: "services",
    short: ["svc"],
    categories: ["all"],
    hasStatus: true,
    selectors: ["spec.clusterIP", "spec.type"],
  },
  { message: "core.v1.Endpoints", group: "", plural: "endpoints", short: ["ep"] },
  { message: "core.v1.ConfigMap", group: "", plural: "configmaps", short: ["cm"] },
  { message: "core.v1.Secret", group: "", plural: "secrets", selectors: ["type"] },
  { message: "core.v1.ServiceAccount", group: "", plural: "serviceaccounts", short: ["sa"] },
  {
    message: "core.v1.Namespace",
    group: "",
    plural: "namespaces",
    short: ["ns"],
    cluster: true,
    hasStatus: true,
    selectors: ["status.phase"],
  },
  {
    message: "core.v1.Node",
    group: "",
    plural: "nodes",
    short: ["no"],
    cluster: true,
    hasStatus: true,
    selectors: ["spec.unschedulable"],
  },
  {
    message: "core.v1.Event",
    group: "",
    plural: "events",
    short: ["ev"],
    selectors: [
      "involvedObject.kind",
      "involvedObject.namespace",
      "involvedObject.name",
      "involvedObject.uid",
      "involvedObject.apiVersion",
      "involvedObject.resourceVersion",
      "involvedObject.fieldPath",
      "reason",
      "reportingComponent",
      "source=source.component",
      "type",
    ],
  },
  { message: "events.v1.Event", group: "events.k8s.io", plural: "events", short: ["ev"], view: eventView },
  {
    message: "core.v1.PersistentVolumeClaim",
    group: "",
    plural: "persistentvolumeclaims",
    short: ["pvc"],
    hasStatus: true,
  },
  { message: "core.v1.LimitRange", group: "", plural: "limitranges", short: ["limits"] },
  { message: "core.v1.ResourceQuota", group: "", plural: "resourcequotas", short: ["quota"], hasStatus: true },
  {
    ...workload,
    message: "apps.v1.Deployment",
    group: "apps",
    plural: "deployments",
    short: ["deploy"],
    hasScale: true,
  },
  {
    ...workload,
    message: "apps.v1.ReplicaSet",
    group: "apps",
    plural: "replicasets",
    short: ["rs"],
    hasScale: true,
    selectors: ["status.replicas"],
  },
  {
    ...workload,
    message: "apps.v1.StatefulSet",
    group: "apps",
    plural: "statefulsets",
    short: ["sts"],
    hasScale: true,
  },
  { ...workload, message: "apps.v1.DaemonSet", group: "apps", plural: "daemonsets", short: ["ds"] },
  {
    ...workload,
    message: "batch.v1.Job",
    group: "batch",
    plural: "jobs",
    selectors: ["status.successful=status.succeeded"],
  },
  { ...workload, message: "batch.v1.CronJob", group: "batch", plural: "cronjobs", short: ["cj"] },
  ...["v2", "v1"].map((version) => ({
    message: `autoscaling.${version}.HorizontalPodAutoscaler`,
    group: "autoscaling",
    plural: "horizontalpodautoscalers",
    short: ["hpa"],
    categories: ["all"],
    hasStatus: true as const,
  })),
  {
    message: "policy.v1.PodDisruptionBudget",
    group: "policy",
    plural: "poddisruptionbudgets",
    short: ["pdb"],
    hasStatus: true,
    hasGeneration: true,
  },
  { message: "discovery.v1.EndpointSlice", group: "discovery.k8s.io", plural: "endpointslices", hasGeneration: true },
  { message: "coordination.v1.Lease", group: "coordination.k8s.io", plural: "leases" },
  { message: "rbac.v1.Role", group: "rbac.authorization.k8s.io", plural: "roles" },
  { message: "rbac.v1.RoleBinding", group: "rbac.authorization.k8s.io", plural: "rolebindings" },
  { message: "rbac.v1.ClusterRole", group: "rbac.authorization.k8s.io", plural: "clusterroles", cluster: true },
  {
    message: "rbac.v1.ClusterRoleBinding",
    group: "rbac.authorization.k8s.io",
    plural: "clusterrolebindings",
    cluster: true,
  },
  ...["Mutating", "Validating"].map((is) => ({
    message: `admissionregistration.v1.${is}WebhookConfiguration`,
    group: "admissionregistration.k8s.io",
    plural: `${is.toLowerCase()}webhookconfigurations`,
    categories: ["api-extensions"],
    cluster: true as const,
    hasGeneration: true as const,
  })),
  {
    message: "apiextensions.v1.CustomResourceDefinition",
    group: "apiextensions.k8s.io",
    plural: "customresourcedefinitions",
    short: ["crd", "crds"],
    categories: ["api-extensions"],
    cluster: true,
    hasStatus: true,
    hasGeneration: true,
  },
  {
    message: "networking.v1.Ingress",
    group: "networking.k8s.io",
    plural: "ingresses",
    short: ["ing"],
    hasStatus: true,
    hasGeneration: true,
  },
  {
    message: "networking.v1.NetworkPolicy",
    group: "networking.k8s.io",
    plural: "networkpolicies",
    short: ["netpol"],
    hasGeneration: true,
  },
  {
    message: "scheduling.v1.PriorityClass",
    group: "scheduling.k8s.io",
    plural: "priorityclasses",
    short: ["pc"],
    cluster: true,
    hasGeneration: true,
  },
  {
    message: "storage.v1.StorageClass",
    group: "storage.k8s.io",
    plural: "storageclasses",
    short: ["sc"],
    cluster: true,
  },
];

export const everyVerb: readonly string[] = [
  "create",
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "update",
  "watch",
];

export function builtinKinds(): Kind[] {
  return facts.map((fact) => {
    const [, version = "", kind = ""] = fact.message.split(".");
    const resource = { group: fact.group, version, plural: fact.plural, kind, namespaced: fact.cluster !== true };
    return {
      resource,
      singular: kind.toLowerCase(),
      listKind: `${kind}List`,
      shortNames: fact.short ?? [],
      categories: fact.categories ?? [],
      verbs: kind === "Namespace" ? everyVerb.filter((verb) => verb !== "deletecollection") : everyVerb,
      isCustom: false,
      hasStatus: fact.hasStatus ?? false,
      ...(fact.hasScale && { scale: scalePaths }),
      fieldSelectors: Object.fromEntries((fact.selectors ?? []).map(fieldSelector)),
      columns: columnsOf[fact.message] ?? [nameColumn, ageColumn],
      hasGeneration: fact.hasGeneration ?? false,
      openApiSchema: { $ref: `#/components/schemas/${openApiName(fact.message)}` },
      prune: knownFields(fact.message),
      applyDefaults: defaultsOf[fact.message] ?? (() => {}),
      validate: validationOf(fact.message, resource),
      strategicMerge: strategicMergeOf(fact.message),
      structure: messageStructure(fact.message),
      ...(fact.view && { view: fact.view }),
      message: fact.message,
    };
  });
}

const scalePaths = {
  specReplicasPath: ".spec.replicas",
  statusReplicasPath: ".status.replicas",
  labelSelectorPath: ".spec.selector",
};

function fieldSelector(selector: string): [string, (object: KubeObject) => string] {
  const [name = "", path = name] = selector.split("=");
  const steps = path.split(".");
  return [
    name,
    (object) => {
      let value: unknown = object;
      for (const step of steps) value = (value as Record<string, unknown> | undefined)?.[step];
      if (value !== undefined && value !== null) return typeof value === "string" ? value : JSON.stringify(value);
      return name === "spec.unschedulable" || name === "spec.hostNetwork" ? "false" : "";
    },
  ];
}
