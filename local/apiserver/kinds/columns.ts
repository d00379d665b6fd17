/** The columns of the built-in kinds, as a cluster's own `kubectl get` shows them. */
import type { KubeObject } from "../../../api/meta.ts";
import { eventView } from "../event-view.ts";
import type { Column } from "../kind.ts";
import { ageSince } from "./age.ts";
import { ageColumn, column, createdAtColumn, nameColumn } from "./column.ts";
import { podColumns } from "./pod-columns.ts";
import { selectorText } from "./selector-text.ts";
import { at, count, few, list, number, numberColumn, or, text, textColumn } from "./stored-value.ts";
import { workloadColumns } from "./workload-columns.ts";

const service: Column[] = [
  nameColumn,
  textColumn("Type", "spec", "type"),
  column("Cluster-IP", "string", (object) =>
    text(object, "spec", "type") === "ExternalName" ? "<none>" : or(text(object, "spec", "clusterIP"), "<none>"),
  ),
  column("External-IP", "string", externalIp),
  column("Port(s)", "string", (object) => or(list(object, "spec", "ports").map(servicePort).join(","), "<none>")),
  ageColumn,
  column(
    "Selector",
    "string",
    (object) => or(selectorText({ matchLabels: at(object, "spec", "selector") }), "<none>"),
    1,
  ),
];

function servicePort(port: unknown): string {
  const nodePort = number(port, "nodePort");
  return `${text(port, "port")}${nodePort > 0 ? `:${nodePort}` : ""}/${or(text(port, "protocol"), "TCP")}`;
}

function externalIp(object: KubeObject): string {
  const declared = list(object, "spec", "externalIPs").join(",");
  switch (text(object, "spec", "type")) {
    case "ExternalName":
      return text(object, "spec", "externalName");
    case "LoadBalancer": {
      const ingress = list(object, "status", "loadBalancer", "ingress").map(
        (one) => text(one, "ip") || text(one, "hostname"),
      );
      return or([...ingress, ...(declared === "" ? [] : [declared])].join(","), "<pending>");
    }
    default:
      return or(declared, "<none>");
  }
}

function endpoints(object: KubeObject): string {
  const all: string[] = [];
  for (const subset of list(object, "subsets")) {
    const addresses = list(subset, "addresses").map((one) => text(one, "ip"));
    const ports = list(subset, "ports");
    if (ports.length === 0) all.push(...addresses);
    for (const port of ports) all.push(...addresses.map((address) => `${address}:${text(port, "port")}`));
  }
  return or(few(all, 3), "<none>");
}

const endpointSlice: Column[] = [
  nameColumn,
  textColumn("AddressType", "addressType"),
  column("Ports", "string", (object) =>
    or(
      few(
        list(object, "ports").map((port) => or(text(port, "port"), "*")),
        3,
      ),
      "<unset>",
    ),
  ),
  column("Endpoints", "string", (object) =>
    or(
      few(
        list(object, "endpoints").flatMap((one) => list(one, "addresses").map(String)),
        3,
      ),
      "<unset>",
    ),
  ),
  ageColumn,
];

const event: Column[] = [
  column("Last Seen", "string", (object, nowMs) =>
    ageSince(
      at(object, "series", "lastObservedTime") ??
        at(object, "lastTimestamp") ??
        at(object, "eventTime") ??
        object.metadata.creationTimestamp,
      nowMs,
    ),
  ),
  textColumn("Type", "type"),
  textColumn("Reason", "reason"),
  column(
    "Object",
    "string",
    (object) => `${text(object, "involvedObject", "kind").toLowerCase()}/${text(object, "involvedObject", "name")}`,
  ),
  column("Subobject", "string", (object) => text(object, "involvedObject", "fieldPath"), 1),
  column(
    "Source",
    "string",
    (object) => {
      const host = text(object, "source", "host");
      return (
        (text(object, "source", "component") || text(object, "reportingComponent")) + (host === "" ? "" : `, ${host}`)
      );
    },
    1,
  ),
  column("Message", "string", (object) => text(object, "message").trim()),
  column(
    "First Seen",
    "string",
    (object, nowMs) =>
      ageSince(at(object, "firstTimestamp") ?? at(object, "eventTime") ?? object.metadata.creationTimestamp, nowMs),
    1,
  ),
  column("Count", "string", (object) => Math.max(1, number(object, "series", "count") || number(object, "count")), 1),
  column("Name", "string", (object) => object.metadata.name ?? "", 1),
];

