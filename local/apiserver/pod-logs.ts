/** `GET …/pods/NAME/log`: which container is meant, and its output as plain text. */
import type { Pod } from "../../api/core.ts";
import type { RunningCommand } from "./remote-command.ts";
import { badRequest, unavailable } from "./status-error.ts";

export interface LogOptions {
  follow: boolean;
  tailLines?: number;
  sinceSeconds?: number;
  previous: boolean;
  timestamps: boolean;
  limitBytes?: number;
}

export interface ExecOptions {
  command: string[];
  /** Whether it gets input; else its standard input is empty. */
  stdin: boolean;
  tty: boolean;
}

/** What the node agent does for the API server. */
export interface PodBackend {
  /** Ends when the output is read, or with `follow` when the container has ended or the signal aborts. */
  logs(pod: Pod, container: string, options: LogOptions, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Starts a command beside the container's process. Rejects with ApiError where the container does not run. */
  exec?(pod: Pod, container: string, options: ExecOptions): Promise<RunningCommand>;
  /** Where the pod's own port is reached from here. Throws ApiError for a pod that does not run. */
  address?(pod: Pod, port: number): { host: string; port: number };
}

/** Throws ApiError 400 where no container can be read, 503 while no node agent is there. */
export function podLogs(
  backend: PodBackend | undefined,
  pod: Pod,
  query: URLSearchParams,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const container = containerOf(pod, query.get("container") ?? "");
  if (backend === undefined) throw unavailable("the node that runs the pod is not there yet");
  const tailLines = numberOf(query, "tailLines");
  const sinceSeconds = numberOf(query, "sinceSeconds");
  const limitBytes = numberOf(query, "limitBytes");
  return backend.logs(
    pod,
    container,
    {
      follow: query.get("follow") === "true",
      previous: query.get("previous") === "true",
      timestamps: query.get("timestamps") === "true",
      ...(tailLines === undefined ? {} : { tailLines }),
      ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
      ...(limitBytes === undefined ? {} : { limitBytes }),
    },
    signal,
  );
}

function numberOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0)
    throw badRequest(`${name}: Invalid value: ${JSON.stringify(text)}: must be a whole number, 0 or more`);
  return value;
}

/** The container that is meant. Throws ApiError 400 where that is none or not clear. */
export function containerOf({ metadata, spec }: Pod, asked: string): string {
  const names = spec.containers.map(({ name }) => name);
  const initNames = (spec.initContainers ?? []).map(({ name }) => name);
  const [first, ...others] = names;
  if (asked === "") {
    if (first !== undefined && others.length === 0) return first;
    const init = initNames.length === 0 ? "" : ` or one of the init containers: [${initNames.join(" ")}]`;
    throw badRequest(
      `a container name must be specified for pod ${metadata.name}, choose one of: [${names.join(" ")}]${init}`,
    );
  }
  if (names.includes(asked) || initNames.includes(asked)) return asked;
  throw badRequest(`container ${asked} is not valid for pod ${metadata.name}`);
}
