/** The platform's ConfigMaps, parsed, kept current by a watch. */
import { type AutoscalerConfig, parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import { type ConfigMap, configMaps } from "../../api/core.ts";
import type { Features } from "../../api/features.ts";
import type { RevisionDefaults } from "../../api/revision-defaults.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer } from "../../kube/informer.ts";
import { ConfigError } from "../../process/env.ts";
import type { Logger } from "../../process/logger.ts";
import { type CertManagerConfig, parseCertManagerConfig } from "./certmanager.ts";
import { parseDefaults } from "./defaults.ts";
import { type DeploymentConfig, parseDeploymentConfig } from "./deployment.ts";
import { type DomainConfig, parseDomainConfig } from "./domain.ts";
import { parseFeatures } from "./features.ts";
import { type GcConfig, parseGcConfig } from "./gc.ts";
import { type LeaderElectionConfig, parseLeaderElectionConfig } from "./leader-election.ts";
import { type LoggingConfig, parseLoggingConfig } from "./logging.ts";
import { type NetworkConfig, parseNetworkConfig } from "./network.ts";
import { type ObservabilityConfig, parseObservabilityConfig } from "./observability.ts";
import type { Data } from "./values.ts";

export interface PlatformConfig {
  autoscaler: AutoscalerConfig;
  certmanager: CertManagerConfig;
  defaults: RevisionDefaults;
  deployment: DeploymentConfig;
  domain: DomainConfig;
  features: Features;
  gc: GcConfig;
  leaderElection: LeaderElectionConfig;
  logging: LoggingConfig;
  network: NetworkConfig;
  observability: ObservabilityConfig;
}

export type ConfigName = keyof PlatformConfig;

type Parsers = { [K in ConfigName]: (data: Data | undefined) => PlatformConfig[K] };

/** By the part of the ConfigMap's name after `config-`. Every parser throws ConfigError. */
export function configParsers(clusterDomain: string): Parsers {
  return {
    autoscaler: parseAutoscalerConfig,
    certmanager: parseCertManagerConfig,
    defaults: parseDefaults,
    deployment: parseDeploymentConfig,
    domain: (data) => parseDomainConfig(data, clusterDomain),
    features: parseFeatures,
    gc: parseGcConfig,
    leaderElection: parseLeaderElectionConfig,
    logging: parseLoggingConfig,
    network: parseNetworkConfig,
    observability: parseObservabilityConfig,
  };
}

/** `leaderElection` → `config-leader-election`. */
export const configMapName = (name: ConfigName): string =>
  `config-${name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)}`;

export interface ConfigStore {
  readonly current: Readonly<PlatformConfig>;
  /** The listener hears which part changed. Returns the way to stop. */
  onChange(listener: (name: ConfigName) => void): () => void;
}

/** A store that never changes, for tests and for one-shot use. */
export function fixedConfig(current: PlatformConfig): ConfigStore {
  return { current, onChange: () => () => {} };
}

/** Every part from the given data. Throws ConfigError with the problems of all ConfigMaps. */
export function parsePlatformConfig(
  data: (configMap: string) => Data | undefined,
  clusterDomain: string,
): PlatformConfig {
  const problems: string[] = [];
  const parts: Record<string, unknown> = {};
  for (const [name, parse] of Object.entries(configParsers(clusterDomain))) {
    const configMap = configMapName(name as ConfigName);
    try {
      parts[name] = parse(data(configMap));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems.map((problem) => `${configMap}: ${problem}`));
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return parts as unknown as PlatformConfig;
}

/**
 * Reads the ConfigMaps of `namespace` and follows them. Rejects with ConfigError when one is bad at the start; a bad
 * update later is ignored with a warning and the last good values stay.
 */
export async function watchConfig(options: {
  client: KubeClient;
  namespace: string;
  clusterDomain: string;
  log: Logger;
  signal: AbortSignal;
}): Promise<ConfigStore> {
  const { client, namespace, clusterDomain, log, signal } = options;
  const informer = createInformer<ConfigMap>({ client, resource: configMaps, namespace, log });
  informer.run(signal).catch((error: unknown) => log.error({ err: error }, "the watch of the ConfigMaps ended"));
  await informer.synced(signal);

  const dataOf = (configMap: string): Data | undefined => informer.get(`${namespace}/${configMap}`)?.data;
  let current = Object.freeze(parsePlatformConfig(dataOf, clusterDomain));
  const parsers = Object.entries(configParsers(clusterDomain));
  const seen = new Map(parsers.map(([name]) => [name, dataOf(configMapName(name as ConfigName))]));
  const listeners = new Set<(name: ConfigName) => void>();

  informer.onChange(({ object }) => {
    const found = parsers.find(([name]) => configMapName(name as ConfigName) === object.metadata.name);
    if (found === undefined) return;
    const [name, parse] = found;
    const data = dataOf(configMapName(name as ConfigName));
    if (JSON.stringify(seen.get(name)) === JSON.stringify(data)) return;
    seen.set(name, data);
    try {
      current = Object.freeze({ ...current, [name]: parse(data) });
    } catch (error) {
      log.warn({ configMap: object.metadata.name, err: error }, "a bad ConfigMap is ignored, the last good one stays");
      return;
    }
    log.info({ configMap: object.metadata.name }, "configuration changed");
    for (const listener of listeners) listener(name as ConfigName);
  });
  return {
    get current() {
      return current;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
