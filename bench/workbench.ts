/** What every measurement of contenders needs: folders, addresses, the apps, the generator. Ends all it started. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { has } from "../test/e2e/cluster.ts";
import { nginxApp } from "./app/nginx-app.ts";
import { Program, versionOf, type Contender, type Running, type Setting } from "./contenders/contender.ts";
import { makeContenders } from "./contenders/index.ts";
import { Generator } from "./load/generator.ts";
import { chooseCores, pinSelf, type Cores } from "./pinning.ts";
import type { LoadScenario } from "./scenarios.ts";

interface App {
  about: string;
  program: Program;
  port: number;
}

export class Workbench {
  readonly cores: Cores;
  readonly generator: Generator;
  readonly contenders: readonly Contender[];
  /** The sidecar's bundle. */
  readonly sidecar: string;
  readonly #folder: string;
  readonly #apps: Readonly<Record<"answers" | "uploads" | "h2c", App | undefined>>;
  readonly #running = new Set<Running>();
  #starts = 0;

  private constructor(parts: {
    folder: string;
    cores: Cores;
    made: Awaited<ReturnType<typeof makeContenders>>;
    apps: Workbench["apps"];
  }) {
    this.#folder = parts.folder;
    this.cores = parts.cores;
    this.contenders = parts.made.contenders;
    this.sidecar = parts.made.sidecar;
    this.#apps = parts.apps;
    this.generator = new Generator(parts.cores.load);
  }

  static async open(): Promise<Workbench> {
    const folder = mkdtempSync(path.join(tmpdir(), "swell-bench-"));
    try {
      const cores = chooseCores();
      const made = await makeContenders(folder); // esbuild's threads may still have every core
      pinSelf(cores.load);
      const apps = await startApps(folder, cores.app);
      return new Workbench({ folder, cores, made, apps });
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get apps(): Readonly<Record<"answers" | "uploads" | "h2c", App | undefined>> {
    return this.#apps;
  }

  /** The app of this scenario; undefined where none can serve it. */
  appFor({ protocol, requestBytes }: LoadScenario): App | undefined {
    return protocol === "h2c"
      ? this.#apps.h2c
      : protocol === "websocket" || requestBytes > 0
        ? this.#apps.uploads
        : this.#apps.answers;
  }

  /** The app itself, as a contender that runs already. */
  appAlone(scenario: LoadScenario): Running {
    const app = this.appFor(scenario)!;
    return { host: "127.0.0.1", port: app.port, pids: () => app.program.pids(), stop: () => Promise.resolve() };
  }

  async start(contender: Contender, scenario: LoadScenario): Promise<Running> {
    const setting: Setting = {
      folder: path.join(this.#folder, `${++this.#starts}`),
      address: this.#address(),
      app: { port: this.appFor(scenario)!.port, protocol: scenario.protocol === "h2c" ? "h2c" : "http1" },
      containerConcurrency: scenario.containerConcurrency,
      core: this.cores.proxy,
    };
    mkdirSync(setting.folder);
    const running = await contender.start(setting);
    this.#running.add(running);
    const stop = async (): Promise<void> => {
      this.#running.delete(running);
      await running.stop();
      rmSync(setting.folder, { recursive: true, force: true });
    };
    return { ...running, stop };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.generator.stop();
    await Promise.all([...this.#running].map((running) => running.stop()));
    const programs = new Set(Object.values(this.#apps).flatMap((app) => (app === undefined ? [] : [app.program])));
    await Promise.all([...programs].map((program) => program.stop("SIGTERM")));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Two for each start, of a loopback network of this process. Every port of them is free. */
  #address(): string {
    const last = ((this.#starts * 2) % 250) + 1;
    return `127.${88 + (process.pid & 7)}.${(process.pid >> 3) & 255}.${last}`;
  }
}

async function startApps(folder: string, core: number | undefined): Promise<Workbench["apps"]> {
  const [nodePort, http1, h2c] = [await freePort(), await freePort(), await freePort()];
  const node = new Program({
    name: "node-app",
    command: [process.execPath, path.join(import.meta.dirname, "app", "node-app.ts"), String(nodePort)],
    folder,
    core,
  });
  await node.accepts("127.0.0.1", nodePort);
  const uploads: App = { about: "our app on node:net", program: node, port: nodePort };
  if (!has("nginx")) return { answers: uploads, uploads, h2c: undefined };
  const file = path.join(folder, "app.conf");
  writeFileSync(file, nginxApp(folder, { http1, h2c }));
  const command = ["nginx", "-e", path.join(folder, "error.log"), "-p", folder, "-c", file];
  const program = new Program({ name: "nginx-app", command, folder, core });
  await program.accepts("127.0.0.1", http1);
  const about = `nginx ${versionOf("nginx", "-v") ?? ""}, fixed answers`;
  return { answers: { about, program, port: http1 }, uploads, h2c: { about, program, port: h2c } };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}
