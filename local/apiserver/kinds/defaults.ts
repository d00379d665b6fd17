/** Defaults of the built-in kinds, by message name; each fills its object in place and may run on every write. */
import type { KubeObject } from "../../../api/meta.ts";
import { child, objects, type Json } from "./json-object.ts";
import { podDefaults, templateDefaults } from "./pod-defaults.ts";

const fill = (target: Json | undefined, values: Json): void => {
  if (target === undefined) return;
  for (const [name, value] of Object.entries(values)) target[name] ??= structuredClone(value);
};

type Defaults = (object: Json) => void;
const ofSpec =
  (defaults: (spec: Json) => void): Defaults =>
  (object) => {
    const spec = child(object, "spec");
    if (spec !== undefined) defaults(spec);
  };

const deployment = ofSpec((spec) => {
  fill(spec, { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, strategy: {} });
  const strategy = child(spec, "strategy");
  if (strategy !== undefined) {
    strategy["type"] ||= "RollingUpdate";
    if (strategy["type"] === "RollingUpdate") {
      fill(strategy, { rollingUpdate: {} });
      fill(child(strategy, "rollingUpdate"), { maxUnavailable: "25%", maxSurge: "25%" });
    }
  }
  templateDefaults(child(spec, "template"));
});

const replicaSet = ofSpec((spec) => {
  fill(spec, { replicas: 1 });
  templateDefaults(child(spec, "template"));
});

const statefulSet = ofSpec((spec) => {
  fill(spec, {
    replicas: 1,
    revisionHistoryLimit: 10,
    podManagementPolicy: "OrderedReady",
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 0 } },
    persistentVolumeClaimRetentionPolicy: { whenDeleted: "Retain", whenScaled: "Retain" },
  });
  templateDefaults(child(spec, "template"));
});

const daemonSet = ofSpec((spec) => {
  fill(spec, {
    revisionHistoryLimit: 10,
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
  });
  templateDefaults(child(spec, "template"));
});

function jobSpec(spec: Json | undefined): void {
  if (spec === undefined) return;
  if (spec["completions"] === undefined && spec["parallelism"] === undefined) spec["completions"] = 1;
  fill(spec, {
    parallelism: 1,
    backoffLimit: 6,
    completionMode: "NonIndexed",
    suspend: false,
    podReplacementPolicy: "TerminatingOrFailed",
  });
  templateDefaults(child(spec, "template"));
}

const cronJob = ofSpec((spec) => {
  fill(spec, {
    concurrencyPolicy: "Allow",
    suspend: false,
    successfulJobsHistoryLimit: 3,
    failedJobsHistoryLimit: 1,
  });
  templateDefaults(child(child(child(spec, "jobTemplate"), "spec"), "template"));
});

const service = ofSpec((spec) => {
  spec["sessionAffinity"] ||= "None";
  spec["type"] ||= "ClusterIP";
  if (spec["sessionAffinity"] === "ClientIP")
    fill(spec, { sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } });
  for (const port of objects(spec["ports"])) {
    port["protocol"] ||= "TCP";
    port["targetPort"] ||= port["port"];
  }
  if (spec["type"] === "ExternalName") return;
  fill(spec, { internalTrafficPolicy: "Cluster", ipFamilies: ["IPv4"], ipFamilyPolicy: "SingleStack" });
  if (spec["type"] === "LoadBalancer") fill(spec, { allocateLoadBalancerNodePorts: true });
  if (spec["type"] !== "ClusterIP") fill(spec, { externalTrafficPolicy: "Cluster" });
});

const endpoints: Defaults = (object) => {
  for (const subset of objects(object["subsets"]))
    for (const port of objects(subset["ports"])) fill(port, { protocol: "TCP" });
};

const endpointSlice: Defaults = (object) => {
  for (const port of objects(object["ports"])) fill(port, { name: "", protocol: "TCP" });
};

const namespace: Defaults = (object) => {
  const metadata = child(object, "metadata");
  fill(metadata, { labels: {} });
  const labels = child(metadata, "labels");
  if (labels !== undefined && metadata?.["name"] !== undefined)
    labels["kubernetes.io/metadata.name"] = metadata["name"];
  fill(object, { spec: {}, status: {} });
  fill(child(object, "status"), { phase: "Active" });
};

