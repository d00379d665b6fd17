/** The autoscaler's environment, and the ConfigMaps it reads. */
import { ConfigError, envReader, type Env } from "../process/env.ts";
import { parseDuration } from "../api/duration.ts";

import { defaultSystemNamespace, port } from "../api/keys.ts";
import type { LeaderElectionSettings } from "../kube/leader-election.ts";
import { bindAddress } from "../process/listen.ts";

export interface ProcessConfig {
  env: Env;
  podName: string;
  /** The pod's address, where others reach it. */
  podIp: string;
  systemNamespace: string;
  healthPort: number;
  statsPort: number;
  metricsPort: number;
  /** Keys of `config-leader-election` that hold where it says nothing itself. */
  election: Readonly<Record<string, string>>;
}

export function parseProcessConfig(env: Env): ProcessConfig {
  const read = envReader(env);
  const election: Record<string, string> = {};
  for (const [key, name] of Object.entries(electionVariables)) {
    const text = env[name]?.trim() ?? "";
    if (text !== "") election[key] = text;
  }
  try {
    parseLeaderElection(undefined, election);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    read.problems.push(...error.problems);
  }
  const config: ProcessConfig = {
    env,
    podName: read.string("POD_NAME"),
    podIp: read.string("POD_IP", bindAddress(env) ?? "127.0.0.1"),
    systemNamespace: read.string("SYSTEM_NAMESPACE", defaultSystemNamespace),
    healthPort: read.port("SWELL_HEALTH_PORT", 8080),
    statsPort: read.port("SWELL_STATS_PORT", port.autoscalerStats),
    metricsPort: read.port("METRICS_PROMETHEUS_PORT", port.autoMetric),
    election: Object.freeze(election),
  };
  if (read.problems.length > 0) throw new ConfigError(read.problems);
  return Object.freeze(config);
}

type ConfigData = Readonly<Record<string, string>> | undefined;

/**
 * `config-leader-election` is for all components: what suits their leases would keep requests waiting at zero for
 * longer than a minute when an autoscaler dies. So its own settings come with its Deployment, and a key that is set in
 * the ConfigMap wins over them.
 */
const electionVariables = {
  "lease-duration": "SWELL_LEASE_DURATION",
  "renew-deadline": "SWELL_LEASE_RENEW_DEADLINE",
  "retry-period": "SWELL_LEASE_RETRY_PERIOD",
  buckets: "SWELL_BUCKETS",
} as const;

export interface AutoscalerElection extends LeaderElectionSettings {
  /** Parts that all revisions are divided into, 1 to 10; the same for all autoscalers. */
  buckets: number;
}

/** `config-leader-election` over `shipped` over Knative's defaults. Throws ConfigError. */
export function parseLeaderElection(
  data: ConfigData,
  shipped: Readonly<Record<string, string>> = {},
): AutoscalerElection {
  const all = { ...shipped };
  for (const [key, text] of Object.entries(data ?? {})) if (text.trim() !== "") all[key] = text;
  const read = durationReader(all);
  const settings = {
    leaseDurationMs: read("lease-duration", 60_000),
    renewDeadlineMs: read("renew-deadline", 40_000),
    retryPeriodMs: read("retry-period", 10_000),
    buckets: Number(all["buckets"] ?? 1),
  };
  if (settings.renewDeadlineMs >= settings.leaseDurationMs)
    throw new ConfigError(["renew-deadline has to be less than lease-duration"]);
  if (!Number.isInteger(settings.buckets) || settings.buckets < 1 || settings.buckets > 10)
    throw new ConfigError([`buckets: value must be between 1 <= ${all["buckets"]} <= 10`]);
  return settings;
}

/** The key of `config-deployment` that bounds an activation, in milliseconds. */
export function parseProgressDeadline(data: ConfigData): number {
  return durationReader(data)("progress-deadline", 600_000);
}

function durationReader(data: ConfigData): (key: string, fallbackMs: number) => number {
  return (key, fallbackMs) => {
    const text = data?.[key]?.trim();
    if (text === undefined || text === "") return fallbackMs;
    const ms = parseDuration(text);
    if (ms === undefined || ms <= 0)
      throw new ConfigError([
        `failed to parse ${JSON.stringify(key)}: ${JSON.stringify(text)}: want a duration above 0`,
      ]);
    return ms;
  };
}
