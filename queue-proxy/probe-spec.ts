/** `SERVING_READINESS_PROBE`: the part of a core/v1 Probe that queue-proxy runs on the kubelet's behalf. */

export type ProbeAction =
  | { is: "tcp"; host: string; port: number }
  | { is: "http"; host: string; port: number; path: string; scheme: "HTTP" | "HTTPS"; headers: string[] }
  | { is: "grpc"; host: string; port: number; service: string };

export interface ProbeSpec {
  action: ProbeAction;
  /** 0: try fast until it succeeds, rather than once. */
  periodMs: number;
  timeoutMs: number;
  successThreshold: number;
  failureThreshold: number;
}

/** A port of the pod as the container really has it. */
export type MapPort = (port: number) => number;

/**
 * `value`: the parsed JSON, a probe or a list of probes; `null` and an empty list mean always ready. Adds what is wrong
 * to `problems`. The kubelet runs exec probes itself: the app's own has a TCP probe of its port to stand in for it,
 * those of further containers (in a list) are left out.
 */
export function parseProbes(value: unknown, userPort: number, mapPort: MapPort, problems: string[]): ProbeSpec[] {
  if (value === null || value === undefined) return [];
  const probes = Array.isArray(value) ? (value as unknown[]) : [value];
  const specs: ProbeSpec[] = [];
  for (const probe of probes) {
    if (typeof probe !== "object" || probe === null) {
      problems.push("SERVING_READINESS_PROBE: want an object or a list of objects");
      continue;
    }
    const standIn: ProbeAction | undefined = Array.isArray(value)
      ? undefined
      : { is: "tcp", host: "127.0.0.1", port: userPort };
    const action = probeAction(probe as Record<string, unknown>, userPort, mapPort, problems) ?? standIn;
    if (action === undefined) continue;
    const number = (name: string, fallback: number): number => {
      const given = (probe as Record<string, unknown>)[name];
      return typeof given === "number" && given > 0 ? given : fallback;
    };
    const periodMs = number("periodSeconds", 0) * 1000;
    specs.push({
      action,
      periodMs,
      timeoutMs: number("timeoutSeconds", 1) * 1000,
      successThreshold: number("successThreshold", 1),
      failureThreshold: number("failureThreshold", 3),
    });
  }
  return specs;
}

function probeAction(
  probe: Record<string, unknown>,
  userPort: number,
  mapPort: MapPort,
  problems: string[],
): ProbeAction | undefined {
  const of = (name: string): Record<string, unknown> | undefined => probe[name] as Record<string, unknown> | undefined;
  const portOf = (handler: Record<string, unknown>): number => {
    const given = handler["port"] ?? 0;
    const port = Number(given);
    if (Number.isInteger(port) && port >= 0 && port <= 65535) return port === 0 ? userPort : mapPort(port);
    problems.push(`SERVING_READINESS_PROBE: port ${JSON.stringify(given)}: want a number from 0 to 65535`);
    return userPort;
  };
  const hostOf = (handler: Record<string, unknown>): string => text(handler["host"], "127.0.0.1");
  const http = of("httpGet");
  if (http !== undefined) {
    const given = Array.isArray(http["httpHeaders"]) ? (http["httpHeaders"] as { name: string; value?: string }[]) : [];
    return {
      is: "http",
      host: hostOf(http),
      port: portOf(http),
      path: text(http["path"], "/"),
      scheme: text(http["scheme"], "HTTP").toUpperCase() === "HTTPS" ? "HTTPS" : "HTTP",
      headers: given.flatMap(({ name, value }) => [name, value ?? ""]),
    };
  }
  const tcp = of("tcpSocket");
  if (tcp !== undefined) return { is: "tcp", host: hostOf(tcp), port: portOf(tcp) };
  const grpc = of("grpc");
  if (grpc !== undefined)
    return { is: "grpc", host: "127.0.0.1", port: portOf(grpc), service: text(grpc["service"], "") };
  return undefined;
}

function text(value: unknown, fallback: string): string {
  return typeof value === "string" && value !== "" ? value : fallback;
}
