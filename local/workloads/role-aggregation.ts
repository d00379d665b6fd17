/** Fills the rules of ClusterRoles that are made up of others (`aggregationRule`). */
import { keyOf, type KubeObject, type LabelSelector, type Resource } from "../../api/meta.ts";
import type { KubeClient } from "../../kube/client.ts";
import type { Informer } from "../../kube/informer.ts";
import { done, startReconciler, type Outcome } from "../../kube/reconciler.ts";
import type { Logger } from "../../process/logger.ts";
import { selects } from "./label-selector.ts";
import { canonical } from "./names.ts";

export interface ClusterRole extends KubeObject {
  aggregationRule?: { clusterRoleSelectors?: LabelSelector[] };
  rules?: unknown[] | null;
}

export const clusterRoles: Resource = {
  group: "rbac.authorization.k8s.io",
  version: "v1",
  plural: "clusterroles",
  kind: "ClusterRole",
  namespaced: false,
};

/** The rules of every other role that one of the selectors picks, each once, in order of role name. */
export function aggregatedRules(role: ClusterRole, roles: readonly ClusterRole[]): unknown[] {
  const selectors = role.aggregationRule?.clusterRoleSelectors ?? [];
  const rules = new Map<string, unknown>();
  const picked = roles
    .filter(({ metadata }) => metadata.name !== role.metadata.name)
    .filter(({ metadata }) => selectors.some((selector) => selects(selector, metadata.labels)))
    .sort((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));
  for (const { rules: own } of picked) for (const rule of own ?? []) rules.set(canonical(rule), rule);
  return [...rules.values()];
}

export interface RoleAggregationDeps {
  client: KubeClient;
  log: Logger;
  roles: Informer<ClusterRole>;
}

export function roleAggregationController(deps: RoleAggregationDeps): (signal: AbortSignal) => Promise<void> {
  const { client, log, roles } = deps;

  async function reconcile(key: string): Promise<Outcome> {
    const role = roles.get(key);
    if (role?.aggregationRule === undefined || role.metadata.deletionTimestamp !== undefined) return done;
    const rules = aggregatedRules(role, roles.list());
    if (canonical(rules) !== canonical(role.rules ?? []))
      await client.update<ClusterRole>(clusterRoles, { ...role, rules });
    return done;
  }

  const reconciler = startReconciler({ name: "role-aggregation", reconcile, log });
  roles.onChange(() => {
    for (const role of roles.list()) if (role.aggregationRule !== undefined) reconciler.queue.add(keyOf(role));
  });
  return (signal) => reconciler.run(signal);
}
