/** Probes of a Revision's containers (spec: serving-api 2.4). */
import type { Probe } from "../core.ts";
import { at, type Problems } from "./problems.ts";

const handlers = ["exec", "grpc", "httpGet", "tcpSocket"] as const;
const max = 2_147_483_647;

export interface ProbedContainer {
  /** Of the serving container; absent for a sidecar, whose probes have to say their port. */
  portName?: string;
}

export function validateReadinessProbe(
  problems: Problems,
  probe: Probe | undefined,
  of: ProbedContainer,
  path: string,
): void {
  if (probe === undefined) return;
  validateProbe(problems, probe, of, path);
  const {
    periodSeconds = 0,
    initialDelaySeconds = 0,
    successThreshold = 0,
    failureThreshold = 0,
    timeoutSeconds = 0,
  } = probe;
  const atLeast = (least: number, value: number, field: string): void => {
    if (value < least) problems.outOfBounds(value, least, max, at(path, field));
  };
  atLeast(0, periodSeconds, "periodSeconds");
  atLeast(0, initialDelaySeconds, "initialDelaySeconds");
  atLeast(1, successThreshold, "successThreshold");
  if (periodSeconds === 0) {
    // Zero asks queue-proxy to probe as fast as it sees fit: these two would contradict it.
    for (const [field, value] of Object.entries({ failureThreshold, timeoutSeconds }))
      if (value !== 0) problems.add(`${field} is disallowed when periodSeconds is zero`, at(path, field));
    return;
  }
  atLeast(1, timeoutSeconds, "timeoutSeconds");
  atLeast(1, failureThreshold, "failureThreshold");
}

export function validateProbe(problems: Problems, probe: Probe | undefined, of: ProbedContainer, path: string): void {
  if (probe === undefined) return;
  const set = handlers.filter((handler) => probe[handler] !== undefined);
  if (set.length === 0) problems.noneOf(...handlers.map((handler) => at(path, handler)));
  // Knative's spelling in this one place.
  else if (set.length > 1) problems.severalOf(...set.map((handler) => at(path, handler === "grpc" ? "gRPC" : handler)));

  for (const handler of ["httpGet", "tcpSocket"] as const) {
    if (probe[handler] === undefined) continue;
    const { port = 0 } = probe[handler];
    const portPath = at(at(path, handler), "port");
    if (of.portName === undefined) {
      if (port === 0 || port === "") problems.invalid(port, portPath, "Probe port must be specified");
    } else if (typeof port === "string" && port !== "" && port !== of.portName)
      problems.invalid(port, portPath, "Probe port must match container port");
  }
}

/** Everything that is set in it. What it does goes by the path of the probe itself. */
export function forbidProbe(problems: Problems, probe: Probe | undefined, path: string): void {
  const fields = Object.keys(probe ?? {}).map((field) =>
    (handlers as readonly string[]).includes(field) ? path : at(path, field),
  );
  if (fields.length > 0) problems.forbidden(...new Set(fields));
}
