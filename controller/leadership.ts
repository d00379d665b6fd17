/** Runs each reconciler while this process holds its lease (spec: serving-api 5.4). */
import type { KubeClient } from "../kube/client.ts";
import { lead } from "../kube/leader-election.ts";
import { startReconciler } from "../kube/reconciler.ts";
import type { Logger } from "../process/logger.ts";
import type { LeaderElectionConfig } from "./config/leader-election.ts";
import type { Reconciler } from "./reconciler.ts";

export interface Running {
  name: string;
  /** undefined while another process leads. */
  depth: () => number | undefined;
}

/** Campaigns for the lease of each reconciler until the signal aborts. */
export function campaign(
  options: {
    client: KubeClient;
    component: string;
    namespace: string;
    identity: string;
    election: LeaderElectionConfig;
    reconcilers: readonly Reconciler[];
    log: Logger;
  },
  signal: AbortSignal,
): { running: Running[]; ended: Promise<void> } {
  const { client, component, namespace, identity, election, reconcilers, log } = options;
  const depths = new Map<string, () => number>();
  const ended = Promise.all(
    reconcilers.map((reconciler) =>
      lead(
        {
          client,
          lease: leaseName(component, reconciler.lease, election),
          namespace,
          identity,
          settings: election,
          log,
          onLead: async (leading) => {
            const runner = startReconciler({ name: reconciler.name, reconcile: reconciler.reconcile, log });
            depths.set(reconciler.name, () => runner.depth());
            // Every present object is heard of as added, so a new leader looks at all of them.
            const unwatch = reconciler.watch(
              (key) => runner.queue.add(key),
              (key, ms) => runner.queue.addAfter(key, ms),
            );
            try {
              await runner.run(leading);
            } finally {
              unwatch.forEach((stop) => stop());
              depths.delete(reconciler.name);
            }
          },
        },
        signal,
      ),
    ),
  ).then(() => {});
  return { running: reconcilers.map(({ name }) => ({ name, depth: () => depths.get(name)?.() })), ended };
}

export function leaseName(component: string, lease: string, { leasePrefixes }: LeaderElectionConfig): string {
  const name = `${component}.${lease}`.toLowerCase();
  const renamed = Object.entries(leasePrefixes).find(([prefix]) => name.startsWith(prefix));
  const prefixed = renamed === undefined ? name : renamed[1] + name.slice(renamed[0].length);
  return `${prefixed}.00-of-01`;
}
