/** Runs each reconciler while this process holds its lease (spec: serving-api 5.4). */
import type { KubeClient } from "../kube/client.ts";
import { lead } from "../kube/leader-election.ts";
import { queueName, ReconcileCounts } from "../kube/reconcile-counts.ts";
import { startReconciler } from "../kube/reconciler.ts";
import type { Logger } from "../process/logger.ts";
import type { LeaderElectionConfig } from "./config/leader-election.ts";
import type { Reconciler } from "./reconciler.ts";

export interface Running {
  name: string;
  /** undefined while another process leads. */
  depth: () => number | undefined;
  counts: ReconcileCounts;
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
  const running = reconcilers.map(({ name, lease }): Running => {
    return { name, depth: () => depths.get(name)?.(), counts: new ReconcileCounts(queueName(lease)) };
  });
  const ended = Promise.all(
    reconcilers.map((reconciler, at) =>
      lead(
        {
          client,
          lease: leaseName(component, reconciler.lease, election),
          namespace,
          identity,
          settings: election,
          log,
          onLead: async (leading) => {
            const { counts } = running[at]!;
            const runner = startReconciler({ name: reconciler.name, reconcile: reconciler.reconcile, log, counts });
            depths.set(reconciler.name, () => runner.depth());
            // Every present object is heard of as added, so a new leader looks at all of them: first at those that
            // somebody waits for.
            let isFirstLook = true;
            const unwatch = reconciler.watch(
              (key) => {
                if (isFirstLook && reconciler.isSettled?.(key) === true) runner.queue.addBehind(key);
                else runner.queue.add(key);
              },
              (key, ms) => runner.queue.addAfter(key, ms),
            );
            isFirstLook = false;
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
  return { running, ended };
}

export function leaseName(component: string, lease: string, { leasePrefixes }: LeaderElectionConfig): string {
  const name = `${component}.${lease}`.toLowerCase();
  const renamed = Object.entries(leasePrefixes).find(([prefix]) => name.startsWith(prefix));
  const prefixed = renamed === undefined ? name : renamed[1] + name.slice(renamed[0].length);
  return `${prefixed}.00-of-01`;
}
