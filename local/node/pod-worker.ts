/** One pod on this node: its folder, its containers, its status, its end. */
import { mkdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { pods, type Container, type Pod } from "../../api/core.ts";
import { BackOff, pause } from "../../kube/back-off.ts";
import { isConflict, isNotFound } from "../../kube/client.ts";
import { updateStatus } from "../../kube/write.ts";
import type { Logger } from "../../process/logger.ts";
import { ContainerRunner, type ContainerPast } from "./container-runner.ts";
import { placeOf, readSources } from "./container-setup.ts";
import { ContainerConfigError, portOfEnvironment } from "./environment.ts";
import { podKubeconfig } from "./kubeconfig.ts";
import type { NodeContext, PodContext } from "./node-context.ts";
import { podPhase, podStatus, restarts, timestamp, type PodStatus } from "./pod-status.ts";
import { requestsOf, type Resources } from "./scheduling.ts";
import type { Place } from "./start-pacing.ts";
import { volumeSources, writeVolumes } from "./volumes.ts";

const defaultGraceSeconds = 30;
const maxDeleteTries = 10;

export interface PodWorkerOptions {
  node: NodeContext;
  pod: Pod;
  /** Container name → what it went through before. */
  past: (container: string) => ContainerPast;
  /** Resolves when the pod is bound to this node. */
  bound: Promise<void>;
  /** Starts before pods of people do. */
  isPlatform: boolean;
  /** The pod holds nothing of the node any more. */
  onEnd: () => void;
  /** All its containers ended for good: it reserves nothing. */
  onFinished: () => void;
}

export class PodWorker {
  readonly uid: string;
  readonly folder: string;
  readonly podIP: string;
  readonly #node: NodeContext;
  readonly #options: PodWorkerOptions;
  readonly #log: Logger;
  readonly #init: ContainerRunner[];
  readonly #main: ContainerRunner[];
  readonly #portMap = new Map<number, number>();
  readonly #volumes = new Map<string, string>();
  readonly #startedMs = Date.now();
  /** Aborts when nothing of the pod may start any more. */
  readonly #stop = new AbortController();
  /** Aborts when the pod's status is nobody's concern any more. */
  readonly #over = new AbortController();
  readonly #firstStatus = Promise.withResolvers<void>();
  #pod: Pod;
  #context: PodContext;
  #place: Place | undefined;
  #running: Promise<void> = Promise.resolve();
  #wasReady = false;
  #isDirty = false;
  #isWriting = false;
  #graceSeconds: number | undefined;
  #written: PodStatus | undefined;
  #isEnding = false;

  constructor(options: PodWorkerOptions) {
    const { node, pod, past } = options;
    this.#options = options;
    this.#node = node;
    this.#pod = pod;
    this.uid = pod.metadata.uid ?? "";
    this.folder = path.join(node.folder, "pods", this.uid);
    this.podIP = node.addresses.take();
    this.#log = node.log.child({ pod: `${pod.metadata.namespace}/${pod.metadata.name}` });
    this.#context = {
      pod: () => this.#pod,
      podIP: this.podIP,
      folder: this.folder,
      portMap: this.#portMap,
      volumes: this.#volumes,
      kubeconfig: pod.spec.automountServiceAccountToken === false ? "" : path.join(this.folder, "kubeconfig"),
      changed: () => this.#changed(),
      event: (type, reason, message) => node.event(this.#pod, type, reason, message),
    };
    const { restartPolicy: policy, initContainers = [] } = pod.spec;
    const waitingReason = initContainers.length > 0 ? "PodInitializing" : "ContainerCreating";
    const runner = (container: Container, own: string | undefined): ContainerRunner =>
      new ContainerRunner({
        node,
        context: this.#context,
        container,
        policy: own,
        waitingReason,
        past: past(container.name),
      });
    // An init container that fails is tried again unless the pod is to run once; one that succeeded is done.
    this.#init = initContainers.map((container) => runner(container, policy === "Never" ? "Never" : "OnFailure"));
    this.#main = pod.spec.containers.map((container) => runner(container, policy));
  }

  get requests(): Resources {
    return requestsOf(this.#pod);
  }

  /** Its containers ended and will not start again. */
  get isFinished(): boolean {
    const phase = this.#phase();
    return phase === "Succeeded" || phase === "Failed";
  }

  /** Resolves when the status was written for the first time. */
  get firstStatus(): Promise<void> {
    return this.#firstStatus.promise;
  }

  container(name: string): ContainerRunner | undefined {
    return [...this.#main, ...this.#init].find((runner) => runner.container.name === name);
  }

  /** Where a port of the pod is reached: a container that takes its port from PORT listens on another one. */
  address(port: number): { host: string; port: number } {
    return { host: this.podIP, port: this.#portMap.get(port) ?? port };
  }

  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#log.error({ err: error }, "a pod stopped by an error");
    });
    this.#changed();
    this.update(this.#pod);
  }

  /** A newer state of the object. */
  update(pod: Pod): void {
    // What this node wrote last is newer than any event of an earlier write.
    const status = this.#written ?? pod.status;
    this.#pod = status === undefined ? pod : { ...pod, status };
    const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
    if (deletionTimestamp === undefined || this.#over.signal.aborted) return;
    const graceSeconds = deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? defaultGraceSeconds;
    if (this.#graceSeconds === undefined) this.#beginTermination(graceSeconds * 1000);
    else if (graceSeconds < this.#graceSeconds)
      // Deleted again, with less patience.
      void pause(graceSeconds * 1000, this.#over.signal).then(() => this.#signalAll("SIGKILL"));
    this.#graceSeconds = Math.min(graceSeconds, this.#graceSeconds ?? Infinity);
  }

  /** The object is gone: everything ends at once. */
  end(): void {
    this.#over.abort();
    this.#stop.abort();
    void this.#signalAll("SIGKILL");
    if (this.#isEnding) return; // its grace period was running: that cleans up
    this.#isEnding = true;
    void this.#running.then(() => this.#cleanUp());
  }

  /** The node stops: processes end, what is stored stays. */
  async shutDown(graceMs: number): Promise<void> {
    this.#over.abort();
    this.#stop.abort();
    const kill = setTimeout(() => void this.#signalAll("SIGKILL"), graceMs);
    await this.#signalAll("SIGTERM");
    await this.#running;
    clearTimeout(kill);
  }

  /** Sends SIGKILL to everything and waits for nothing: for the very end of this process. */
  killNow(): void {
    void this.#signalAll("SIGKILL");
  }

  async #run(): Promise<void> {
    const stop = this.#stop.signal;
    await this.#prepare(stop);
    for (const runner of this.#init) {
      const exitCode = await runner.start(stop);
      if (exitCode !== 0 || stop.aborted) return this.#finished();
    }
    this.#place = await this.#node.pacing.place(this.#options.isPlatform, stop);
    const starting = Promise.all(this.#main.map((runner) => runner.start(stop)));
    // Who waits for an image must not keep others from starting.
    if (this.#main.some(({ container }) => this.#node.images.resolve(container.image ?? "") === undefined))
      this.#place.release();
    try {
      await starting;
    } finally {
      this.#place.release();
    }
    this.#finished();
  }

  #finished(): void {
    this.#changed();
    if (!this.#stop.signal.aborted) this.#options.onFinished();
  }

  /** Folder, kubeconfig, ports and volumes; tries again while something is missing. */
  async #prepare(stop: AbortSignal): Promise<void> {
    const backOff = new BackOff({ firstMs: 500, maxMs: 30_000 });
    while (!stop.aborted)
      try {
        return await this.#prepareOnce();
      } catch (error) {
        this.#context.event("Warning", "FailedMount", `MountVolume.SetUp failed: ${(error as Error).message}`);
        if (!(error instanceof ContainerConfigError)) this.#log.warn({ err: error }, "cannot prepare the pod's folder");
        await pause(backOff.nextMs(), stop);
      }
  }

  async #prepareOnce(): Promise<void> {
    for (const folder of ["tmp", "home", "logs"]) mkdirSync(path.join(this.folder, folder), { recursive: true });
    const { namespace = "", uid = "" } = this.#pod.metadata;
    const token = (): string => this.#node.issueToken(namespace, this.#pod.spec.serviceAccountName ?? "default", uid);
    if (this.#context.kubeconfig !== "")
      writeFileSync(this.#context.kubeconfig, podKubeconfig(this.#node.apiServer, token(), namespace), { mode: 0o600 });
    for (const { container } of this.#main) {
      const port = portOfEnvironment(container);
      if (port !== undefined && !this.#portMap.has(port)) this.#portMap.set(port, await this.#node.ports.take());
    }
    if (this.#pod.spec.volumes === undefined || this.#pod.spec.volumes.length === 0) return;
    const sources = await readSources(this.#node.client, namespace, volumeSources(this.#pod));
    const place = placeOf(this.#node, this.podIP);
    const folders = await writeVolumes(path.join(this.folder, "volumes"), { pod: this.#pod, place, sources, token });
    for (const [name, folder] of folders) this.#volumes.set(name, folder);
  }

  #beginTermination(graceMs: number): void {
    this.#isEnding = true;
    void this.#terminate(graceMs);
  }

  async #terminate(graceMs: number): Promise<void> {
    this.#stop.abort();
    this.#place?.release();
    const all = [...this.#init, ...this.#main];
    for (const { container, log } of all)
      if (log !== undefined) this.#context.event("Normal", "Killing", `Stopping container ${container.name}`);
    await Promise.all(all.map((runner) => runner.terminate(graceMs)));
    await this.#running;
    if (!this.#over.signal.aborted) await this.#delete();
    this.#over.abort();
    await this.#cleanUp();
  }

  async #delete(): Promise<void> {
    const { name = "", namespace = "", uid } = this.#pod.metadata;
    const backOff = new BackOff({ firstMs: 50, maxMs: 5000 });
    for (let tries = 1; tries <= maxDeleteTries && !this.#over.signal.aborted; tries++)
      try {
        await this.#options.bound;
        return await this.#node.client.delete(pods, name, namespace, {
          gracePeriodSeconds: 0,
          ...(uid === undefined ? {} : { preconditions: { uid } }),
        });
      } catch (error) {
        if (isNotFound(error) || isConflict(error)) return;
        this.#log.warn({ err: error, tries }, "cannot delete a pod that has ended");
        await pause(backOff.nextMs(), this.#over.signal);
      }
  }

  async #signalAll(signal: NodeJS.Signals): Promise<void> {
    await Promise.all([...this.#init, ...this.#main].map((runner) => runner.signal(signal)));
  }

  async #cleanUp(): Promise<void> {
    this.#node.addresses.release(this.podIP);
    for (const port of this.#portMap.values()) this.#node.ports.release(port);
    await rm(this.folder, { recursive: true, force: true, maxRetries: 3 }).catch((error: unknown) =>
      this.#log.warn({ err: error, folder: this.folder }, "cannot remove a pod's folder"),
    );
    this.#options.onEnd();
  }

  #phase(): string {
    const statuses = (runners: readonly ContainerRunner[]) => runners.map((runner) => runner.status());
    return podPhase(this.#pod, statuses(this.#main), statuses(this.#init));
  }

  #changed(): void {
    const isReady = this.#main.every((runner) => runner.isReady);
    if (isReady && !this.#wasReady) {
      this.#place?.release();
      for (const runner of this.#main) runner.unNice();
    }
    this.#wasReady = isReady;
    this.#isDirty = true;
    if (this.#isWriting) return;
    this.#isWriting = true;
    // What changes in the same turn (both containers started, say) is one write.
    setImmediate(() => void this.#write());
  }

  async #write(): Promise<void> {
    const backOff = new BackOff({ firstMs: 50, maxMs: 5000 });
    await this.#options.bound.catch(() => {});
    while (this.#isDirty && !this.#over.signal.aborted) {
      this.#isDirty = false;
      const status = podStatus({
        pod: this.#pod,
        podIP: this.podIP,
        hostIP: this.#node.hostIP,
        startedMs: this.#startedMs,
        containers: this.#main.map((runner) => runner.status()),
        initContainers: this.#init.map((runner) => runner.status()),
        listeningProblem: this.#wasReady
          ? undefined
          : this.#main.find((runner) => runner.listeningProblem !== undefined)?.listeningProblem,
        nowMs: Date.now(),
      });
      // The status is this node's alone: no version to compare, so no conflict with who changes labels.
      const { resourceVersion: _, ...metadata } = this.#pod.metadata;
      try {
        const stored = await updateStatus(this.#node.client, pods, { ...this.#pod, metadata, status }, this.#pod);
        this.#written = stored.status ?? status;
        this.#pod = { ...this.#pod, status: this.#written };
        this.#firstStatus.resolve();
      } catch (error) {
        if (isNotFound(error) || isConflict(error)) break; // deleted, or replaced by a namesake
        this.#log.warn({ err: error }, "cannot write a pod's status");
        this.#isDirty = true;
        await pause(backOff.nextMs(), this.#over.signal);
      }
    }
    this.#isWriting = false;
    this.#firstStatus.resolve();
  }
}

/** Restart counts and the reason of the last end, for containers that ran before this node came back. */
export function containerPast(pod: Pod, container: string, wasKilled: boolean, nowMs: number): ContainerPast {
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  const status = statuses.find(({ name }) => name === container);
  if (status === undefined) return { restartCount: 0 };
  const { state = {}, restartCount } = status;
  const hasRun = state.running !== undefined || state.terminated !== undefined;
  const lastState = status.lastState?.terminated === undefined ? undefined : status.lastState;
  if (!hasRun) return { restartCount, ...(lastState === undefined ? {} : { lastState }) };
  const killed = {
    terminated: {
      exitCode: 137,
      reason: "Unknown",
      message: "the node ended while the container ran",
      ...(state.running?.startedAt === undefined ? {} : { startedAt: state.running.startedAt }),
      finishedAt: timestamp(nowMs),
    },
  };
  const isRestart = state.running !== undefined || restarts(pod.spec.restartPolicy, state.terminated?.exitCode ?? 0);
  const last = state.terminated !== undefined ? state : wasKilled ? killed : lastState;
  return { restartCount: restartCount + (isRestart ? 1 : 0), ...(last === undefined ? {} : { lastState: last }) };
}
