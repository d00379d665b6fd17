/** The command line of `npm start`, checked, and what the cluster process gets of it. */
import path from "node:path";
import { ConfigError } from "../process/env.ts";

/** As the command line gives them: all text. */
export interface StartFlags {
  data: string;
  gatewayPort: string;
  apiPort: string;
  domain?: string;
  sample: boolean;
}

export interface ClusterConfig {
  /** Absolute path of the data folder: everything the cluster keeps. */
  data: string;
  /** 0 picks a free one. */
  gatewayPort: number;
  apiPort: number;
  /** Undefined keeps what the cluster has: `localhost` in a new one. */
  domain: string | undefined;
  sample: boolean;
}

export const defaultFlags = { data: ".swell", gatewayPort: "8080", apiPort: "7443", domain: "localhost" } as const;

/** Throws {@link ConfigError} with every problem. Relative paths count from `folder`. */
export function clusterConfig(flags: StartFlags, folder: string): ClusterConfig {
  const problems: string[] = [];
  const port = (flag: string, text: string): number => {
    if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
    problems.push(`${flag} ${text}: want a port from 1 to 65535, or 0 for any free one`);
    return 0;
  };
  const config: ClusterConfig = {
    data: path.resolve(folder, flags.data),
    gatewayPort: port("--gateway-port", flags.gatewayPort),
    apiPort: port("--api-port", flags.apiPort),
    domain: flags.domain,
    sample: flags.sample,
  };
  if (flags.domain !== undefined && !isDomain(flags.domain))
    problems.push(`--domain ${flags.domain}: want a domain name in lower case, such as localhost or dev.example.com`);
  if (config.gatewayPort !== 0 && config.gatewayPort === config.apiPort)
    problems.push(`--gateway-port and --api-port are both ${config.apiPort}: give one of them another port`);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(config);
}

function isDomain(text: string): boolean {
  return text.length <= 253 && text.split(".").every((part) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(part));
}
