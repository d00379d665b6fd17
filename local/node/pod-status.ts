/** The status of a pod, computed from its containers'. Pure. */
import type { Container, ContainerStatus, KubeCondition, Pod } from "../../api/core.ts";
import { appListeningType } from "./app-listening.ts";

export type PodStatus = NonNullable<Pod["status"]>;

/** RFC 3339 in whole seconds, as the API writes times. */
export const timestamp = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

export interface PodView {
  pod: Pod;
  podIP: string;
  hostIP: string;
  startedMs: number;
  containers: ContainerStatus[];
  initContainers: ContainerStatus[];
  /** What is wrong with the port an app listens on. */
  listeningProblem?: string | undefined;
  nowMs: number;
}

export function podStatus(view: PodView): PodStatus {
  const { pod, podIP, hostIP, containers, initContainers, nowMs } = view;
  const phase = podPhase(pod, containers, initContainers);
  const uninitialized = initContainers.filter((status) => status.state?.terminated?.exitCode !== 0);
  const unready = containers.filter((status) => !status.ready);
  const previous = pod.status?.conditions ?? [];

  const condition = (type: string, holds: boolean, reason = "", message = ""): KubeCondition => {
    const status = holds ? "True" : "False";
    const before = previous.find((candidate) => candidate.type === type);
    return {
      type,
      status,
      ...(holds || reason === "" ? {} : { reason }),
      ...(holds || message === "" ? {} : { message }),
      lastProbeTime: null,
      lastTransitionTime:
        before?.status === status && before.lastTransitionTime !== undefined
          ? before.lastTransitionTime
          : timestamp(nowMs),
    };
  };
  const isOver = phase === "Succeeded" || phase === "Failed";
  const unreadyReason = isOver ? (phase === "Succeeded" ? "PodCompleted" : "PodFailed") : "ContainersNotReady";
  const unreadyText = isOver ? "" : `containers with unready status: [${namesOf(unready)}]`;
  const isReady = unready.length === 0 && !isOver;
  const own = [
    condition("PodReadyToStartContainers", !isOver),
    condition(
      "Initialized",
      uninitialized.length === 0,
      "ContainersNotInitialized",
      `containers with incomplete status: [${namesOf(uninitialized)}]`,
    ),
    condition("Ready", isReady, unreadyReason, unreadyText),
    condition("ContainersReady", isReady, unreadyReason, unreadyText),
    condition("PodScheduled", true),
  ];
  if (view.listeningProblem !== undefined)
    own.push(condition(appListeningType, false, "NotListening", view.listeningProblem));
  const foreign = previous.filter(
    ({ type }) => type !== appListeningType && !own.some((candidate) => candidate.type === type),
  );
  return {
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    phase,
    conditions: [...own, ...foreign],
    hostIP,
    hostIPs: [{ ip: hostIP }],
    podIP,
    podIPs: [{ ip: podIP }],
    startTime: timestamp(view.startedMs),
    ...(initContainers.length === 0 ? {} : { initContainerStatuses: initContainers }),
    containerStatuses: containers,
    qosClass: qosClass(pod),
  };
}

/** The status of a pod that no node has room for. */
export function unschedulableStatus(pod: Pod, message: string, nowMs: number): PodStatus {
  const before = pod.status?.conditions?.find(({ type }) => type === "PodScheduled");
  const others = (pod.status?.conditions ?? []).filter(({ type }) => type !== "PodScheduled");
  return {
    ...pod.status,
    phase: "Pending",
    conditions: [
      ...others,
      {
        type: "PodScheduled",
        status: "False",
        reason: "Unschedulable",
        message,
        lastProbeTime: null,
        lastTransitionTime:
          before?.status === "False" && before.lastTransitionTime !== undefined
            ? before.lastTransitionTime
            : timestamp(nowMs),
      },
    ],
    qosClass: qosClass(pod),
  };
}

export function podPhase(
  pod: Pod,
  containers: readonly ContainerStatus[],
  initContainers: readonly ContainerStatus[],
): NonNullable<PodStatus["phase"]> {
  const policy = pod.spec.restartPolicy ?? "Always";
  const initFailed = initContainers.some(
    ({ state }) => state?.terminated !== undefined && state.terminated.exitCode !== 0,
  );
  if (policy === "Never" && initFailed) return "Failed";
  if (initContainers.some(({ state }) => state?.terminated?.exitCode !== 0)) return "Pending";
  const never = containers.some(
    ({ state, lastState }) =>
      state?.running === undefined && state?.terminated === undefined && lastState?.terminated === undefined,
  );
  if (never) return "Pending";
  const codes = containers.map(({ state }) => state?.terminated?.exitCode);
  if (policy === "Always" || codes.includes(undefined)) return "Running";
  if (codes.every((code) => code === 0)) return "Succeeded";
  return policy === "Never" ? "Failed" : "Running";
}

/** Whether a container that ended is started again. */
export function restarts(policy: string | undefined, exitCode: number): boolean {
  return policy === "Never" ? false : policy === "OnFailure" ? exitCode !== 0 : true;
}

function qosClass(pod: Pod): string {
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const amounts = ({ resources }: Container): [string | undefined, string | undefined][] =>
    (["cpu", "memory"] as const).map((name) => [
      resources?.requests?.[name] ?? resources?.limits?.[name],
      resources?.limits?.[name],
    ]);
  if (all.every((container) => amounts(container).every(([request, limit]) => (request ?? limit) === undefined)))
    return "BestEffort";
  const isGuaranteed = all.every((container) =>
    amounts(container).every(([request, limit]) => limit !== undefined && request === limit),
  );
  return isGuaranteed ? "Guaranteed" : "Burstable";
}

const namesOf = (statuses: readonly ContainerStatus[]): string => statuses.map(({ name }) => name).join(" ");
