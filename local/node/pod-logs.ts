/** `kubectl logs`: finds the file behind a pod's container and reads it. */
import path from "node:path";
import type { Pod } from "../../api/core.ts";
import { ApiError } from "../../kube/client.ts";
import { finishedParts } from "./log-files.ts";
import { readLog, type LogOptions } from "./log-reader.ts";
import type { PodWorker } from "./pod-worker.ts";

export interface PodLogOptions extends LogOptions {
  previous: boolean;
}

/**
 * Throws ApiError 400 for a container that does not exist, has not started, or has no previous run.
 * @param folder the node's folder, for pods that have ended.
 */
export async function* podLogs(
  folder: string,
  worker: PodWorker | undefined,
  pod: Pod,
  container: string,
  options: PodLogOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { name = "", uid = "" } = pod.metadata;
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  if (!all.some((candidate) => candidate.name === container))
    throw badRequest(`container ${container} is not valid for pod ${name}`);
  const runner = worker?.container(container);
  const status = runner?.status() ?? statuses.find((candidate) => candidate.name === container);
  const newest = status?.restartCount ?? 0;
  const live = runner?.log;
  if (!options.previous && live !== undefined) {
    yield* readLog(live.parts(), live, options, signal);
    return;
  }
  // A container that waits for its restart shows what it said last, and that is also its previous run.
  const isWaiting = live === undefined && status?.state?.waiting !== undefined;
  const runs = !options.previous ? [newest] : isWaiting ? [newest, newest - 1] : [newest - 1];
  const parts =
    runs
      .map((run) => finishedParts(path.join(folder, "pods", uid, "logs", container, `${run}.log`)))
      .find((found) => found.length > 0) ?? [];
  if (parts.length === 0 && options.previous)
    throw badRequest(`previous terminated container "${container}" in pod "${name}" not found`);
  if (parts.length === 0)
    throw badRequest(
      `container "${container}" in pod "${name}" is waiting to start: ${status?.state?.waiting?.reason ?? "ContainerCreating"}`,
    );
  yield* readLog(parts, undefined, options, signal);
}

export function badRequest(message: string): ApiError {
  return new ApiError({
    apiVersion: "v1",
    kind: "Status",
    metadata: {},
    status: "Failure",
    message,
    reason: "BadRequest",
    code: 400,
  });
}