const node: Column[] = [
  nameColumn,
  column("Status", "string", (object) => {
    const ready = list(object, "status", "conditions").find((one) => text(one, "type") === "Ready");
    const words = [ready === undefined ? "Unknown" : text(ready, "status") === "True" ? "Ready" : "NotReady"];
    if (at(object, "spec", "unschedulable") === true) words.push("SchedulingDisabled");
    return words.join(",");
  }),
  column("Roles", "string", ({ metadata }) => {
    const prefix = "node-role.kubernetes.io/";
    const roles = Object.entries(metadata.labels ?? {}).flatMap(([key, value]) =>
      key.startsWith(prefix) && key !== prefix
        ? [key.slice(prefix.length)]
        : key === "kubernetes.io/role" && value !== ""
          ? [value]
          : [],
    );
    return or([...new Set(roles)].sort().join(","), "<none>");
  }),
  ageColumn,
  textColumn("Version", "status", "nodeInfo", "kubeletVersion"),
  ...(["InternalIP", "ExternalIP"] as const).map((type) =>
    column(
      type.replace("IP", "-IP"),
      "string",
      (object) =>
        or(
          text(
            list(object, "status", "addresses").find((one) => text(one, "type") === type),
            "address",
          ),
          "<none>",
        ),
      1,
    ),
  ),
  column("OS-Image", "string", (object) => or(text(object, "status", "nodeInfo", "osImage"), "<unknown>"), 1),
  column(
    "Kernel-Version",
    "string",
    (object) => or(text(object, "status", "nodeInfo", "kernelVersion"), "<unknown>"),
    1,
  ),
  column(
    "Container-Runtime",
    "string",
    (object) => or(text(object, "status", "nodeInfo", "containerRuntimeVersion"), "<unknown>"),
    1,
  ),
];

const subjects = (name: string, kind: string): Column =>
  column(
    name,
    "string",
    (object) =>
      list(object, "subjects")
        .filter((one) => text(one, "kind") === kind)
        .map((one) =>
          kind === "ServiceAccount" ? `${text(one, "namespace")}/${text(one, "name")}` : text(one, "name"),
        )
        .join(", "),
    1,
  );
const binding: Column[] = [
  nameColumn,
  column("Role", "string", (object) => `${text(object, "roleRef", "kind")}/${text(object, "roleRef", "name")}`),
  ageColumn,
  subjects("Users", "User"),
  subjects("Groups", "Group"),
  subjects("ServiceAccounts", "ServiceAccount"),
];
const created = [nameColumn, createdAtColumn];
const webhooks = [nameColumn, column("Webhooks", "integer", (object) => list(object, "webhooks").length), ageColumn];

const claim: Column[] = [
  nameColumn,
  column("Status", "string", (object) =>
    object.metadata.deletionTimestamp === undefined ? text(object, "status", "phase") : "Terminating",
  ),
  textColumn("Volume", "spec", "volumeName"),
  textColumn("Capacity", "status", "capacity", "storage"),
  column("Access Modes", "string", (object) =>
    list(object, "status", "accessModes")
      .map((mode) => String(mode).replace(/[a-z]/g, ""))
      .join(","),
  ),
  textColumn("StorageClass", "spec", "storageClassName"),
  column("VolumeAttributesClass", "string", (object) =>
    or(text(object, "spec", "volumeAttributesClassName"), "<unset>"),
  ),
  ageColumn,
  column("VolumeMode", "string", (object) => or(text(object, "spec", "volumeMode"), "<unset>"), 1),
];

