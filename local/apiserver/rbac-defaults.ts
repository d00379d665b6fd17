/** The roles and bindings that every Kubernetes cluster starts with, as far as something here is asked for by them. */
import type { KubeObject, LabelSelector } from "../../api/meta.ts";
import { isAlreadyExists } from "../../kube/client.ts";
import { ownCall, type User } from "./call.ts";
import { copyOf } from "./json-value.ts";
import {
  clusterRoleBindings,
  clusterRoles,
  type PolicyRule,
  type Role,
  type RoleBinding,
  type Subject,
} from "./rbac.ts";
import type { Rest } from "./rest.ts";

const rbacGroup = "rbac.authorization.k8s.io";
const read = ["get", "list", "watch"];
const write = ["create", "delete", "deletecollection", "patch", "update"];
const all = [...write, ...read].sort();

const rule = (apiGroup: string, resources: readonly string[], verbs: readonly string[]): PolicyRule => ({
  apiGroups: [apiGroup],
  resources: [...resources],
  verbs: [...verbs],
});
const paths = (nonResourceURLs: readonly string[]): PolicyRule => ({
  nonResourceURLs: [...nonResourceURLs],
  verbs: ["get"],
});

const health = ["/healthz", "/livez", "/readyz", "/version", "/version/"];
/** Reached through the API server into a pod: to open one is to act in it. */
const intoPods = ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy"];
const apps = ["daemonsets", "deployments", "replicasets", "statefulsets"];
const appScales = ["deployments/scale", "replicasets/scale", "statefulsets/scale"];
const withStatus = (resources: readonly string[]): string[] => resources.flatMap((one) => [one, `${one}/status`]);

const viewRules: PolicyRule[] = [
  rule(
    "",
    ["configmaps", "endpoints", ...withStatus(["persistentvolumeclaims", "pods", "services"]), "serviceaccounts"],
    read,
  ),
  rule("", ["events", "limitranges", "namespaces", "namespaces/status", "pods/log"], read),
  rule("", withStatus(["resourcequotas"]), read),
  rule("discovery.k8s.io", ["endpointslices"], read),
  rule("events.k8s.io", ["events"], read),
  rule("apps", [...withStatus(apps), ...appScales, "controllerrevisions"], read),
  rule("autoscaling", withStatus(["horizontalpodautoscalers"]), read),
  rule("batch", withStatus(["cronjobs", "jobs"]), read),
  rule("policy", withStatus(["poddisruptionbudgets"]), read),
  rule("networking.k8s.io", [...withStatus(["ingresses"]), "networkpolicies"], read),
];

const editRules: PolicyRule[] = [
  rule("", [...intoPods, "secrets", "services/proxy"], read),
  rule("", ["serviceaccounts"], ["impersonate"]),
  rule("", ["pods", ...intoPods], write),
  rule("", ["pods/eviction"], ["create"]),
  rule("", ["configmaps", "events", "persistentvolumeclaims", "secrets", "serviceaccounts"], write),
  rule("", ["services", "services/proxy"], write),
  rule("", ["serviceaccounts/token"], ["create"]),
  rule("events.k8s.io", ["events"], write),
  rule("apps", [...apps, ...appScales], write),
  rule("autoscaling", ["horizontalpodautoscalers"], write),
  rule("batch", ["cronjobs", "jobs"], write),
  rule("policy", ["poddisruptionbudgets"], write),
  rule("networking.k8s.io", ["ingresses", "networkpolicies"], write),
  rule("coordination.k8s.io", ["leases"], all),
];

const adminRules: PolicyRule[] = [
  rule("authorization.k8s.io", ["localsubjectaccessreviews"], ["create"]),
  rule(rbacGroup, ["rolebindings", "roles"], all),
];

interface DefaultRole {
  name: string;
  rules: PolicyRule[];
  labels?: Record<string, string>;
  /** It is made up of the roles with this label. */
  aggregates?: string;
}

const aggregateTo = (role: string): string => `${rbacGroup}/aggregate-to-${role}`;

const roles: readonly DefaultRole[] = [
  {
    name: "cluster-admin",
    rules: [
      { apiGroups: ["*"], resources: ["*"], verbs: ["*"] },
      { nonResourceURLs: ["*"], verbs: ["*"] },
    ],
  },
  { name: "admin", rules: [], aggregates: aggregateTo("admin") },
  { name: "edit", rules: [], aggregates: aggregateTo("edit"), labels: { [aggregateTo("admin")]: "true" } },
  { name: "view", rules: [], aggregates: aggregateTo("view"), labels: { [aggregateTo("edit")]: "true" } },
  { name: "system:aggregate-to-admin", rules: adminRules, labels: { [aggregateTo("admin")]: "true" } },
  { name: "system:aggregate-to-edit", rules: editRules, labels: { [aggregateTo("edit")]: "true" } },
  { name: "system:aggregate-to-view", rules: viewRules, labels: { [aggregateTo("view")]: "true" } },
  {
    name: "system:discovery",
    rules: [paths(["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", ...health])],
  },
  { name: "system:public-info-viewer", rules: [paths(health)] },
  {
    name: "system:basic-user",
    rules: [
      rule("authorization.k8s.io", ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"]),
      rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
    ],
  },
  {
    name: "system:auth-delegator",
    rules: [
      rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
      rule("authorization.k8s.io", ["subjectaccessreviews"], ["create"]),
    ],
  },
];

const bindings: Readonly<Record<string, readonly string[]>> = {
  "cluster-admin": ["system:masters"],
  "system:discovery": ["system:authenticated"],
  "system:public-info-viewer": ["system:authenticated", "system:unauthenticated"],
  "system:basic-user": ["system:authenticated"],
};

const server: User = { username: "system:apiserver", groups: ["system:masters"] };

/** Creates what is missing; what somebody changed stays changed. */
export async function createDefaultRoles(rest: Rest): Promise<void> {
  const metadataOf = (name: string, labels: Record<string, string> = {}) => ({
    name,
    labels: { "kubernetes.io/bootstrapping": "rbac-defaults", ...labels },
    annotations: { [`${rbacGroup}/autoupdate`]: "true" },
  });
  async function put(of: typeof clusterRoles, object: KubeObject): Promise<void> {
    const kind = rest.kinds.find(of.group, of.version, of.plural)!;
    await rest.create(ownCall(server, kind, "", ""), copyOf(object)).catch((error: unknown) => {
      if (!isAlreadyExists(error)) throw error;
    });
  }
  for (const { name, rules, labels, aggregates } of roles) {
    const selectors: LabelSelector[] = aggregates === undefined ? [] : [{ matchLabels: { [aggregates]: "true" } }];
    const role: Role & { aggregationRule?: { clusterRoleSelectors: LabelSelector[] } } = {
      apiVersion: `${rbacGroup}/v1`,
      kind: "ClusterRole",
      metadata: metadataOf(name, labels),
      ...(selectors.length > 0 && { aggregationRule: { clusterRoleSelectors: selectors } }),
      rules,
    };
    await put(clusterRoles, role);
  }
  for (const [name, groups] of Object.entries(bindings)) {
    const binding: RoleBinding = {
      apiVersion: `${rbacGroup}/v1`,
      kind: "ClusterRoleBinding",
      metadata: metadataOf(name),
      subjects: groups.map((group): Subject => ({ kind: "Group", apiGroup: rbacGroup, name: group })),
      roleRef: { apiGroup: rbacGroup, kind: "ClusterRole", name },
    };
    await put(clusterRoleBindings, binding);
  }
}
