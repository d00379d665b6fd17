/** Why a Revision's pods are not ready yet, long before a deadline turns it into a failure. Ours, not Knative's. */
import type { ContainerStatus, Pod } from "../../api/core.ts";
import type { Revision } from "../../api/serving.ts";
import { defaultReadinessProbe, servingContainer, userPort } from "../../api/revision-shape.ts";
import { queueProxyName } from "./queue-proxy.ts";

/** Set by the node agent of local mode when an app runs but does not listen where it should. */
const appListening = "swell.dev/AppListening";

/** A container that runs this long without being ready is worth a word. */
export const notReadyAfterMs = 5000;

/** Ordinary steps of a start. */
const ordinary = new Set(["ContainerCreating", "PodInitializing", ""]);

export interface Cause {
  /** "" while all goes as it should. */
  message: string;
  /** When the answer will be another one although nothing changed; undefined when it will not. */
  againInMs?: number;
}

/** The first pod that knows a cause speaks for all. */
export function startupCause(revision: Revision, pods: readonly Pod[], nowMs: number): Cause {
  let againInMs: number | undefined;
  for (const pod of pods) {
    if (pod.metadata.deletionTimestamp !== undefined) continue;
    const cause = podCause(revision, pod, nowMs);
    if (cause.message !== "") return cause;
    if (cause.againInMs !== undefined) againInMs = Math.min(againInMs ?? Infinity, cause.againInMs);
  }
  return { message: "", ...(againInMs === undefined ? {} : { againInMs }) };
}

function podCause(revision: Revision, pod: Pod, nowMs: number): Cause {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const { state, lastState } of statuses) {
    const waiting = state?.waiting;
    if (waiting === undefined || ordinary.has(waiting.reason ?? "")) continue;
    const ended = lastState?.terminated?.message?.trim() ?? "";
    return { message: [waiting.reason, waiting.message ?? ended].filter((text) => (text ?? "") !== "").join(": ") };
  }
  const listening = pod.status?.conditions?.find(({ type }) => type === appListening);
  if (listening?.status === "False" && (listening.message ?? "") !== "") return { message: listening.message! };
  if (pod.status?.phase === "Failed" && (pod.status.message ?? "") !== "") return { message: pod.status.message! };

  let againInMs: number | undefined;
  for (const status of statuses) {
    if (status.ready || status.state?.running === undefined) continue;
    const sinceMs = Date.parse(status.state.running.startedAt ?? "");
    const leftMs = Number.isNaN(sinceMs) ? 0 : sinceMs + notReadyAfterMs - nowMs;
    if (leftMs <= 0) return { message: notReady(revision, status) };
    againInMs = Math.min(againInMs ?? Infinity, leftMs);
  }
  return { message: "", ...(againInMs === undefined ? {} : { againInMs: againInMs + 1 }) };
}

function notReady(revision: Revision, status: ContainerStatus): string {
  const serving = servingContainer(revision.spec);
  // The sidecar is ready when the app's own probe succeeds.
  const name = status.name === queueProxyName ? (serving?.name ?? status.name) : status.name;
  return `container "${name}" is running but not ready: ${probeText(revision, name)} has not succeeded yet`;
}

function probeText(revision: Revision, name: string): string {
  const container = revision.spec.containers.find((candidate) => candidate.name === name);
  const probe = container?.readinessProbe ?? defaultReadinessProbe;
  const port = (given: number | string | undefined): number | string =>
    given === undefined || given === 0 || given === "" ? userPort(revision.spec) : given;
  if (probe.httpGet !== undefined)
    return `its readiness probe GET ${probe.httpGet.path ?? "/"} on port ${port(probe.httpGet.port)}`;
  if (probe.exec !== undefined) return "its readiness probe's command";
  if (probe.grpc !== undefined) return `its gRPC readiness probe on port ${port(probe.grpc.port)}`;
  return `a connection to its port ${port(probe.tcpSocket?.port)}`;
}