const ingressHosts = (object: KubeObject): string =>
  or(
    few(
      list(object, "spec", "rules").map((rule) => or(text(rule, "host"), "*")),
      3,
    ),
    "*",
  );

/** By message name; a kind without an entry shows name and age. */
export const columnsOf: Readonly<Record<string, readonly Column[]>> = {
  "core.v1.Pod": podColumns,
  "core.v1.Service": service,
  "core.v1.Endpoints": [nameColumn, column("Endpoints", "string", endpoints), ageColumn],
  "core.v1.ConfigMap": [
    nameColumn,
    column("Data", "string", (object) => count(object, "data") + count(object, "binaryData")),
    ageColumn,
  ],
  "core.v1.Secret": [
    nameColumn,
    textColumn("Type", "type"),
    column("Data", "string", (object) => count(object, "data")),
    ageColumn,
  ],
  "core.v1.ServiceAccount": [
    nameColumn,
    column("Secrets", "string", (object) => list(object, "secrets").length),
    ageColumn,
  ],
  "core.v1.Namespace": [nameColumn, textColumn("Status", "status", "phase"), ageColumn],
  "core.v1.Node": node,
  "core.v1.Event": event,
  "events.v1.Event": event.map((one) => ({
    ...one,
    cell: (object, nowMs) => one.cell(eventView.toStored(object), nowMs),
  })),
  "core.v1.PersistentVolumeClaim": claim,
  "core.v1.LimitRange": created,
  ...workloadColumns,
  "policy.v1.PodDisruptionBudget": [
    nameColumn,
    column("Min Available", "string", (object) => or(text(object, "spec", "minAvailable"), "N/A")),
    column("Max Unavailable", "string", (object) => or(text(object, "spec", "maxUnavailable"), "N/A")),
    numberColumn("Allowed Disruptions", "status", "disruptionsAllowed"),
    ageColumn,
  ],
  "discovery.v1.EndpointSlice": endpointSlice,
  "coordination.v1.Lease": [nameColumn, textColumn("Holder", "spec", "holderIdentity"), ageColumn],
  "rbac.v1.Role": created,
  "rbac.v1.ClusterRole": created,
  "rbac.v1.RoleBinding": binding,
  "rbac.v1.ClusterRoleBinding": binding,
  "admissionregistration.v1.MutatingWebhookConfiguration": webhooks,
  "admissionregistration.v1.ValidatingWebhookConfiguration": webhooks,
  "apiextensions.v1.CustomResourceDefinition": created,
  "networking.v1.Ingress": [
    nameColumn,
    column("Class", "string", (object) => or(text(object, "spec", "ingressClassName"), "<none>")),
    column("Hosts", "string", ingressHosts),
    column("Address", "string", (object) =>
      list(object, "status", "loadBalancer", "ingress")
        .map((one) => text(one, "ip") || text(one, "hostname"))
        .join(","),
    ),
    column("Ports", "string", (object) => (list(object, "spec", "tls").length > 0 ? "80, 443" : "80")),
    ageColumn,
  ],
  "networking.v1.NetworkPolicy": [
    nameColumn,
    column("Pod-Selector", "string", (object) => or(selectorText(at(object, "spec", "podSelector")), "<none>")),
    ageColumn,
  ],
  "scheduling.v1.PriorityClass": [
    nameColumn,
    numberColumn("Value", "value"),
    column("Global-Default", "boolean", (object) => at(object, "globalDefault") === true),
    ageColumn,
    column("PreemptionPolicy", "string", (object) => or(text(object, "preemptionPolicy"), "PreemptLowerPriority")),
  ],
  "storage.v1.StorageClass": [
    nameColumn,
    textColumn("Provisioner", "provisioner"),
    column("ReclaimPolicy", "string", (object) => or(text(object, "reclaimPolicy"), "Delete")),
    column("VolumeBindingMode", "string", (object) => or(text(object, "volumeBindingMode"), "Immediate")),
    column("AllowVolumeExpansion", "string", (object) => at(object, "allowVolumeExpansion") === true),
    ageColumn,
  ],
};
