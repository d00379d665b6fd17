/** Nobody gives away more than they have: what a new or changed role or binding grants, its writer must hold. */
import type { KubeObject } from "../../api/meta.ts";
import type { Attributes } from "./authorization.ts";
import type { Call, User } from "./call.ts";
import { isEqual } from "./json-value.ts";
import { clusterRoles, roles, type PolicyRule, type Rbac, type Role, type RoleBinding } from "./rbac.ts";
import { forbidden, notFound, resourceName } from "./status-error.ts";
import type { Store } from "./store.ts";

const group = "rbac.authorization.k8s.io";

/** Throws ApiError 403. */
export function requireHeld(
  { store, rbac }: { store: Store; rbac: Rbac },
  call: Call,
  object: KubeObject,
  old: KubeObject | undefined,
): void {
  const { resource } = call.kind;
  if (resource.group !== group) return;
  const { user, namespace } = call;
  const name = object.metadata.name ?? "";
  const may = (asked: Pick<Attributes, "verb" | "resource" | "name" | "namespace">): boolean =>
    rbac.authorize(user, { group, subresource: "", ...asked }).allowed;
  if (resource.kind === "Role" || resource.kind === "ClusterRole") {
    const { rules } = object as Role;
    if (old !== undefined && isEqual(rules, (old as Role).rules)) return;
    if (may({ verb: "escalate", resource: resource.plural, name, namespace })) return;
    return requireRules(rbac, call, name, rules ?? []);
  }
  const { roleRef, subjects } = object as RoleBinding;
  if (
    old !== undefined &&
    isEqual(roleRef, (old as RoleBinding).roleRef) &&
    isEqual(subjects, (old as RoleBinding).subjects)
  )
    return;
  const of = roleRef.kind === "ClusterRole" ? clusterRoles : roles;
  if (may({ verb: "bind", resource: of.plural, name: roleRef.name, namespace })) return;
  const role = store.get(resourceName(of), of.namespaced ? namespace : "", roleRef.name);
  if (role === undefined) throw notFound(of, roleRef.name);
  requireRules(rbac, call, name, (role as Role).rules ?? []);
}

function requireRules(rbac: Rbac, { kind, user, namespace }: Call, name: string, wanted: readonly PolicyRule[]): void {
  const held = rbac.rulesFor(user, namespace).rules;
  const missing = new Map<string, string[]>();
  for (const { of, verb, covers } of wanted.flatMap(parts)) {
    if (held.some(covers)) continue;
    const known = missing.get(of);
    if (known === undefined) missing.set(of, [verb]);
    else if (!known.includes(verb)) known.push(verb);
  }
  if (missing.size === 0) return;
  const lines = [...missing].map(([of, verbs]) => `{${of}, Verbs:${listText(verbs)}}`).sort();
  throw forbidden(
    kind.resource,
    name,
    `${userText(user)} is attempting to grant RBAC permissions not currently held:\n${lines.join("\n")}`,
  );
}

interface Part {
  /** What it is about, the same for every verb. */
  of: string;
  verb: string;
  covers: (held: PolicyRule) => boolean;
}

const has = (list: readonly string[] | undefined, value: string): boolean =>
  list !== undefined && (list.includes(value) || list.includes("*"));

/** A rule as all the single things that it grants. */
function parts(rule: PolicyRule): Part[] {
  const { verbs = [], apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [] } = rule;
  const names: (string | undefined)[] = resourceNames.length === 0 ? [undefined] : resourceNames;
  const ofPaths = nonResourceURLs.map((url) => ({
    of: `NonResourceURLs:${listText([url])}`,
    covers: (held: PolicyRule) =>
      (held.nonResourceURLs ?? []).some(
        (own) => own === url || own === "*" || (own.endsWith("*") && url.startsWith(own.slice(0, -1))),
      ),
  }));
  const ofResources = apiGroups.flatMap((apiGroup) =>
    resources.flatMap((resource) =>
      names.map((name) => ({
        of: [
          `APIGroups:${listText([apiGroup])}`,
          `Resources:${listText([resource])}`,
          ...(name === undefined ? [] : [`ResourceNames:${listText([name])}`]),
        ].join(", "),
        covers: (held: PolicyRule) =>
          has(held.apiGroups, apiGroup) &&
          (has(held.resources, resource) || (held.resources ?? []).includes(`*/${resource.split("/")[1] ?? ""}`)) &&
          ((held.resourceNames ?? []).length === 0 || (name !== undefined && held.resourceNames!.includes(name))),
      })),
    ),
  );
  return [...ofPaths, ...ofResources].flatMap(({ of, covers }) =>
    verbs.map((verb) => ({ of, verb, covers: (held) => has(held.verbs, verb) && covers(held) })),
  );
}

const listText = (values: readonly string[]): string => `[${values.map((value) => JSON.stringify(value)).join(" ")}]`;
const userText = ({ username, groups }: User): string =>
  `user ${JSON.stringify(username)} (groups=${listText(groups)})`;
