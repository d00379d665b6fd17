/** Role-based access control over the stored Roles, ClusterRoles and their bindings (rbac.authorization.k8s.io/v1). */
import type { KubeObject, Resource } from "../../api/meta.ts";
import type { Attributes, Authorizer } from "./authorization.ts";
import type { User } from "./call.ts";
import { resourceName } from "./status-error.ts";
import type { Store } from "./store.ts";

export interface PolicyRule {
  verbs?: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

export interface Role extends KubeObject {
  rules?: PolicyRule[] | null;
}

export interface Subject {
  kind: string;
  apiGroup?: string;
  name: string;
  namespace?: string;
}

export interface RoleBinding extends KubeObject {
  subjects?: Subject[] | null;
  roleRef: { apiGroup?: string; kind: string; name: string };
}

const group = "rbac.authorization.k8s.io";
const resource = (plural: string, kind: string, namespaced: boolean): Resource => ({
  group,
  version: "v1",
  plural,
  kind,
  namespaced,
});
export const roles = resource("roles", "Role", true);
export const roleBindings = resource("rolebindings", "RoleBinding", true);
export const clusterRoles = resource("clusterroles", "ClusterRole", false);
export const clusterRoleBindings = resource("clusterrolebindings", "ClusterRoleBinding", false);

/** Whoever is in it may do everything, whatever is bound. */
const superGroup = "system:masters";

export interface Rbac {
  authorize: Authorizer;
  /** Every rule that holds for the user in the namespace, cluster-wide ones included; and what could not be found. */
  rulesFor: (user: User, namespace: string) => { rules: PolicyRule[]; errors: string[] };
}

export function createRbac(store: Store): Rbac {
  /** By subject key; thrown away when a binding changes. */
  let cluster: Map<string, Bound[]> | undefined;
  let inNamespace = new Map<string, Map<string, Bound[]>>();
  const [ofBindings, ofClusterBindings] = [resourceName(roleBindings), resourceName(clusterRoleBindings)];
  /** What was allowed, whatever the object's name is. */
  const allowed = new Map<string, string>();
  const deciding = new Set([roles, clusterRoles, roleBindings, clusterRoleBindings].map(resourceName));
  store.onChange((change) => {
    if (deciding.has(change.resource)) allowed.clear();
    if (change.resource === ofClusterBindings) cluster = undefined;
    else if (change.resource === ofBindings) inNamespace.delete(change.namespace);
  });

  const clusterIndex = (): Map<string, Bound[]> => (cluster ??= indexed(store, ofClusterBindings, ""));
  function namespaceIndex(namespace: string): Map<string, Bound[]> {
    const known = inNamespace.get(namespace);
    if (known !== undefined) return known;
    const bounded = inNamespace.size < mostNamespaces ? inNamespace : (inNamespace = new Map());
    const made = indexed(store, ofBindings, namespace);
    bounded.set(namespace, made);
    return made;
  }

  /** The rules behind each binding of the user, cluster-wide ones first; stops when `visit` returns true. */
  function visitRules(
    user: User,
    namespace: string,
    visit: (rules: readonly PolicyRule[], bound: Bound) => boolean,
  ): string[] {
    const errors: string[] = [];
    const indexes = [clusterIndex(), ...(namespace === "" ? [] : [namespaceIndex(namespace)])];
    const keys = subjectKeys(user);
    for (const index of indexes)
      for (const key of keys)
        for (const bound of index.get(key) ?? []) {
          const { roleRef, metadata } = bound.binding;
          const isCluster = roleRef.kind === "ClusterRole";
          const of = isCluster ? clusterRoles : roles;
          const role = store.get(resourceName(of), isCluster ? "" : (metadata.namespace ?? ""), roleRef.name);
          if (role === undefined) {
            const text = `${of.kind.toLowerCase()}.${group} ${JSON.stringify(roleRef.name)} not found`;
            if (!errors.includes(text)) errors.push(text);
          } else if (visit((role as Role).rules ?? [], bound)) return errors;
        }
    return errors;
  }

  return {
    authorize(user, attributes) {
      if (user.groups.includes(superGroup)) return { allowed: true };
      const question = questionOf(user, attributes);
      const known = allowed.get(question);
      if (known !== undefined) return { allowed: true, reason: known };
      let by: Bound | undefined;
      let isForAnyName = false;
      const errors = visitRules(user, attributes.namespace, (rules, bound) => {
        const rule = rules.find((one) => allows(one, attributes));
        if (rule === undefined) return false;
        by = bound;
        isForAnyName = (rule.resourceNames ?? []).length === 0;
        return true;
      });
      if (by !== undefined) {
        const reason = `RBAC: allowed by ${described(by)}`;
        if (allowed.size >= mostKnown) allowed.clear();
        if (isForAnyName) allowed.set(question, reason);
        return { allowed: true, reason };
      }
      return { allowed: false, ...(errors.length > 0 && { reason: `RBAC: ${listed(errors)}` }) };
    },
    rulesFor(user, namespace) {
      const found: PolicyRule[] = [];
      const errors = visitRules(user, namespace, (rules) => {
        found.push(...rules);
        return false;
      });
      return { rules: found, errors };
    },
  };
}

const mostKnown = 2000;

/** Everything but the name of the object. */
const questionOf = (
  user: User,
  { verb, group: of, resource: plural, subresource, namespace, path }: Attributes,
): string => JSON.stringify([user.username, user.groups, verb, of, plural, subresource, namespace, path]);

/** As many namespaces' bindings are kept ready. */
const mostNamespaces = 1000;

interface Bound {
  binding: RoleBinding;
  subject: Subject;
}

function indexed(store: Store, ofResource: string, namespace: string): Map<string, Bound[]> {
  const index = new Map<string, Bound[]>();
  for (const { object } of store.list(ofResource, namespace)) {
    const binding = object as RoleBinding;
    for (const subject of binding.subjects ?? []) {
      const key = subjectKey(subject, binding.metadata.namespace ?? "");
      const bound = index.get(key);
      if (bound === undefined) index.set(key, [{ binding, subject }]);
      else bound.push({ binding, subject });
    }
  }
  return index;
}

/** A service account is its user name; a binding names it by its parts. */
function subjectKey({ kind, name, namespace = "" }: Subject, bindingNamespace: string): string {
  if (kind === "ServiceAccount") return `User/system:serviceaccount:${namespace || bindingNamespace}:${name}`;
  return `${kind}/${name}`;
}

const subjectKeys = ({ username, groups }: User): string[] => [
  `User/${username}`,
  ...groups.map((name) => `Group/${name}`),
];

const has = (list: readonly string[] | undefined, value: string): boolean =>
  list !== undefined && (list.includes(value) || list.includes("*"));

/** Whether the rule allows what is asked, wherever the rule holds. */
export function allows(rule: PolicyRule, asked: Attributes): boolean {
  if (!has(rule.verbs, asked.verb)) return false;
  if (asked.path !== undefined)
    return (rule.nonResourceURLs ?? []).some(
      (url) => url === "*" || url === asked.path || (url.endsWith("*") && asked.path!.startsWith(url.slice(0, -1))),
    );
  const { resources = [], resourceNames = [] } = rule;
  if (!has(rule.apiGroups, asked.group)) return false;
  const { resource: plural, subresource } = asked;
  const full = subresource === "" ? plural : `${plural}/${subresource}`;
  const isListed = has(resources, full) || (subresource !== "" && resources.includes(`*/${subresource}`));
  return isListed && (resourceNames.length === 0 || resourceNames.includes(asked.name));
}

function described({ binding, subject }: Bound): string {
  const { metadata, roleRef } = binding;
  const inNamespace = metadata.namespace ?? "";
  const name = inNamespace === "" ? (metadata.name ?? "") : `${metadata.name}/${inNamespace}`;
  const kind = inNamespace === "" ? "ClusterRoleBinding" : "RoleBinding";
  const who = subject.kind === "ServiceAccount" ? `${subject.name}/${subject.namespace || inNamespace}` : subject.name;
  return `${kind} ${JSON.stringify(name)} of ${roleRef.kind} ${JSON.stringify(roleRef.name)} to ${subject.kind} ${JSON.stringify(who)}`;
}

const listed = (errors: readonly string[]): string => (errors.length === 1 ? errors[0]! : `[${errors.join(", ")}]`);
