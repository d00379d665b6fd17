/** The controller's own environment. */
import { randomUUID } from "node:crypto";
import { defaultSystemNamespace } from "../api/keys.ts";
import { ConfigError, envReader, type Env } from "../process/env.ts";
import { clusterDomain } from "./config/domain.ts";

export interface ControllerConfig {
  env: Env;
  /** `<pod>_<uuid>`: who holds a lease. */
  identity: string;
  systemNamespace: string;
  clusterDomain: string;
  probePort: number;
  metricsPort: number;
}

export function parseConfig(env: Env): ControllerConfig {
  const read = envReader(env);
  const config = {
    env,
    identity: `${read.string("POD_NAME", "controller")}_${randomUUID()}`,
    systemNamespace: read.string("SYSTEM_NAMESPACE", defaultSystemNamespace),
    clusterDomain: clusterDomain(env),
    probePort: read.port("PROBE_PORT", 8080),
    metricsPort: read.port("METRICS_PORT", 9090),
  };
  if (read.problems.length > 0) throw new ConfigError(read.problems);
  return Object.freeze(config);
}
