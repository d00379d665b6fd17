/**
 * Gives Services the addresses that a cluster would: a cluster IP and, for a LoadBalancer, an ingress address.
 * Nothing listens on a cluster IP here; it is data that clients expect to find.
 */
import { keyOf } from "../../api/meta.ts";
import { services as serviceResource, type Service } from "../../api/core.ts";
import type { KubeClient } from "../../kube/client.ts";
import type { Informer } from "../../kube/informer.ts";
import { done, startReconciler, type Outcome } from "../../kube/reconciler.ts";
import { updateStatus } from "../../kube/write.ts";
import type { Logger } from "../../process/logger.ts";

/** 10.96.0.0/12 without its first addresses, which a cluster keeps for the API server and DNS. */
const first = 10 * 2 ** 24 + 96 * 2 ** 16 + 100;
const last = 10 * 2 ** 24 + 112 * 2 ** 16 - 2;

/** Every published port is reached on the machine itself. */
const loadBalancerAddress = "127.0.0.1";

/** The next free address after `previous`, undefined when all are taken. */
export function nextClusterIp(previous: number | undefined, isTaken: (ip: string) => boolean): number | undefined {
  const size = last - first + 1;
  const start = previous === undefined ? 0 : previous - first + 1;
  for (let i = 0; i < size; i += 1) {
    const candidate = first + ((start + i) % size);
    if (!isTaken(dotted(candidate))) return candidate;
  }
  return undefined;
}

export function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

/** Service key → name of its port → the port of this machine on which it is reached. */
export type NodePorts = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** What the Service lacks, undefined when it has all of it. */
export function missingAddresses(
  service: Service,
  nodePorts: NodePorts = {},
): "cluster ip" | "node ports" | "ingress" | undefined {
  const { type = "ClusterIP", clusterIP = "" } = service.spec;
  if (service.metadata.deletionTimestamp !== undefined || type === "ExternalName") return undefined;
  if (clusterIP === "") return "cluster ip";
  if (type !== "ClusterIP" && portsOf(service, nodePorts) !== undefined) return "node ports";
  const ingress = service.status?.loadBalancer?.ingress ?? [];
  return type === "LoadBalancer" && ingress.length === 0 ? "ingress" : undefined;
}

/** The Service's ports with their node ports; undefined when they have them. */
function portsOf(service: Service, nodePorts: NodePorts): Service["spec"]["ports"] {
  const wanted = nodePorts[keyOf(service)];
  const { ports = [] } = service.spec;
  if (wanted === undefined) return undefined;
  const lacks = ports.some(({ name = "", nodePort }) => wanted[name] !== undefined && wanted[name] !== nodePort);
  if (!lacks) return undefined;
  return ports.map((port) => {
    const nodePort = wanted[port.name ?? ""];
    return nodePort === undefined ? port : { ...port, nodePort };
  });
}

export interface ServiceAddressDeps {
  client: KubeClient;
  nodePorts?: NodePorts | undefined;
  log: Logger;
  services: Informer<Service>;
}

export function serviceAddressController(deps: ServiceAddressDeps): (signal: AbortSignal) => Promise<void> {
  const { client, log, nodePorts, services } = deps;
  const taken = new Map<string, string>(); // address → key of its Service
  const held = new Map<string, string>(); // and back, for a repeated attempt
  let previous: number | undefined;

  async function reconcile(key: string): Promise<Outcome> {
    const service = services.get(key);
    if (service === undefined) return done;
    const missing = missingAddresses(service, nodePorts);
    if (missing === "cluster ip") {
      const clusterIP = allocate(key);
      const spec = {
        ...service.spec,
        clusterIP,
        clusterIPs: [clusterIP],
        ipFamilies: ["IPv4"],
        ipFamilyPolicy: "SingleStack",
      };
      await client.update(serviceResource, { ...service, spec });
    } else if (missing === "node ports") {
      const ports = portsOf(service, nodePorts ?? {});
      if (ports !== undefined) await client.update(serviceResource, { ...service, spec: { ...service.spec, ports } });
    } else if (missing === "ingress") {
      const status = { loadBalancer: { ingress: [{ ip: loadBalancerAddress, ipMode: "Proxy" }] } };
      await updateStatus<Service>(client, serviceResource, { ...service, status }, service);
    }
    return done;
  }

  function allocate(key: string): string {
    const mine = held.get(key);
    if (mine !== undefined) return mine;
    previous = nextClusterIp(previous, (ip) => taken.has(ip));
    if (previous === undefined) throw new Error("no cluster IP is free in 10.96.0.0/12");
    take(key, dotted(previous));
    return dotted(previous);
  }

  function take(key: string, ip: string): void {
    taken.set(ip, key);
    held.set(key, ip);
  }

  const reconciler = startReconciler({ name: "service-addresses", reconcile, log });
  services.onChange(({ is, object }) => {
    const key = keyOf(object);
    const ip = object.spec.clusterIP ?? "";
    if (is === "deleted") {
      const freed = held.get(key);
      held.delete(key);
      if (freed !== undefined && taken.get(freed) === key) taken.delete(freed);
    } else if (ip !== "" && ip !== "None") take(key, ip);
    reconciler.queue.add(key);
  });
  return (signal) => reconciler.run(signal);
}
