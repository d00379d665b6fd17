/** ConfigMap `config-leader-election` (spec: serving-api 5.4). */
import { type Data, ConfigValues } from "./values.ts";

export interface LeaderElectionConfig {
  leaseDurationMs: number;
  renewDeadlineMs: number;
  retryPeriodMs: number;
  /** 1 to 10. More than one is accepted and read as one. */
  buckets: number;
  /** `map-lease-prefix.X` → what replaces X at the head of a lease's name. */
  leasePrefixes: Readonly<Record<string, string>>;
}

/** Throws ConfigError. */
export function parseLeaderElectionConfig(data: Data | undefined): Readonly<LeaderElectionConfig> {
  const values = new ConfigValues(data);
  const prefix = "map-lease-prefix.";
  const config: LeaderElectionConfig = {
    leaseDurationMs: values.durationMs(["lease-duration", "leaseDuration"], 60_000),
    renewDeadlineMs: values.durationMs(["renew-deadline", "renewDeadline"], 40_000),
    retryPeriodMs: values.durationMs(["retry-period", "retryPeriod"], 10_000),
    buckets: values.integer("buckets", 1),
    leasePrefixes: Object.fromEntries(
      Object.entries(data ?? {})
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, value]) => [key.slice(prefix.length), value.trim()]),
    ),
  };
  if (config.buckets < 1 || config.buckets > 10)
    values.problem(`buckets: value must be between 1 <= ${config.buckets} <= 10`);
  return values.finish(config);
}
