/** The sidecar's environment (data-plane 1.2): Knative's variables, and ours for the stats stream. */
import { ConfigError, envReader, type Env, type EnvReader } from "../process/env.ts";
import { bindAddress, listenAddresses, type ListenAddress } from "../process/listen.ts";
import type { TimeLimits } from "../proxy/timeouts.ts";
import { parseProbes, type ProbeSpec } from "./probe-spec.ts";

export interface QueueProxyConfig {
  /** 0: no limit, so no breaker. */
  containerConcurrency: number;
  /** The port that the Service and the activators know, wherever it is bound. */
  servingPort: number;
  serving: ListenAddress[];
  tlsServing: ListenAddress[];
  tlsMinVersion: "TLSv1.2" | "TLSv1.3";
  admin: ListenAddress;
  /** Knative's scraper: one protobuf Stat. */
  autoMetrics: ListenAddress;
  /** Prometheus; undefined when request metrics are not exposed that way. */
  userMetrics: ListenAddress | undefined;
  /** Where the app listens on 127.0.0.1. */
  userPort: number;
  limits: TimeLimits;
  probes: ProbeSpec[];
  http2AutoDetection: boolean;
  logLevel: string;
  namespace: string;
  service: string;
  configuration: string;
  revision: string;
  pod: string;
  podIp: string;
  /** Undefined without an autoscaler that takes streams (`SWELL_STATS_ADDRESS`). */
  stats: { host: string; port: number; token: string; localAddress: string | undefined } | undefined;
}

const adminPort = 8022;
const autoMetricPort = 9090;
const userMetricPort = 9091;

/** Throws {@link ConfigError} with every problem. */
export function parseConfig(env: Env): QueueProxyConfig {
  const read = envReader(env);
  const { problems } = read;
  const mapped = portMap(read, env);
  const mapPort = (port: number): number => mapped.get(port) ?? port;
  const seconds = (name: string, fallback?: number): number =>
    read.number(name, { min: 0, ...(fallback === undefined ? {} : { fallback }) }) * 1000;

  const userPort = mapPort(read.port("USER_PORT"));
  const servingPort = read.port("QUEUE_SERVING_PORT");
  const tlsPort = read.port("QUEUE_SERVING_TLS_PORT");
  const loggingConfig = read.string("SERVING_LOGGING_CONFIG");
  const observability = read.json<Record<string, unknown>>("OBSERVABILITY_CONFIG", {});
  const requestMetrics = observability["requestMetrics"] as { protocol?: string; endpoint?: string } | undefined;
  const own = (port: number): ListenAddress => ({
    host: bindAddress(env) ?? "::",
    port,
    reusePort: false,
    optional: false,
  });
  const config: QueueProxyConfig = {
    containerConcurrency: Math.max(0, read.integer("CONTAINER_CONCURRENCY", {})),
    servingPort,
    serving: listenAddresses(read, env, servingPort),
    tlsServing: [own(tlsPort)],
    tlsMinVersion: read.oneOf("QUEUE_PROXY_TLS_MIN_VERSION", ["1.2", "1.3"], "1.3") === "1.2" ? "TLSv1.2" : "TLSv1.3",
    admin: own(adminPort),
    autoMetrics: own(autoMetricPort),
    userMetrics:
      requestMetrics?.protocol === "prometheus" ? userMetricsAddress(read, env, requestMetrics, own) : undefined,
    userPort,
    limits: {
      totalMs: seconds("REVISION_TIMEOUT_SECONDS"),
      responseStartMs: seconds("REVISION_RESPONSE_START_TIMEOUT_SECONDS", 0),
      idleMs: seconds("REVISION_IDLE_TIMEOUT_SECONDS", 0),
    },
    probes: parseProbes(read.json<unknown>("SERVING_READINESS_PROBE", null), userPort, mapPort, problems),
    http2AutoDetection: read.boolean("ENABLE_HTTP2_AUTO_DETECTION", false),
    logLevel: logLevel(read.string("SERVING_LOGGING_LEVEL"), loggingConfig),
    namespace: read.string("SERVING_NAMESPACE"),
    service: read.string("SERVING_SERVICE", ""),
    configuration: read.string("SERVING_CONFIGURATION"),
    revision: read.string("SERVING_REVISION"),
    pod: read.string("SERVING_POD"),
    podIp: read.string("SERVING_POD_IP"),
    stats: statsAddress(read, env),
  };
  // Read for their type only: Node's server is full duplex always, and a list of probes is recognised as one.
  read.boolean("ENABLE_HTTP_FULL_DUPLEX", false);
  read.boolean("ENABLE_MULTI_CONTAINER_PROBES", false);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(config);
}

/** `8080=43121,9000=43122`: ports that a local cluster without network namespaces gave the containers. */
function portMap(read: EnvReader, env: Env): Map<number, number> {
  const map = new Map<number, number>();
  for (const entry of (env["SWELL_PORT_MAP"] ?? "").split(",")) {
    if (entry === "") continue;
    const match = /^(\d+)=(\d+)$/.exec(entry);
    if (match === null) read.problems.push(`SWELL_PORT_MAP: ${JSON.stringify(entry)}: want CONTAINER_PORT=PORT`);
    else map.set(Number(match[1]), Number(match[2]));
  }
  return map;
}

/** zap's level names; the level of its JSON configuration when the variable is empty. */
function logLevel(level: string, loggingConfig: string): string {
  if (level !== "") return level;
  try {
    const parsed = JSON.parse(loggingConfig) as { level?: unknown };
    return typeof parsed.level === "string" ? parsed.level : "info";
  } catch {
    // Knative logs with its defaults when this one value is no JSON; so do we.
    return "info";
  }
}

function statsAddress(read: EnvReader, env: Env): QueueProxyConfig["stats"] {
  const address = env["SWELL_STATS_ADDRESS"] ?? "";
  if (address === "") return undefined;
  const token = read.string("SWELL_STATS_TOKEN");
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d+)$/.exec(address);
  if (match === null) {
    read.problems.push(`SWELL_STATS_ADDRESS=${JSON.stringify(address)}: want HOST:PORT`);
    return undefined;
  }
  return { host: match[1] ?? match[2]!, port: Number(match[3]), token, localAddress: bindAddress(env) };
}

function userMetricsAddress(
  read: EnvReader,
  env: Env,
  metrics: { endpoint?: string },
  own: (port: number) => ListenAddress,
): ListenAddress {
  const endpoint = /^(.*):(\d+)$/.exec(metrics.endpoint ?? "");
  const port = read.port("METRICS_PROMETHEUS_PORT", endpoint === null ? userMetricPort : Number(endpoint[2]));
  const host = (env["METRICS_PROMETHEUS_HOST"] ?? "") || (endpoint?.[1] ?? "").replace(/^\[|\]$/g, "");
  return host === "" ? own(port) : { ...own(port), host };
}
