/** The sidecar's environment (data-plane 1.2): Knative's variables, and ours for the stats stream. */
import { ConfigError, envReader, type Env, type EnvReader } from "../process/env.ts";
import { bindAddress, listenAddresses, type ListenAddress } from "../process/listen.ts";
import type { TimeLimits } from "../proxy/timeouts.ts";
import { parseObservability, type Observability } from "./observability.ts";
import { parseProbes, type ProbeSpec } from "./probe-spec.ts";
import { tlsSettings, type TlsSettings } from "./tls-options.ts";

export interface QueueProxyConfig {
  /** 0: no limit, so no breaker. */
  containerConcurrency: number;
  /** The port that the Service and the activators know, wherever it is bound. */
  servingPort: number;
  serving: ListenAddress[];
  tlsServing: ListenAddress[];
  tls: TlsSettings;
  /** Holds `tls.crt` and `tls.key` when the main port is also served over TLS. */
  certificateFolder: string;
  admin: ListenAddress;
  /** Knative's scraper: one protobuf Stat. */
  autoMetrics: ListenAddress;
  observability: Observability;
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
const certificateFolder = "/var/lib/knative/certs";

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
  const mounted = mountedPath(env);
  const service = read.string("SERVING_SERVICE", "");
  const configuration = read.string("SERVING_CONFIGURATION");
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
    tls: tlsSettings(read, "QUEUE_PROXY_TLS"),
    certificateFolder: mounted(certificateFolder),
    admin: own(adminPort),
    autoMetrics: own(autoMetricPort),
    observability: parseObservability(read, env, { own, mounted, serviceName: service || configuration }),
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
    service,
    configuration,
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

/**
 * A local cluster's pods see the host's file system: `SWELL_MOUNT_MAP` (`/etc/podinfo=/real/path,…`) says where what the
 * pod mounts really is.
 */
function mountedPath(env: Env): (path: string) => string {
  const mounts = (env["SWELL_MOUNT_MAP"] ?? "")
    .split(",")
    .map((entry) => entry.split("=", 2) as [string, string | undefined]);
  return (path) => {
    for (const [mount, real] of mounts)
      if (real !== undefined && (path === mount || path.startsWith(`${mount}/`)))
        return real + path.slice(mount.length);
    return path;
  };
}
