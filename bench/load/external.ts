/** Public load generators, so that nobody has to trust ours: the same scenario, where they can make it. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { has } from "../../test/e2e/cluster.ts";
import { versionOf } from "../contenders/contender.ts";
import { pinned } from "../pinning.ts";
import { host, pathOf, token, tokenHeader, type LoadScenario, type Protocol } from "../scenarios.ts";
import type { Target } from "./job.ts";

export interface ExternalResult {
  requests: number;
  errors: number;
}

export interface ExternalGenerator {
  name: string;
  /** What to do where it cannot run. */
  missing: () => string | undefined;
  version: () => string | undefined;
  /** Uploads and answers of several sizes are left to ours. */
  protocols: readonly Protocol[];
  command: (target: Target, scenario: LoadScenario, seconds: number) => string[];
  read: (output: string) => ExternalResult;
}

const require = createRequire(import.meta.url);
const autocannonFolder = path.dirname(require.resolve("autocannon/package.json"));
const url = ({ host: address, port }: Target, scenario: LoadScenario): string =>
  `http://${address}:${port}${pathOf(scenario)}`;
const figure = (output: string, pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? NaN);

export const externalGenerators: readonly ExternalGenerator[] = [
  {
    name: "hey",
    missing: () => (has("hey") ? undefined : "hey is not installed: apt-get install hey"),
    version: () => undefined,
    protocols: ["http1", "fresh"],
    command: (target, scenario, seconds) =>
      ["hey", "-z", `${seconds}s`, "-c", String(scenario.connections), "-cpus", "1"]
        .concat(scenario.protocol === "fresh" ? ["-disable-keepalive"] : [])
        .concat("-host", host, "-H", `${tokenHeader}: ${token}`, url(target, scenario)),
    read: (output) => {
      const statuses = [...output.matchAll(/^\s+\[(\d+)\]\s+(\d+)/gm)].map(([, status, count]) => ({
        succeeded: status === "200",
        count: Number(count),
      }));
      const sum = (succeeded: boolean): number =>
        statuses.filter((one) => one.succeeded === succeeded).reduce((total, { count }) => total + count, 0);
      return { requests: sum(true), errors: sum(false) };
    },
  },
  {
    name: "autocannon",
    missing: () => undefined,
    version: () => (require("autocannon/package.json") as { version: string }).version,
    protocols: ["http1"],
    command: (target, scenario, seconds) =>
      [process.execPath, path.join(autocannonFolder, "autocannon.js"), "--json", "--no-progress"]
        .concat("-c", String(scenario.connections), "-d", String(seconds))
        .concat("-H", `Host=${host}`, "-H", `${tokenHeader}=${token}`, url(target, scenario)),
    read: (output) => {
      const found = JSON.parse(output.slice(output.indexOf("{"))) as Record<"2xx" | "non2xx" | "errors", number>;
      return { requests: found["2xx"], errors: found.non2xx + found.errors };
    },
  },
  {
    name: "h2load",
    missing: () => (has("h2load") ? undefined : "h2load is not installed: apt-get install nghttp2-client"),
    version: () => versionOf("h2load", "--version"),
    protocols: ["h2c"],
    command: (target, scenario, seconds) =>
      ["h2load", "-c", "5", "-m", String(scenario.connections / 5), "-D", String(seconds)].concat(
        "-H",
        `:authority: ${host}`,
        "-H",
        `${tokenHeader}: ${token}`,
        url(target, scenario),
      ),
    read: (output) => ({
      requests: figure(output, /status codes: (\d+) 2xx/),
      errors: figure(output, /requests: .*?(\d+) failed/),
    }),
  },
];

const graceMs = 20_000;

/** Runs one to its end; rejects when it fails or hangs. */
export function runExternal(
  generator: ExternalGenerator,
  options: { target: Target; scenario: LoadScenario; seconds: number; core: number | undefined },
): Promise<ExternalResult> {
  const { target, scenario, seconds, core } = options;
  const [program, args] = pinned(core, generator.command(target, scenario, seconds));
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: seconds * 1000 + graceMs });
    let output = "";
    let problems = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (problems += chunk));
    child.on("error", reject);
    child.on("close", (code) => {
      const result = code === 0 ? generator.read(output) : undefined;
      if (result !== undefined && result.requests > 0) resolve(result);
      else reject(new Error(`${generator.name} ended with ${code}: ${(problems || output).slice(-500)}`));
    });
  });
}
