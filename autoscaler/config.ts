/** The autoscaler's environment, and the ConfigMaps it reads. */
import { ConfigError, envReader, type Env } from "../process/env.ts";
import { parseDuration } from "../api/duration.ts";
import { defaultSystemNamespace, port } from "../api/keys.ts";
import type { LeaderElectionSettings } from "../kube/leader-election.ts";

export interface ProcessConfig {
  env: Env;
  podName: string;
  systemNamespace: string;
  healthPort: number;
  statsPort: number;
  metricsPort: number;
}

export function parseProcessConfig(env: Env): ProcessConfig {
  const read = envReader(env);
  const config: ProcessConfig = {
    env,
    podName: read.string("POD_NAME"),
    systemNamespace: read.string("SYSTEM_NAMESPACE", defaultSystemNamespace),
    healthPort: read.port("SWELL_HEALTH_PORT", 8080),
    statsPort: read.port("SWELL_STATS_PORT", port.autoscalerStats),
    metricsPort: read.port("METRICS_PROMETHEUS_PORT", port.autoMetric),
  };
  if (read.problems.length > 0) throw new ConfigError(read.problems);
  return Object.freeze(config);
}

type ConfigData = Readonly<Record<string, string>> | undefined;

/** `config-leader-election`. */
export function parseLeaderElection(data: ConfigData): LeaderElectionSettings {
  const read = durationReader(data);
  const settings = {
    leaseDurationMs: read("lease-duration", 60_000),
    renewDeadlineMs: read("renew-deadline", 40_000),
    retryPeriodMs: read("retry-period", 10_000),
  };
  if (settings.renewDeadlineMs >= settings.leaseDurationMs)
    throw new ConfigError(["renew-deadline has to be less than lease-duration"]);
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
