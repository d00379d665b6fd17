/** The autoscaler's own bundle as a process, in front of the bench's API server. */
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { request, type Dispatcher } from "undici";
import { port } from "../../api/keys.ts";
import type { DecisionRecord } from "../../autoscaler/decision-log.ts";
import type { DeciderStatus } from "../../autoscaler/multi-scaler.ts";
import { chooseCores } from "../pinning.ts";
import { Program } from "../contenders/contender.ts";

const readyWithinMs = 180_000;
const pollMs = 500;
const healthPort = 8080;
const inspectorPort = 9229;
/** Every port of it is free: other programs listen on 127.0.0.1, and on all addresses at other ports. */
const host = `127.98.${process.pid & 255}.1`;

export class AutoscalerProcess {
  readonly #program: Program;
  readonly host = host;
  readonly statsPort = port.autoscalerStats;

  constructor(bundle: string, apiServer: string, folder: string, inspected = false) {
    mkdirSync(folder, { recursive: true });
    const kubeconfig = path.join(folder, "kubeconfig");
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "bench",
      clusters: [{ name: "bench", cluster: { server: apiServer, "insecure-skip-tls-verify": true } }],
      users: [{ name: "bench", user: { token: "bench" } }],
      contexts: [{ name: "bench", context: { cluster: "bench", user: "bench" } }],
    };
    writeFileSync(kubeconfig, JSON.stringify(config));
    this.#program = new Program({
      name: "autoscaler",
      command: [process.execPath, ...(inspected ? [`--inspect=${host}:${inspectorPort}`] : []), bundle],
      folder,
      core: chooseCores().proxy,
      env: { POD_NAME: "autoscaler-bench", KUBECONFIG: kubeconfig, SWELL_BIND_ADDRESS: host },
    });
  }

  get pid(): number {
    return this.#program.pid;
  }

  /** It has its copies of everything, leads, and decides for so many revisions. */
  async leads(revisions: number): Promise<void> {
    await this.#program.accepts(host, healthPort);
    await this.until(async () => (await this.#get("/readiness")).statusCode === 200, "it does not get ready");
    await this.until(async () => (await this.deciders())?.length === revisions, "it does not decide for everyone");
  }

  async until(holds: () => Promise<boolean>, otherwise: string): Promise<void> {
    const deadlineMs = performance.now() + readyWithinMs;
    // It is a process of its own, and says nothing when it is done.
    while (!(await holds())) {
      if (performance.now() > deadlineMs) throw new Error(`autoscaler: ${otherwise}`);
      await pause(pollMs);
    }
  }

  /** Undefined while it does not lead. */
  async deciders(): Promise<DeciderStatus[] | undefined> {
    const { statusCode, body } = await this.#get("/debug/deciders");
    const answer = await body.json();
    return statusCode === 200 ? (answer as DeciderStatus[]) : undefined;
  }

  async decisions(namespace: string, revision: string): Promise<DecisionRecord[]> {
    const { body } = await this.#get(`/debug/decisions/${namespace}/${revision}`);
    return (await body.json()) as DecisionRecord[];
  }

  /** Series without labels, and with `{name="value"}` as Prometheus writes them. */
  async metrics(): Promise<Map<string, number>> {
    const { body } = await request(`http://${host}:${port.autoMetric}/metrics`);
    const lines = (await body.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => {
        const space = line.lastIndexOf(" ");
        return [line.slice(0, space), Number(line.slice(space + 1))];
      }),
    );
  }

  #get(path: string): Promise<Dispatcher.ResponseData> {
    return request(`http://${host}:${healthPort}${path}`);
  }

  /** KiB of JavaScript objects that are still used; only where it is inspected. */
  async liveHeapKiB(): Promise<number> {
    const { body } = await request(`http://${host}:${inspectorPort}/json`);
    const [target] = (await body.json()) as { webSocketDebuggerUrl: string }[];
    const socket = new WebSocket(target?.webSocketDebuggerUrl ?? "");
    try {
      await once(socket, "open");
      const ask = async (id: number, method: string): Promise<{ usedSize: number }> => {
        const answer = once(socket, "message") as Promise<[{ data: string }]>;
        socket.send(JSON.stringify({ id, method }));
        const [{ data }] = await answer;
        return (JSON.parse(data) as { result: { usedSize: number } }).result;
      };
      // What the first collection frees may free more.
      await ask(1, "HeapProfiler.collectGarbage");
      await ask(2, "HeapProfiler.collectGarbage");
      const { usedSize } = await ask(3, "Runtime.getHeapUsage");
      return usedSize / 1024;
    } finally {
      socket.close();
    }
  }

  stop(): Promise<void> {
    return this.#program.stop();
  }
}
