/**
 * The node: takes pods that have none, runs each as a few processes, and tells the API how they are. Requests never
 * come through here.
 */
import { chmodSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { pods, services, type Pod, type Service } from "../../api/core.ts";
import { BackOff, pause } from "../../kube/back-off.ts";
import { isConflict, isNotFound, type KubeClient } from "../../kube/client.ts";
import { eventRecorder } from "../../kube/events.ts";
import { createInformer, type Change } from "../../kube/informer.ts";
import { updateStatus } from "../../kube/write.ts";
import type { Logger } from "../../process/logger.ts";
import type { ImageStore } from "../image/store.ts";
import { AddressPool, PortPool } from "./addresses.ts";
import { keepHostsFile } from "./hosts-file.ts";
import type { NodeContext } from "./node-context.ts";
import { nodeLabels, registerNode } from "./node-object.ts";
import type { HostListen } from "../ports.ts";
import { podAddress, podExec, type PodCommand, type PodExecOptions } from "./pod-exec.ts";
import { podLogs, type PodLogOptions } from "./pod-logs.ts";
import { unschedulableStatus } from "./pod-status.ts";
import { containerPast, PodWorker } from "./pod-worker.ts";
import { ProcessRecords, type ProcessRecord } from "./process-records.ts";
import { allocatable, subtract, unschedulable, type Resources } from "./scheduling.ts";
import { StartPacing } from "./start-pacing.ts";

export interface NodeAgentOptions {
  client: KubeClient;
  folder: string;
  nodeName: string;
  /** First two octets of the pods' addresses: `127.93`. */
  podCidr: string;
  images: ImageStore;
  /** Pods find it first on their PATH. */
  nodeBin: string;
  issueToken: (namespace: string, serviceAccount: string, podUid: string) => string;
  apiServer: { url: string; ca: string };
  hostListen: (pod: Pod, services: Service[]) => HostListen | undefined;
  /** What a former run left behind, where the caller has ended it already ({@link ProcessRecords}). */
  leftovers?: readonly ProcessRecord[];
  log: Logger;
}

export interface NodeAgent {
  pods: {
    logs(pod: Pod, container: string, options: PodLogOptions, signal: AbortSignal): AsyncIterable<Uint8Array>;
    exec(pod: Pod, container: string, options: PodExecOptions): Promise<PodCommand>;
    address(pod: Pod, port: number): { host: string; port: number };
  };
  /** Ends every process; pods stay stored. */
  stop(): Promise<void>;
}

const hostIP = "127.0.0.1";
const platformNamespaces = new Set(["kube-system", "knative-serving"]);
/** A pod that takes longer to become ready lets the next one start. */
const maxStartMs = 2000;
/** From SIGTERM to SIGKILL when the node stops. */
const stopGraceMs = 5000;
const startNice = 5;

/**
 * Resolves when what a former run left behind is gone, the Node is registered and every stored pod is being started
 * (and no longer called ready).
 */
export async function startNodeAgent(options: NodeAgentOptions): Promise<NodeAgent> {
  const { client, nodeName, log } = options;
  const folder = path.resolve(options.folder);
  mkdirSync(path.join(folder, "pods"), { recursive: true });
  chmodSync(folder, 0o700); // tokens and Secrets lie below
  const records = new ProcessRecords(folder);
  const leftovers = options.leftovers ?? (await records.endLeftovers());
  if (leftovers.length > 0) log.info({ processes: leftovers.length }, "ended the processes of a former run");
  const offered = allocatable({ cores: os.availableParallelism(), memoryBytes: os.totalmem() });
  await registerNode(client, {
    name: nodeName,
    hostIP,
    podCidr: options.podCidr,
    allocatable: offered,
    nowMs: Date.now(),
  });

  const stop = new AbortController();
  const serviceInformer = createInformer<Service>({ client, resource: services, log });
  const podInformer = createInformer<Pod>({ client, resource: pods, log });
  const hostsFile = path.join(folder, "hosts");
  const imageListeners = new Set<() => void>();
  options.images.onChange(() => {
    for (const listener of imageListeners) listener();
  }, stop.signal);
  void serviceInformer.run(stop.signal);
  await Promise.all([
    serviceInformer.synced(stop.signal),
    keepHostsFile({ file: hostsFile, client, log }, stop.signal),
  ]);

  const agent = new Agent(
    {
      client,
      folder,
      nodeName,
      hostIP,
      allocatable: offered,
      images: options.images,
      onImagesChanged: (listener) => {
        imageListeners.add(listener);
        return () => imageListeners.delete(listener);
      },
      nodeBin: options.nodeBin,
      issueToken: options.issueToken,
      apiServer: options.apiServer,
      hostListen: options.hostListen,
      services: serviceInformer,
      hostsFile,
      addresses: new AddressPool(options.podCidr),
      ports: new PortPool(Number(options.podCidr.split(".")[1] ?? 0)),
      pacing: new StartPacing({ limit: os.availableParallelism(), maxHoldMs: maxStartMs }),
      records,
      event: eventRecorder({ client, component: "node-agent", log }),
      // Without the right to undo it, every pod would stay nicer for ever.
      startNice: process.getuid?.() === 0 ? startNice : 0,
      log,
    },
    leftovers,
  );
  podInformer.onChange((change) => agent.podChanged(change));
  void podInformer.run(stop.signal);
  await podInformer.synced(stop.signal);
  agent.forgetFoldersExcept(podInformer.list());
  await agent.started();

  const killAll = (): void => agent.killNow();
  process.once("exit", killAll);
  return {
    pods: {
      logs: (pod, container, logOptions, signal) =>
        podLogs(folder, agent.worker(pod.metadata.uid), pod, container, logOptions, signal),
      exec: (pod, container, execOptions) => podExec(agent.worker(pod.metadata.uid), container, execOptions),
      address: (pod, port) => podAddress(agent.worker(pod.metadata.uid), pod, port),
    },
    async stop() {
      stop.abort();
      await agent.shutDown();
      process.off("exit", killAll);
    },
  };
}

class Agent {
  readonly #node: NodeContext;
  readonly #workers = new Map<string, PodWorker>();
  /** By uid; wait for room. */
  readonly #unscheduled = new Map<string, Pod>();
  readonly #killed = new Set<string>();
  readonly #stopped = new AbortController();

  constructor(node: NodeContext, leftovers: readonly ProcessRecord[]) {
    this.#node = node;
    for (const { podUid, container } of leftovers) this.#killed.add(`${podUid}/${container}`);
  }

  worker(uid: string | undefined): PodWorker | undefined {
    return this.#workers.get(uid ?? "");
  }

  podChanged(change: Change<Pod>): void {
    if (this.#stopped.signal.aborted) return;
    const pod = change.object;
    const uid = pod.metadata.uid ?? "";
    const worker = this.#workers.get(uid);
    if (change.is === "deleted") {
      this.#unscheduled.delete(uid);
      worker?.end();
    } else if (worker !== undefined) worker.update(pod);
    else this.#consider(pod);
  }

  /** Resolves when the API knows of every pod taken so far that it is not ready yet. */
  async started(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.firstStatus));
    this.#killed.clear();
  }

  async shutDown(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([...this.#workers.values()].map((worker) => worker.shutDown(stopGraceMs)));
  }

  killNow(): void {
    for (const worker of this.#workers.values()) worker.killNow();
  }

  /** Removes what pods that no longer exist left on the disk. */
  forgetFoldersExcept(existing: readonly Pod[]): void {
    const known = new Set(existing.map(({ metadata }) => metadata.uid));
    const folder = path.join(this.#node.folder, "pods");
    for (const uid of readdirSync(folder))
      if (!known.has(uid)) rmSync(path.join(folder, uid), { recursive: true, force: true });
  }

  #consider(pod: Pod): void {
    const { uid = "", deletionTimestamp } = pod.metadata;
    const { nodeName = "" } = pod.spec;
    if (nodeName !== "" && nodeName !== this.#node.nodeName) return;
    if (deletionTimestamp !== undefined) {
      // It has no processes here: a former run of the node did not come to delete it.
      this.#unscheduled.delete(uid);
      void this.#retry(`delete of ${pod.metadata.name}`, () =>
        this.#node.client.delete(pods, pod.metadata.name ?? "", pod.metadata.namespace, {
          gracePeriodSeconds: 0,
          preconditions: { uid },
        }),
      );
      return;
    }
    if (pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed") return;
    if (nodeName !== "") return this.#start(pod, Promise.resolve());
    const problem = unschedulable(pod, this.#free(), nodeLabels(this.#node.nodeName));
    if (problem === undefined) {
      this.#unscheduled.delete(uid);
      this.#node.event(
        pod,
        "Normal",
        "Scheduled",
        `Successfully assigned ${pod.metadata.namespace}/${pod.metadata.name} to ${this.#node.nodeName}`,
      );
      return this.#start(pod, this.#bind(pod));
    }
    const isNews = pod.status?.conditions?.find(({ type }) => type === "PodScheduled")?.message !== problem;
    this.#unscheduled.set(uid, pod);
    if (!isNews) return;
    this.#node.event(pod, "Warning", "FailedScheduling", problem);
    const status = unschedulableStatus(pod, problem, Date.now());
    void this.#retry(`status of ${pod.metadata.name}`, async () => {
      await updateStatus(this.#node.client, pods, { ...pod, status }, pod);
    });
  }

  #start(pod: Pod, bound: Promise<void>): void {
    const { uid = "", namespace = "" } = pod.metadata;
    const nowMs = Date.now();
    const worker = new PodWorker({
      node: this.#node,
      pod,
      past: (container) => containerPast(pod, container, this.#killed.has(`${uid}/${container}`), nowMs),
      bound,
      isPlatform: platformNamespaces.has(namespace),
      onEnd: () => {
        this.#workers.delete(uid);
        this.#scheduleWaiting();
      },
      onFinished: () => this.#scheduleWaiting(),
    });
    this.#workers.set(uid, worker);
    worker.start();
  }

  async #bind(pod: Pod): Promise<void> {
    const { name = "", namespace } = pod.metadata;
    await this.#retry(`binding of ${name}`, async () => {
      await this.#node.client.patch(pods, name, namespace, {
        is: "merge",
        body: { metadata: { uid: pod.metadata.uid }, spec: { nodeName: this.#node.nodeName } },
      });
    });
  }

  #free(): Resources {
    let free = this.#node.allocatable;
    for (const worker of this.#workers.values()) if (!worker.isFinished) free = subtract(free, worker.requests);
    return free;
  }

  #scheduleWaiting(): void {
    if (this.#stopped.signal.aborted) return;
    for (const pod of this.#unscheduled.values()) this.#consider(pod);
  }

  /** Tries until it works, the object is gone, or the node stops. */
  async #retry(what: string, write: () => Promise<void>): Promise<void> {
    const backOff = new BackOff({ firstMs: 50, maxMs: 10_000 });
    while (!this.#stopped.signal.aborted)
      try {
        return await write();
      } catch (error) {
        if (isNotFound(error) || isConflict(error)) return;
        this.#node.log.warn({ err: error, what }, "the API refuses a write of the node");
        await pause(backOff.nextMs(), this.#stopped.signal);
      }
  }
}
