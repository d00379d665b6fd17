/**
 * Whether a pod fits on the node. Requests are counted, never enforced: a pod here is a few plain processes. So the
 * node offers its real memory, but many more cores than it has: the requests that people copy from real clusters
 * (25m for each queue-proxy, 100m to 300m for each platform pod) would otherwise fill a laptop with idle pods.
 */
import type { Container, Pod } from "../../api/core.ts";
import { parseQuantity } from "../../api/quantity.ts";

export interface Resources {
  cpuMillis: number;
  memoryBytes: number;
  pods: number;
}

const offeredCoresPerCore = 16;
const minOfferedCores = 64;
const maxPods = 1000;

export function allocatable(machine: { cores: number; memoryBytes: number }): Resources {
  return {
    cpuMillis: Math.max(minOfferedCores, offeredCoresPerCore * machine.cores) * 1000,
    memoryBytes: machine.memoryBytes,
    pods: maxPods,
  };
}

/** In the unit itself: cores, bytes. 0 for what is not a quantity. */
export function quantity(text: string | number | undefined): number {
  if (text === undefined) return 0;
  return Number(parseQuantity(String(text))?.nano ?? 0n) / 1e9;
}

/** What the pod reserves: its containers together, or its largest init container where that is more. */
export function requestsOf(pod: Pod): Resources {
  const of = (container: Container, resource: "cpu" | "memory"): number =>
    quantity(container.resources?.requests?.[resource] ?? container.resources?.limits?.[resource]);
  const total = (resource: "cpu" | "memory"): number =>
    Math.max(
      pod.spec.containers.reduce((sum, container) => sum + of(container, resource), 0),
      ...(pod.spec.initContainers ?? []).map((container) => of(container, resource)),
    );
  return { cpuMillis: Math.ceil(total("cpu") * 1000), memoryBytes: total("memory"), pods: 1 };
}

/** Why the pod cannot be placed, in the scheduler's words; undefined when it fits. */
export function unschedulable(
  pod: Pod,
  free: Resources,
  nodeLabels: Readonly<Record<string, string>>,
): string | undefined {
  const wanted = requestsOf(pod);
  const reasons = [
    wanted.cpuMillis > free.cpuMillis ? "1 Insufficient cpu" : "",
    wanted.memoryBytes > free.memoryBytes ? "1 Insufficient memory" : "",
    wanted.pods > free.pods ? "1 Too many pods" : "",
    Object.entries(pod.spec.nodeSelector ?? {}).some(([key, value]) => nodeLabels[key] !== value)
      ? "1 node(s) didn't match Pod's node affinity/selector"
      : "",
  ].filter((reason) => reason !== "");
  return reasons.length === 0 ? undefined : `0/1 nodes are available: ${reasons.join(", ")}.`;
}

export function subtract(from: Resources, used: Resources): Resources {
  return {
    cpuMillis: from.cpuMillis - used.cpuMillis,
    memoryBytes: from.memoryBytes - used.memoryBytes,
    pods: from.pods - used.pods,
  };
}
