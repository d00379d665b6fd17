/** Starts local mode as a user does and drives it with the clients a user has. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import http from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "../..");

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Answer {
  status: number;
  body: string;
  headers: http.IncomingHttpHeaders;
}

export interface Addresses {
  kubeconfig: string;
  gateway: string;
  api: string;
}

/** Whether a program is on PATH; where it is not, the tests that need it say what they skip. */
export function has(program: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;
}

/** Free ports of the loopback address, held together so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

export class Cluster {
  readonly data = mkdtempSync(path.join(tmpdir(), "swell-e2e-"));
  gatewayPort = 0;
  apiPort = 0;
  addresses: Addresses | undefined;
  #process: ChildProcess | undefined;

  /** Resolves when the platform is ready; rejects with what it printed when it ends or takes over a minute. */
  async start(...flags: string[]): Promise<Addresses> {
    if (this.gatewayPort === 0) [this.gatewayPort = 0, this.apiPort = 0] = await freePorts(2);
    const args = [
      path.join(root, "process/pinned.mjs"),
      "local/main.ts",
      "--json",
      "--data",
      this.data,
      `--gateway-port=${this.gatewayPort}`,
      `--api-port=${this.apiPort}`,
      ...flags,
    ];
    const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    let printed = "";
    this.addresses = await new Promise<Addresses>((resolve, reject) => {
      const deadline = setTimeout(() => reject(new Error(`not ready after 60 s:\n${printed}`)), 60_000);
      child.on("exit", (code) => reject(new Error(`local mode ended with ${code}:\n${printed}`)));
      child.stderr.on("data", (chunk: Buffer) => (printed += chunk.toString()));
      child.stdout.on("data", (chunk: Buffer) => {
        printed += chunk.toString();
        const line = printed.split("\n").find((text) => text.startsWith("{") && text.endsWith("}"));
        if (line === undefined) return;
        clearTimeout(deadline);
        resolve(JSON.parse(line) as Addresses);
      });
    });
    return this.addresses;
  }

  /** Ctrl-C, then waits for the end. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.on("exit", resolve));
    child.kill("SIGINT");
    await ended;
  }

  /** The process that holds the API server and the node agent: a second `npm start` on the same data names it. */
  clusterPid(): number {
    const launcher = this.#process?.pid;
    if (launcher === undefined) throw new Error("not started");
    for (const pid of processTree(launcher).keys()) if (/[/]local-[^/]*\.mjs/.test(commandLine(pid))) return pid;
    throw new Error("the cluster's process is not there");
  }

  /** Resolves when `npm start` has ended. */
  async ended(): Promise<void> {
    const child = this.#process;
    if (child !== undefined && child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.on("exit", resolve));
  }

  /** What a second `npm start` on the same data says. */
  startAgain(): Promise<Output> {
    const args = ["process/pinned.mjs", "local/main.ts", "--data", this.data, "--gateway-port", "0", "--api-port", "0"];
    return command(process.execPath, [path.join(root, args[0]!), ...args.slice(1)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    // To read the logs of all pods after a failure: they are files below the data folder.
    if (process.env["SWELL_E2E_KEEP"] === undefined) rmSync(this.data, { recursive: true, force: true });
  }

  kubectl(args: readonly string[], input?: string): Promise<Output> {
    return command("kubectl", ["--kubeconfig", path.join(this.data, "kubeconfig"), ...args], input);
  }

  /** kubectl that has to succeed; the answer is what it printed. */
  async k(line: string, input?: string): Promise<string> {
    const output = await this.kubectl(line.split(" "), input);
    if (output.code !== 0) throw new Error(`kubectl ${line}: ${output.stderr || output.stdout}`);
    return output.stdout;
  }

  /** Follows one object (`ksvc hello`) until `accept` says yes; throws with the last state after `deadlineMs`. */
  async until<T>(resource: string, accept: (object: T) => boolean, deadlineMs: number): Promise<T> {
    const endsMs = Date.now() + deadlineMs;
    // As a list of one: `get KIND NAME -w` swallows what changes between kubectl's first look and its watch.
    const [kind = "", name = ""] = resource.split(" ");
    const list = ["get", kind, `--field-selector=metadata.name=${name}`];
    for (;;) {
      const kubeconfig = path.join(this.data, "kubeconfig");
      const args = ["--kubeconfig", kubeconfig, ...list, "-w", "-o", "json"];
      const child = spawn("kubectl", args, { stdio: ["ignore", "pipe", "ignore"] });
      const outcome = await follow<T>(child, accept, Math.max(0, endsMs - Date.now()));
      if (outcome.is === "accepted") return outcome.object;
      if (Date.now() >= endsMs) {
        // A second look tells a state that never came from a watch that did not bring it.
        const { stdout } = await this.kubectl(["get", ...resource.split(" "), "-o", "yaml"]);
        throw new Error(
          `${resource} never came to the state: last seen ${JSON.stringify(outcome.last)}, now ${stdout}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 100)); // the object is not there yet: kubectl has ended
    }
  }

  /** A request to a service by its host, on the gateway's address. */
  request(
    host: string,
    options: { method?: string; path?: string; body?: string; agent?: http.Agent } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = http.request(
        {
          host: "127.0.0.1",
          port: this.gatewayPort,
          method: options.method ?? "GET",
          path: options.path ?? "/",
          headers: { host },
          agent: options.agent,
          timeout: 60_000,
        },
        (response) => {
          let body = "";
          response.setEncoding("utf8");
          response.on("data", (chunk: string) => (body += chunk));
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
          response.on("error", reject);
        },
      );
      request.on("timeout", () => request.destroy(new Error("no answer for 60 s")));
      request.on("error", reject);
      request.end(options.body);
    });
  }
}

type Followed<T> = { is: "accepted"; object: T } | { is: "ended"; last: unknown };

/** Reads the JSON objects that `kubectl get -w -o json` prints, one after the other. */
function follow<T>(child: ChildProcess, accept: (object: T) => boolean, limitMs: number): Promise<Followed<T>> {
  return new Promise((resolve) => {
    let text = "";
    let last: unknown;
    const end = (outcome: Followed<T>): void => {
      clearTimeout(deadline);
      child.kill();
      resolve(outcome);
    };
    const deadline = setTimeout(() => end({ is: "ended", last }), limitMs);
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      for (let stop = text.indexOf("\n}\n"); stop >= 0; stop = text.indexOf("\n}\n")) {
        const object = JSON.parse(text.slice(0, stop + 3)) as T;
        text = text.slice(stop + 3);
        last = object;
        if (accept(object)) return end({ is: "accepted", object });
      }
    });
    child.on("close", () => end({ is: "ended", last }));
  });
}

export function command(program: string, args: readonly string[], input?: string): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
    child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, stdout, stderr }));
    child.stdin?.end(input);
  });
}

/** Every process below `pid`, with its start time so that a reused pid is not mistaken for it. */
export function processTree(pid: number): Map<number, string> {
  const parents = new Map<number, { parent: number; started: string }>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = processStat(Number(entry));
    if (stat !== undefined) parents.set(Number(entry), stat);
  }
  const found = new Map<number, string>();
  const below = (ancestor: number): void => {
    for (const [child, { parent, started }] of parents)
      if (parent === ancestor && !found.has(child)) {
        found.set(child, started);
        below(child);
      }
  };
  below(pid);
  return found;
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

export function isAlive(pid: number, started: string): boolean {
  const stat = processStat(pid);
  return stat !== undefined && stat.started === started && stat.state !== "Z";
}

function processStat(pid: number): { parent: number; started: string; state: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0]!, parent: Number(fields[1]), started: fields[19]! };
  } catch {
    return undefined;
  }
}
