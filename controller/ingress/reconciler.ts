/** KIngress of our class → proof that every gateway pod serves it, then its status (spec: data-plane 3.3). */
import { conditionOf, ingressConditions, isObserved } from "../../api/conditions.ts";
import { isOurs } from "../../api/ingress-claims.ts";
import { ingressHash } from "../../api/ingress-hash.ts";
import { port } from "../../api/keys.ts";
import { keyOf } from "../../api/meta.ts";
import { kIngresses, type KIngress } from "../../api/networking.ts";
import { done } from "../../kube/reconciler.ts";
import { statusReconciler, type Deps, type Enqueue, type Reconciler, settledIn } from "../reconciler.ts";
import { probeGateway, type ProbeTarget } from "./gateway-probe.ts";
import { HostConflicts } from "./host-conflicts.ts";
import { createProber, type Prober } from "./prober.ts";

/** A gateway that answers within this was not waited for: nobody could follow, and a write is spared. */
const quietMs = 50;
const conflictMessage = "Ingress rejected: ingress has a conflicting domain with another ingress";

export function ingressReconciler(deps: Deps, probe = probeGateway): Reconciler {
  const { caches, systemNamespace, clusterDomain, log } = deps;
  const gatewayKeys = [`${systemNamespace}/gateway`, `${systemNamespace}/gateway-internal`] as const;
  const domain = (service: string): string => `${service}.${systemNamespace}.svc.${clusterDomain}`;
  // The Route waits for what it says: nothing is held back.
  const reconcileStatus = statusReconciler<KIngress>({ ...deps, statusPauseMs: 0 }, kIngresses, ingressConditions);
  let prober: Prober | undefined;
  let conflicts = new HostConflicts(() => caches.ingresses.list());

  /** The listeners of the ready gateway pods, and the hosts that each must serve: one host of each rule. */
  function targetsOf(ingress: KIngress): ProbeTarget[] {
    const addresses = gatewayKeys.map((key, at) => {
      const listener = at === 0 ? port.gatewayHttp : port.gatewayInternalHttp;
      const ips = (caches.endpoints.get(key)?.subsets ?? []).flatMap((subset) => subset.addresses ?? []);
      return [...new Set(ips.map(({ ip }) => `${ip.includes(":") ? `[${ip}]` : ip}:${listener}`))].sort();
    });
    return (ingress.spec.rules ?? []).flatMap(({ hosts = [], visibility, http }) => {
      const [host] = hosts;
      if (host === undefined) return [];
      const plain = http.paths.find(({ headers }) => headers === undefined) ?? http.paths[0];
      const path = (plain?.path ?? "") === "" ? "/healthz" : plain!.path!;
      const listeners = addresses[visibility === "ClusterLocal" ? 1 : 0]!;
      return listeners.map((address) => ({ address, host, path }));
    });
  }

  return {
    name: "ingress-controller",
    lease: "swell.dev.controller.ingress.reconciler",
    isSettled: settledIn(caches.ingresses),
    async reconcile(key) {
      const ingress = caches.ingresses.get(key);
      if (ingress === undefined || !isOurs(ingress) || ingress.metadata.deletionTimestamp !== undefined) {
        prober?.forget(key);
        return done;
      }
      if (conflicts.has(key)) {
        prober?.forget(key);
        return reconcileStatus(ingress, async ({ conditions }) => {
          conditions.markTrue("NetworkConfigured");
          conditions.markFalse("LoadBalancerReady", "DomainConflict", conflictMessage);
        });
      }
      // A gateway pod that starts later serves nothing before it knows every Ingress: proven once is enough.
      if (isObserved(ingress) && conditionOf(ingress, "Ready")?.status === "True") {
        prober?.forget(key);
        return done;
      }
      const answer = prober?.ask(key, ingressHash(ingress), targetsOf(ingress));
      if (answer?.is === "asking" && answer.forMs < quietMs)
        return { is: "again", afterMs: Math.ceil(quietMs - answer.forMs) };
      return reconcileStatus(ingress, async ({ status, conditions }) => {
        conditions.markTrue("NetworkConfigured");
        if (answer?.is === "ready") {
          conditions.markTrue("LoadBalancerReady");
          status.publicLoadBalancer = { ingress: [{ domainInternal: domain("gateway") }] };
          status.privateLoadBalancer = { ingress: [{ domainInternal: domain("gateway-internal") }] };
        } else conditions.markUnknown("LoadBalancerReady", "Uninitialized", "Waiting for load balancer to be ready");
      });
    },
    watch: (enqueue: Enqueue) => {
      const own = createProber({ onReady: enqueue, log, probe });
      prober = own;
      // It hears of all that are there now, and knows nothing of what went while another process led.
      conflicts = new HostConflicts(() => caches.ingresses.list());
      return [
        caches.ingresses.onChange((change) => {
          // Also those that wait for a host to become free, or have lost theirs.
          for (const key of conflicts.changed(change)) enqueue(key);
          enqueue(keyOf(change.object));
        }),
        caches.endpoints.onChange(({ object }) => {
          if (!gatewayKeys.some((key) => key === keyOf(object))) return;
          for (const ingress of caches.ingresses.list())
            if (!isObserved(ingress) || conditionOf(ingress, "Ready")?.status !== "True") enqueue(keyOf(ingress));
        }),
        () => own.stop(),
      ];
    },
  };
}
