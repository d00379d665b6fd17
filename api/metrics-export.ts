/** ConfigMap `config-observability`, how a process of the platform tells of its metrics (eventing-functions-monitoring 3.8). */
import { ConfigError } from "../process/env.ts";
import type { PushSettings } from "../process/otlp/metric-push.ts";
import { parseDuration } from "./duration.ts";

const defaultIntervalMs = 60_000;
/** What a timer can hold. */
const maxIntervalMs = 2 ** 31 - 1;

/** What is wrong with a protocol and its endpoint, in Knative's words. */
export function exportProblem(protocol: string, endpoint: string): string | undefined {
  switch (protocol) {
    case "grpc":
    case "http/protobuf":
      return endpoint === "" ? `endpoint should be set when protocol is ${JSON.stringify(protocol)}` : undefined;
    case "none":
      return endpoint === "" ? undefined : `endpoint should not be set when protocol is ${JSON.stringify(protocol)}`;
    case "prometheus":
      return undefined;
    default:
      return `unsupported protocol ${JSON.stringify(protocol)}`;
  }
}

/** `intervalMs` 0: the default. Undefined: nothing is pushed. */
export function pushSettings(protocol: string, endpoint: string, intervalMs: number): PushSettings | undefined {
  if (protocol !== "grpc" && protocol !== "http/protobuf") return undefined;
  return { protocol, endpoint, intervalMs: Math.min(maxIntervalMs, Math.max(1, intervalMs || defaultIntervalMs)) };
}

/** Where metrics are pushed to; undefined: nowhere, Prometheus fetches them. Throws ConfigError. */
export function parseMetricsPush(data: Readonly<Record<string, string>> | undefined): PushSettings | undefined {
  const read = (key: string): string => data?.[`metrics-${key}`]?.trim() ?? "";
  const protocol = read("protocol") || "none";
  const endpoint = read("endpoint");
  const problem = exportProblem(protocol, endpoint);
  if (problem !== undefined) throw new ConfigError([problem]);
  const text = read("export-interval");
  const intervalMs = text === "" ? 0 : parseDuration(text);
  if (intervalMs === undefined || intervalMs < 0)
    throw new ConfigError([`metrics-export-interval: want a duration like 60s, not ${JSON.stringify(text)}`]);
  return pushSettings(protocol, endpoint, intervalMs);
}
