/** What `kubectl get pods` shows: the pod's state in one word, as a cluster prints it. */
import type { KubeObject } from "../../../api/meta.ts";
import type { Column } from "../kind.ts";
import { ageSince } from "./age.ts";
import { ageColumn, column, nameColumn } from "./column.ts";

interface State {
  waiting?: { reason?: string };
  running?: { startedAt?: string };
  terminated?: { reason?: string; exitCode?: number; signal?: number; finishedAt?: string };
}
interface Status {
  name: string;
  ready?: boolean;
  started?: boolean;
  restartCount?: number;
  state?: State;
  lastState?: State;
}
interface PrintedPod extends KubeObject {
  spec?: {
    containers?: unknown[];
    initContainers?: { name: string; restartPolicy?: string }[];
    nodeName?: string;
    readinessGates?: { conditionType: string }[];
  };
  status?: {
    phase?: string;
    reason?: string;
    podIP?: string;
    podIPs?: { ip: string }[];
    nominatedNodeName?: string;
    conditions?: { type: string; status: string; reason?: string }[];
    initContainerStatuses?: Status[];
    containerStatuses?: Status[];
  };
}

export const podColumns: readonly Column[] = [
  nameColumn,
  column("Ready", "string", (pod) => podState(pod).ready),
  column("Status", "string", (pod) => podState(pod).reason),
  column("Restarts", "string", (pod, nowMs) => {
    const { restarts, lastRestart } = podState(pod);
    return restarts > 0 && lastRestart !== "" ? `${restarts} (${ageSince(lastRestart, nowMs)} ago)` : String(restarts);
  }),
  ageColumn,
  column(
    "IP",
    "string",
    (pod) => (pod as PrintedPod).status?.podIPs?.[0]?.ip ?? or((pod as PrintedPod).status?.podIP),
    1,
  ),
  column("Node", "string", (pod) => or((pod as PrintedPod).spec?.nodeName), 1),
  column("Nominated Node", "string", (pod) => or((pod as PrintedPod).status?.nominatedNodeName), 1),
  column("Readiness Gates", "string", (pod) => readinessGates(pod), 1),
];

const or = (text: string | undefined): string => (text === undefined || text === "" ? "<none>" : text);

export interface PodState {
  /** `1/2` */
  ready: string;
  /** Phase, or the more telling reason of a container. */
  reason: string;
  restarts: number;
  /** When a container last ended; "" when none did. */
  lastRestart: string;
}

/** The first init container that is not done decides; else the last container with something to say. */
export function podState(pod: PrintedPod): PodState {
  const { spec = {}, status = {}, metadata } = pod;
  const init = initState(pod);
  let reason =
    init.reason ?? gated(pod) ?? (or(status.reason) === "<none>" ? (status.phase ?? "") : (status.reason ?? ""));
  let { ready, total, restarts, lastRestart } = { ...init, total: (spec.containers?.length ?? 0) + init.sidecars };
  if (init.reason === undefined || conditionIsTrue(pod, "Initialized")) {
    restarts = init.sidecarRestarts;
    let hasRunning = false;
    for (const container of (status.containerStatuses ?? []).toReversed()) {
      restarts += container.restartCount ?? 0;
      lastRestart = later(lastRestart, container.lastState?.terminated?.finishedAt);
      const { waiting, terminated, running } = container.state ?? {};
      if (waiting?.reason) reason = waiting.reason;
      else if (terminated !== undefined) reason = terminated.reason || exitReason(terminated);
      else if (container.ready === true && running !== undefined) {
        hasRunning = true;
        ready++;
      }
    }
    if (reason === "Completed" && hasRunning) reason = conditionIsTrue(pod, "Ready") ? "Running" : "NotReady";
  }
  if (metadata.deletionTimestamp !== undefined) {
    if (status.reason === "NodeLost") reason = "Unknown";
    else if (status.phase !== "Failed" && status.phase !== "Succeeded") reason = "Terminating";
  }
  return { ready: `${ready}/${total}`, reason, restarts, lastRestart };
}

function initState(pod: PrintedPod) {
  const containers = pod.spec?.initContainers ?? [];
  const sidecarNames = new Set(containers.filter((one) => one.restartPolicy === "Always").map((one) => one.name));
  const found = { reason: undefined as string | undefined, ready: 0, restarts: 0, sidecarRestarts: 0, lastRestart: "" };
  for (const [index, container] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const isSidecar = sidecarNames.has(container.name);
    found.restarts += container.restartCount ?? 0;
    found.lastRestart = later(found.lastRestart, container.lastState?.terminated?.finishedAt);
    if (isSidecar) found.sidecarRestarts += container.restartCount ?? 0;
    const { waiting, terminated } = container.state ?? {};
    if (terminated?.exitCode === 0) continue;
    if (isSidecar && container.started === true) {
      if (container.ready === true) found.ready++;
      continue;
    }
    if (terminated !== undefined) found.reason = `Init:${terminated.reason || exitReason(terminated)}`;
    else if (waiting?.reason && waiting.reason !== "PodInitializing") found.reason = `Init:${waiting.reason}`;
    else found.reason = `Init:${index}/${containers.length}`;
    break;
  }
  return { ...found, sidecars: sidecarNames.size };
}

const exitReason = ({ signal, exitCode }: { signal?: number; exitCode?: number }): string =>
  signal !== undefined && signal !== 0 ? `Signal:${signal}` : `ExitCode:${exitCode ?? 0}`;
const later = (first: string, second: string | undefined): string =>
  second !== undefined && second > first ? second : first;
const conditionIsTrue = (pod: PrintedPod, type: string): boolean =>
  pod.status?.conditions?.some((one) => one.type === type && one.status === "True") ?? false;
const gated = (pod: PrintedPod): string | undefined =>
  pod.status?.conditions?.find((one) => one.type === "PodScheduled" && one.reason === "SchedulingGated")?.reason;

function readinessGates(pod: PrintedPod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return "<none>";
  return `${gates.filter((gate) => conditionIsTrue(pod, gate.conditionType)).length}/${gates.length}`;
}
