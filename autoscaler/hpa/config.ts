/** The environment of autoscaler-hpa, and which lease it holds. */
import { defaultSystemNamespace, port } from "../../api/keys.ts";
import type { LeaderElectionSettings } from "../../kube/leader-election.ts";
import { ConfigError, envReader, type Env } from "../../process/env.ts";
import { parseLeaderElection } from "../config.ts";

export interface HpaProcessConfig {
  env: Env;
  podName: string;
  systemNamespace: string;
  healthPort: number;
  metricsPort: number;
}

export function parseHpaProcessConfig(env: Env): HpaProcessConfig {
  const read = envReader(env);
  const config: HpaProcessConfig = {
    env,
    podName: read.string("POD_NAME", "autoscaler-hpa"),
    systemNamespace: read.string("SYSTEM_NAMESPACE", defaultSystemNamespace),
    healthPort: read.port("SWELL_HEALTH_PORT", 8080),
    metricsPort: read.port("METRICS_PROMETHEUS_PORT", port.autoMetric),
  };
  if (read.problems.length > 0) throw new ConfigError(read.problems);
  return Object.freeze(config);
}

export interface Election {
  lease: string;
  settings: LeaderElectionSettings;
}

const leaseName = "hpaautoscaler.knative.dev.serving.pkg.reconciler.autoscaling.hpa.reconciler";
const renaming = "map-lease-prefix.";

/** ConfigMap `config-leader-election` (spec: serving-api 5.4). Throws ConfigError. */
export function parseElection(data: Readonly<Record<string, string>> | undefined): Election {
  const renamed = Object.entries(data ?? {}).find(
    ([key]) => key.startsWith(renaming) && leaseName.startsWith(key.slice(renaming.length)),
  );
  const name =
    renamed === undefined ? leaseName : renamed[1].trim() + leaseName.slice(renamed[0].length - renaming.length);
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = parseLeaderElection(data);
  return { lease: `${name}.00-of-01`, settings: { leaseDurationMs, renewDeadlineMs, retryPeriodMs } };
}
