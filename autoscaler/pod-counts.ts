/** The pods of a revision, as Kubernetes and their own streams have them. */
import type { Pod } from "../api/core.ts";
import { PodState } from "../proto/gen/stats.ts";

export interface PodCounts {
  ready: number;
  notReady: number;
  pending: number;
  terminating: number;
}

/**
 * A pod that says on its stream that it is ready is ready before Kubernetes has noticed; one that drains is not, whatever
 * its conditions say.
 */
export function countPods(pods: readonly Pod[], streamState: (pod: string) => PodState | undefined): PodCounts {
  const counts: PodCounts = { ready: 0, notReady: 0, pending: 0, terminating: 0 };
  for (const pod of pods) {
    const said = streamState(pod.metadata.name ?? "");
    const phase = pod.status?.phase ?? "Pending";
    if (phase === "Succeeded" || phase === "Failed") continue;
    if (pod.metadata.deletionTimestamp !== undefined || said === PodState.DRAINING) counts.terminating += 1;
    else if ((said === PodState.READY && !hasOwnProbes(pod)) || (phase === "Running" && isReady(pod)))
      counts.ready += 1;
    else if (phase === "Pending") counts.pending += 1;
    else counts.notReady += 1;
  }
  return counts;
}

/** What the sidecar cannot probe in the app's place (exec, startup) is the kubelet's: then only Kubernetes knows. */
function hasOwnProbes({ spec }: Pod): boolean {
  return spec.containers.some(
    ({ name, readinessProbe, startupProbe }) =>
      name !== "queue-proxy" && (readinessProbe !== undefined || startupProbe !== undefined),
  );
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
}
