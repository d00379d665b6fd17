/** Environment → configuration (data-plane 2.1). */
import { defaultSystemNamespace, port } from "../api/keys.ts";
import { clusterDomain } from "../process/cluster-domain.ts";
import { ConfigError, envReader, type Env } from "../process/env.ts";
import { bindAddress, listenAddresses, type ListenAddress } from "../process/listen.ts";
import type { UpstreamMode } from "./upstream-stats-connection.ts";

export interface ActivatorConfig {
  pod: string;
  podIp: string;
  systemNamespace: string;
  /** For example `cluster.local`. */
  clusterDomain: string;
  /** Host and port of the stats stream's receivers. */
  autoscaler: { host: string; port: number };
  /** The WebSocket of an autoscaler that takes no streams. */
  upstreamAutoscaler: { mode: UpstreamMode; port: number };
  listen: {
    /** By host name, for clients outside. */
    gatewayPublic: ListenAddress[];
    /** By host name, for clients in the cluster. */
    gatewayInternal: ListenAddress[];
    /** The same over TLS. */
    gatewayPublicTls: ListenAddress[];
    gatewayInternalTls: ListenAddress[];
    /** By revision header, for other ingresses. */
    activator: ListenAddress[];
    /** The same over TLS, while system-internal-tls is on. */
    activatorTls: ListenAddress[];
  };
  /** Where sidecars speak TLS. */
  podTlsPort: number;
  metricsPort: number;
  /** A probe of a pod that takes longer has failed. */
  probeTimeoutMs: number;
  /** Between probes of pods while requests wait for them. */
  probePeriodMs: number;
  /** How long requests are still accepted after SIGTERM, so that everybody hears of the end. */
  drainMs: number;
  /** How long what is in flight may take after that. */
  inFlightGraceMs: number;
  maxIdleConnectionsPerHost: number;
  /** Most requests held for one revision, and for all together. */
  maxHeldPerRevision: number;
  maxHeld: number;
  /** Most memory that held requests may take together. */
  maxHeldBytes: number;
  /** For names that are looked up later. */
  env: Env;
}

/** @throws ConfigError with every problem */
export function parseConfig(env: Env): ActivatorConfig {
  const read = envReader(env);
  const systemNamespace = read.string("SYSTEM_NAMESPACE", defaultSystemNamespace);
  const fallbackAddress = `autoscaler.${systemNamespace}.svc.cluster.local:${port.autoscalerStats}`;
  const address = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(read.string("SWELL_AUTOSCALER_ADDRESS", fallbackAddress));
  if (address === null) read.problems.push("SWELL_AUTOSCALER_ADDRESS: want HOST:PORT");
  const listen = (containerPort: number): ListenAddress[] => listenAddresses(read, env, containerPort);
  // Where pods share the host's network a change of addresses is seen within milliseconds.
  const drainMs = bindAddress(env) === undefined ? 45_000 : 1000;
  const config: ActivatorConfig = {
    pod: read.string("POD_NAME"),
    podIp: read.string("POD_IP"),
    systemNamespace,
    clusterDomain: clusterDomain(env),
    autoscaler: { host: address?.[1] ?? address?.[2] ?? "", port: Number(address?.[3]) },
    upstreamAutoscaler: {
      mode: read.oneOf("SWELL_UPSTREAM_AUTOSCALER", ["auto", "always", "never"], "auto"),
      port: read.port("SWELL_UPSTREAM_AUTOSCALER_PORT", 8080),
    },
    listen: {
      gatewayPublic: listen(read.port("GATEWAY_PORT", port.gatewayHttp)),
      gatewayInternal: listen(read.port("GATEWAY_INTERNAL_PORT", port.gatewayInternalHttp)),
      gatewayPublicTls: listen(read.port("GATEWAY_TLS_PORT", port.gatewayHttps)),
      gatewayInternalTls: listen(read.port("GATEWAY_INTERNAL_TLS_PORT", port.gatewayInternalHttps)),
      activator: [
        ...listen(read.port("ACTIVATOR_PORT", port.queueHttp1)),
        ...listen(read.port("ACTIVATOR_H2C_PORT", port.queueHttp2)),
      ],
      activatorTls: listen(read.port("ACTIVATOR_TLS_PORT", port.queueHttps)),
    },
    podTlsPort: read.port("POD_TLS_PORT", port.queueHttps),
    metricsPort: read.port("METRICS_PORT", port.autoMetric),
    probeTimeoutMs: durationMs(read.string("PROBE_TIMEOUT", "300ms"), "PROBE_TIMEOUT", read.problems),
    probePeriodMs: durationMs(read.string("PROBE_FREQUENCY", "200ms"), "PROBE_FREQUENCY", read.problems),
    drainMs: read.integer("DRAIN_MS", { min: 0, fallback: drainMs }),
    inFlightGraceMs: read.integer("IN_FLIGHT_GRACE_MS", { min: 0, fallback: 540_000 }),
    maxIdleConnectionsPerHost: read.integer("MAX_IDLE_PROXY_CONNS_PER_HOST", { min: 1, fallback: 100 }),
    maxHeldPerRevision: read.integer("MAX_HELD_REQUESTS_PER_REVISION", { min: 1, fallback: 10_000 }),
    maxHeld: read.integer("MAX_HELD_REQUESTS", { min: 1, fallback: 20_000 }),
    // Of the 600 MiB that the Deployment may have.
    maxHeldBytes: read.integer("MAX_HELD_BYTES", { min: 1, fallback: 256 * 1024 * 1024 }),
    env,
  };
  if (read.problems.length > 0) throw new ConfigError(read.problems);
  return config;
}

const unitMs = { ms: 1, s: 1000, m: 60_000 };

/** Go's duration with one unit. */
function durationMs(text: string, name: string, problems: string[]): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  if (match !== null) return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
  problems.push(`${name}=${JSON.stringify(text)}: want a duration such as 300ms`);
  return 0;
}