const secret: Defaults = (object) => {
  object["type"] ||= "Opaque";
  const plain = child(object, "stringData");
  if (plain === undefined) return;
  // Write-only: what is stored and read is `data` alone.
  const data: Json = { ...child(object, "data") };
  for (const [key, text] of Object.entries(plain)) data[key] = Buffer.from(String(text)).toString("base64");
  object["data"] = data;
  delete object["stringData"];
};

const claim: Defaults = (object) => {
  fill(child(object, "spec"), { volumeMode: "Filesystem" });
  fill(object, { status: {} });
  fill(child(object, "status"), { phase: "Pending" });
};

const cpuTarget = {
  type: "Resource",
  resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } },
};

const rbacGroup = "rbac.authorization.k8s.io";
const binding: Defaults = (object) => {
  const roleRef = child(object, "roleRef");
  if (roleRef !== undefined) roleRef["apiGroup"] ||= rbacGroup;
  for (const subject of objects(object["subjects"]))
    if (subject["kind"] !== "ServiceAccount") subject["apiGroup"] ||= rbacGroup;
};

const webhooks =
  (isMutating: boolean): Defaults =>
  (object) => {
    for (const webhook of objects(object["webhooks"])) {
      fill(webhook, {
        failurePolicy: "Fail",
        matchPolicy: "Equivalent",
        namespaceSelector: {},
        objectSelector: {},
        timeoutSeconds: 10,
        ...(isMutating && { reinvocationPolicy: "Never" }),
      });
      for (const rule of objects(webhook["rules"])) fill(rule, { scope: "*" });
      fill(child(child(webhook, "clientConfig"), "service"), { port: 443 });
    }
  };

const crd = ofSpec((spec) => {
  const names = child(spec, "names");
  if (names !== undefined) {
    const kind = typeof names["kind"] === "string" ? names["kind"] : "";
    names["singular"] ||= kind.toLowerCase();
    names["listKind"] ||= `${kind}List`;
  }
  fill(spec, { conversion: { strategy: "None" } });
});

const networkPolicy = ofSpec((spec) => {
  for (const direction of ["ingress", "egress"])
    for (const rule of objects(spec[direction]))
      for (const port of objects(rule["ports"])) fill(port, { protocol: "TCP" });
  fill(spec, { policyTypes: objects(spec["egress"]).length > 0 ? ["Ingress", "Egress"] : ["Ingress"] });
});

const table: Readonly<Record<string, Defaults>> = {
  "core.v1.Pod": podDefaults,
  "core.v1.Service": service,
  "core.v1.Endpoints": endpoints,
  "core.v1.Secret": secret,
  "core.v1.Namespace": namespace,
  "core.v1.PersistentVolumeClaim": claim,
  "apps.v1.Deployment": deployment,
  "apps.v1.ReplicaSet": replicaSet,
  "apps.v1.StatefulSet": statefulSet,
  "apps.v1.DaemonSet": daemonSet,
  "batch.v1.Job": (object) => jobSpec(child(object, "spec")),
  "batch.v1.CronJob": cronJob,
  "autoscaling.v1.HorizontalPodAutoscaler": ofSpec((spec) => fill(spec, { minReplicas: 1 })),
  "autoscaling.v2.HorizontalPodAutoscaler": ofSpec((spec) => fill(spec, { minReplicas: 1, metrics: [cpuTarget] })),
  "discovery.v1.EndpointSlice": endpointSlice,
  "rbac.v1.RoleBinding": binding,
  "rbac.v1.ClusterRoleBinding": binding,
  "admissionregistration.v1.MutatingWebhookConfiguration": webhooks(true),
  "admissionregistration.v1.ValidatingWebhookConfiguration": webhooks(false),
  "apiextensions.v1.CustomResourceDefinition": crd,
  "networking.v1.NetworkPolicy": networkPolicy,
  "scheduling.v1.PriorityClass": (object) => fill(object, { preemptionPolicy: "PreemptLowerPriority" }),
  "storage.v1.StorageClass": (object) => fill(object, { reclaimPolicy: "Delete", volumeBindingMode: "Immediate" }),
};

export const defaultsOf = table as unknown as Readonly<Record<string, ((object: KubeObject) => void) | undefined>>;
