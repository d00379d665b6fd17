/** `npm start -- [flags]`: a local cluster with the platform and a sample in it, until Ctrl-C. */
import { Command } from "commander";
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { ConfigError } from "../process/env.ts";
import type { ClusterInput } from "./cluster.ts";
import { clusterConfig, defaultFlags, type ClusterConfig, type StartFlags } from "./config.ts";
import { prepare } from "./programs.ts";
import type { Addresses, Progress } from "./progress.ts";
import { readyText, stepLine } from "./start-output.ts";

/** The cluster ends by itself within this after it was told to. */
const stopWithinMs = 20_000;

const root = path.dirname(import.meta.dirname);
// npm changes to the project's folder; paths on the command line mean the folder that the person is in.
const callerFolder = process.env["INIT_CWD"] ?? process.cwd();
const startedMs = Date.now() - performance.now();

const program = new Command("npm start --")
  .description("A local Kubernetes with Swell in it, as processes of this machine. Ctrl-C ends it; its data stays.")
  .option("--data <dir>", "where the cluster keeps its data (default: .swell in the project)")
  .option("--gateway-port <port>", "port for requests, 0 for any free one", defaultFlags.gatewayPort)
  .option("--api-port <port>", "port of the Kubernetes API, 0 for any free one", defaultFlags.apiPort)
  .option("--domain <name>", `domain below which Services get their host names (default: ${defaultFlags.domain})`)
  .option("--no-sample", "do not deploy the sample Service hello")
  .option("--json", "print one line of JSON with all addresses when ready, and the rest to standard error")
  .showHelpAfterError()
  .parse();
const flags = program.opts<Omit<StartFlags, "data"> & { data?: string; json?: boolean }>();

// With --json standard output is for the program that reads it.
const say = (text: string): void => void (flags.json === true ? process.stderr : process.stdout).write(`${text}\n`);

function fail(message: string): never {
  process.stderr.write(`error: ${message}\n`);
  process.exit(1);
}

function config(): ClusterConfig {
  const data = flags.data === undefined ? path.join(root, defaultFlags.data) : path.resolve(callerFolder, flags.data);
  try {
    return clusterConfig({ ...flags, data }, root);
  } catch (error) {
    if (error instanceof ConfigError) fail(error.problems.join("\n       "));
    throw error;
  }
}

/** What the cluster process writes before it holds the data folder: the log of another one may lie there. */
const startLog = (data: string): string => path.join(data, `start-${process.pid}.log`);

function startCluster(input: Omit<ClusterInput, "startLog">): ChildProcess {
  const { data } = input.config;
  mkdirSync(data, { recursive: true, mode: 0o700 });
  const log = openSync(startLog(data), "w", 0o600);
  const bundle = input.bundles["local"];
  if (bundle === undefined) fail("there is no bundle of the cluster process");
  const cluster = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", bundle], {
    cwd: root,
    stdio: ["ignore", log, log, "ipc"],
    // Out of the terminal's process group: Ctrl-C comes to this process only, which passes it on once.
    detached: true,
  });
  // Should it be gone already, its end tells more than the failure to send.
  cluster.send({ ...input, startLog: startLog(data) } satisfies ClusterInput, () => {});
  return cluster;
}

const { data, ...rest } = config();
say(`Swell ${version()}`);
const prepared = await prepare(root).catch((error: unknown) => fail(`cannot bundle the programs: ${String(error)}`));
if (prepared.isNew) say(stepLine("programs bundled", performance.now()));
const { bundles, manifests } = prepared;
const cluster = startCluster({ config: { data, ...rest }, bundles, manifests, root });

let isStopping = false;
let failure: string | undefined;
cluster.on("message", (progress: Progress) => {
  switch (progress.is) {
    case "step":
      return say(stepLine(progress.text, progress.tookMs));
    case "note":
      return say(`note: ${progress.text}`);
    case "failed":
      failure = progress.message;
      return;
    case "ready":
      return ready(progress.addresses);
  }
});

function ready(addresses: Addresses): void {
  const readyMs = Math.round(Date.now() - startedMs);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ ...addresses, readyMs })}\n`);
  else say(readyText(addresses, readyMs, callerFolder));
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {
    if (isStopping) return; // Ctrl-C may arrive twice, from the terminal and from npm
    isStopping = true;
    say("Stopping …");
    cluster.kill("SIGTERM");
    setTimeout(() => {
      cluster.kill("SIGKILL");
      fail("the cluster did not stop in time and was killed; its next start ends what is left of it");
    }, stopWithinMs).unref();
  });

cluster.on("error", (error) => fail(`cannot start the cluster process: ${error.message}`));
cluster.on("exit", (code, signal) => {
  if (failure !== undefined) {
    rmSync(startLog(data), { force: true }); // it says the same, and only exists if the folder was another's
    fail(failure);
  }
  if (isStopping && code === 0) {
    say("Stopped.");
    process.exit(0);
  }
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  fail(
    `the cluster process ended (${how}); its log: ${path.join(data, "cluster.log")}; the next start ends what it left running`,
  );
});

function version(): string {
  return (JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string }).version;
}
