/** The webhook's environment. */
import { defaultSystemNamespace } from "../../api/keys.ts";
import { ConfigError, envReader, type Env } from "../../process/env.ts";

export interface WebhookConfig {
  systemNamespace: string;
  /** Name of the Service in front, and so of the certificate. */
  serviceName: string;
  port: number;
  metricsPort: number;
  clusterDomain: string;
  env: Env;
}

/** Throws ConfigError with every problem. */
export function parseConfig(env: Env): Readonly<WebhookConfig> {
  const read = envReader(env);
  const config: WebhookConfig = {
    systemNamespace: read.string("SYSTEM_NAMESPACE", defaultSystemNamespace),
    serviceName: read.string("WEBHOOK_NAME", "webhook"),
    port: read.port("WEBHOOK_PORT", 8443),
    metricsPort: read.port("METRICS_PORT", 9090),
    clusterDomain: read.string("CLUSTER_DOMAIN", "cluster.local"),
    env,
  };
  if (read.problems.length > 0) throw new ConfigError(read.problems);
  return Object.freeze(config);
}
