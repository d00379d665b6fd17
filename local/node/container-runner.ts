/** One container of a pod: from its image to a process, its probes, and the process after that one ended. */
import path from "node:path";
import type { Container, ContainerState, ContainerStatus } from "../../api/core.ts";
import { BackOff, pause } from "../../kube/back-off.ts";
import type { ImageEntry } from "../image/store.ts";
import { firstLookMs, listeningProblem, maxLookMs } from "./app-listening.ts";
import { startProcess, StartError, type ContainerProcess } from "./container-process.ts";
import { execBeside, runHook, startBeside, type CommandBeside } from "./container-exec.ts";
import { containerSetup, type ContainerSetup } from "./container-setup.ts";
import { formatDelay, restartDelayMs } from "./crash-back-off.ts";
import { ContainerConfigError, portOfEnvironment } from "./environment.ts";
import { awaitImage } from "./image-wait.ts";
import { LogFile, removeOldLogs } from "./log-files.ts";
import type { NodeContext, PodContext } from "./node-context.ts";
import { restarts, timestamp } from "./pod-status.ts";
import { probeLoop } from "./probe-loop.ts";
import type { ProbeTarget } from "./probes.ts";
import { listeningPorts, processTree } from "./proc.ts";

interface Running {
  process: ContainerProcess;
  setup: ContainerSetup;
  startedMs: number;
  log: LogFile;
}

/** What was known of a container before this node started it. */
export interface ContainerPast {
  restartCount: number;
  lastState?: ContainerState;
}

/** The end of the log that becomes a termination message. */
const messageBytes = 2048;
const messageLines = 80;

export class ContainerRunner {
  readonly container: Container;
  readonly #node: NodeContext;
  readonly #context: PodContext;
  readonly #policy: string | undefined;
  #state: ContainerState;
  #lastState: ContainerState | undefined;
  #restartCount: number;
  #running: Running | undefined;
  #image: ImageEntry | undefined;
  #isReady = false;
  #hasStarted = false;
  #problem: string | undefined;

  /** @param policy restartPolicy of this container. */
  constructor(options: {
    node: NodeContext;
    context: PodContext;
    container: Container;
    policy: string | undefined;
    waitingReason: string;
    past: ContainerPast;
  }) {
    this.container = options.container;
    this.#node = options.node;
    this.#context = options.context;
    this.#policy = options.policy;
    this.#restartCount = options.past.restartCount;
    this.#lastState = options.past.lastState;
    this.#state = { waiting: { reason: options.waitingReason } };
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** What is wrong with the port it listens on. */
  get listeningProblem(): string | undefined {
    return this.#problem;
  }

  /** The log being written. */
  get log(): LogFile | undefined {
    return this.#running?.log;
  }

  /** Number of the newest run: names its log file. */
  get run(): number {
    return this.#restartCount;
  }

  get logFolder(): string {
    return path.join(this.#context.folder, "logs", this.container.name);
  }

  logPath(run: number): string {
    return path.join(this.logFolder, `${run}.log`);
  }

  status(): ContainerStatus {
    const { name, image = "" } = this.container;
    const uid = this.#context.pod().metadata.uid ?? "";
    const hasRun = this.#state.waiting === undefined || this.#lastState !== undefined;
    return {
      name,
      image,
      imageID: this.#image === undefined ? "" : `${this.#image.name.replace(/:[^:]*$/, "")}@${this.#image.digest}`,
      ...(hasRun ? { containerID: `process://${uid}-${name}-${this.#restartCount}` } : {}),
      ready: this.#isReady,
      started: this.#hasStarted,
      restartCount: this.#restartCount,
      state: this.#state,
      lastState: this.#lastState ?? {},
    };
  }

  /**
   * Runs the container again and again as its policy says. Resolves with the last exit code when it will not run any
   * more, undefined when `stop` prevented its start.
   */
  async start(stop: AbortSignal): Promise<number | undefined> {
    let delayMs: number | undefined;
    let exitCode: number | undefined;
    while (!stop.aborted) {
      const image = await this.#awaitImage(stop);
      const setup = image === undefined ? undefined : await this.#awaitSetup(image, stop);
      if (setup === undefined || stop.aborted) return exitCode;
      const { code, ranMs } = await this.#runOnce(setup, stop);
      exitCode = code;
      if (stop.aborted || !restarts(this.#policy, code)) return exitCode;
      delayMs = restartDelayMs(delayMs, ranMs);
      if (delayMs > 0) await this.#backOff(delayMs, stop);
      if (stop.aborted) return exitCode;
      this.#restartCount += 1;
    }
    return exitCode;
  }

  /** Its preStop hook, SIGTERM, and SIGKILL when `graceMs` is over. Resolves when it is gone. */
  async terminate(graceMs: number): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    const kill = setTimeout(() => running.process.signal("SIGKILL"), graceMs);
    try {
      await this.#preStop(running, graceMs);
      running.process.signal("SIGTERM");
      await running.process.exited;
    } finally {
      clearTimeout(kill);
    }
  }

  /** A signal to all of it, if it runs. Resolves when it is gone. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    const running = this.#running;
    running?.process.signal(signal);
    await running?.process.exited;
  }

  /** A command beside its process, undefined while it does not run. It ends with the process at the latest. */
  exec(command: readonly string[], stdin: "ignore" | "pipe"): CommandBeside | undefined {
    if (this.#running === undefined) return undefined;
    const { setup, process } = this.#running;
    const beside = startBeside(setup, command, stdin);
    void process.exited.then(beside.kill);
    return beside;
  }

  /** Undoes the lower priority of a start. */
  unNice(): void {
    if (this.#node.startNice !== 0) this.#running?.process.nice(0);
  }

  async #awaitImage(stop: AbortSignal): Promise<ImageEntry | undefined> {
    this.#image = await awaitImage(
      this.container.image ?? "",
      this.#node,
      { waiting: (reason, message) => this.#wait(reason, message), event: this.#context.event },
      stop,
    );
    return this.#image;
  }

  async #awaitSetup(image: ImageEntry, stop: AbortSignal): Promise<ContainerSetup | undefined> {
    const backOff = new BackOff({ firstMs: 1000, maxMs: 10_000 });
    while (!stop.aborted)
      try {
        return await containerSetup(this.#node, this.#context, this.container, image);
      } catch (error) {
        const { message } = error as Error;
        if (!(error instanceof ContainerConfigError))
          this.#node.log.warn({ err: error, container: this.container.name }, "cannot read what a container needs");
        this.#event("Warning", "Failed", `Error: ${message}`);
        this.#wait("CreateContainerConfigError", message);
        await pause(backOff.nextMs(), stop);
      }
    return undefined;
  }

  async #runOnce(setup: ContainerSetup, stop: AbortSignal): Promise<{ code: number; ranMs: number }> {
    const { name } = this.container;
    const startedMs = Date.now();
    let log: LogFile | undefined;
    let process: ContainerProcess;
    try {
      removeOldLogs(this.logFolder, this.#restartCount);
      log = new LogFile(this.logPath(this.#restartCount));
      this.#event("Normal", "Created", `Created container: ${name}`);
      process = await startProcess({ ...setup, output: log.fd });
    } catch (error) {
      log?.close();
      const { message } = error as Error;
      if (!(error instanceof StartError)) this.#node.log.error({ err: error, container: name }, "cannot start");
      this.#event("Warning", "Failed", `Error: ${message}`);
      this.#ended({ code: 128, reason: "StartError", message, startedMs, endedMs: startedMs });
      return { code: 128, ranMs: 0 };
    }
    const { pid, startTicks } = process;
    this.#node.records.add({ pid, startTicks, podUid: this.#context.pod().metadata.uid ?? "", container: name });
    if (this.#node.startNice !== 0) process.nice(this.#node.startNice);
    const running: Running = { process, setup, startedMs, log };
    this.#running = running;
    if (stop.aborted) process.signal("SIGKILL"); // whoever stops this saw nothing running yet
    this.#state = { running: { startedAt: timestamp(startedMs) } };
    this.#hasStarted = this.container.startupProbe === undefined;
    this.#isReady = this.#hasStarted && this.container.readinessProbe === undefined;
    this.#context.changed();
    this.#event("Normal", "Started", `Started container ${name}`);

    const whileRunning = new AbortController();
    void this.#probe(running, whileRunning.signal, stop);
    void this.#watchPort(running, whileRunning.signal);
    const exit = await process.exited;
    whileRunning.abort();
    this.#node.records.remove(pid);
    const wantsLog = exit.code !== 0 && (this.container.terminationMessagePolicy ?? "File") === "FallbackToLogsOnError";
    const message = wantsLog ? log.tail(messageBytes, messageLines) : "";
    log.close();
    this.#running = undefined;
    this.#ended({
      code: exit.code,
      reason: exit.code === 0 ? "Completed" : "Error",
      message,
      startedMs,
      endedMs: exit.atMs,
    });
    return { code: exit.code, ranMs: exit.atMs - startedMs };
  }

  #ended(end: { code: number; reason: string; message: string; startedMs: number; endedMs: number }): void {
    this.#state = {
      terminated: {
        exitCode: end.code,
        reason: end.reason,
        ...(end.message === "" ? {} : { message: end.message }),
        startedAt: timestamp(end.startedMs),
        finishedAt: timestamp(end.endedMs),
        containerID: `process://${this.#context.pod().metadata.uid ?? ""}-${this.container.name}-${this.#restartCount}`,
      },
    };
    if (restarts(this.#policy, end.code)) this.#lastState = this.#state;
    this.#isReady = false;
    this.#hasStarted = false;
    this.#problem = undefined;
    this.#context.changed();
  }

  async #backOff(delayMs: number, stop: AbortSignal): Promise<void> {
    const { name = "", namespace = "", uid = "" } = this.#context.pod().metadata;
    const failed = `failed container ${this.container.name} in pod ${name}_${namespace}(${uid})`;
    this.#event("Warning", "BackOff", `Back-off restarting ${failed}`);
    this.#wait(
      "CrashLoopBackOff",
      `back-off ${formatDelay(delayMs)} restarting failed container=${this.container.name} pod=${name}_${namespace}(${uid})`,
    );
    await pause(delayMs, stop);
  }

  async #probe(running: Running, signal: AbortSignal, stop: AbortSignal): Promise<void> {
    const { name, startupProbe, livenessProbe, readinessProbe } = this.container;
    const target = this.#target(running);
    const restart = (kind: string): void => {
      // The pod is being deleted or the node stops: that ends it, with its own grace period.
      if (stop.aborted) return;
      this.#event("Normal", "Killing", `Container ${name} failed ${kind} probe, will be restarted`);
      const own = (kind === "liveness" ? livenessProbe : startupProbe)?.terminationGracePeriodSeconds;
      const seconds = own ?? this.#context.pod().spec.terminationGracePeriodSeconds ?? 30;
      void this.terminate(seconds * 1000);
    };
    const unhealthy = (kind: string) => (message: string) =>
      this.#event("Warning", "Unhealthy", `${kind} probe failed: ${message}`);
    if (startupProbe !== undefined)
      await probeLoop(
        {
          kind: "startup",
          probe: startupProbe,
          target,
          onFailure: unhealthy("Startup"),
          onVerdict: (verdict) => {
            if (verdict === "failure") return restart("startup");
            this.#hasStarted = true;
            this.#setReady(readinessProbe === undefined);
          },
        },
        signal,
      );
    if (!this.#hasStarted || signal.aborted) return;
    if (readinessProbe !== undefined)
      void probeLoop(
        {
          kind: "readiness",
          probe: readinessProbe,
          target,
          onFailure: unhealthy("Readiness"),
          onVerdict: (verdict) => this.#setReady(verdict === "success"),
        },
        signal,
      );
    if (livenessProbe !== undefined)
      void probeLoop(
        {
          kind: "liveness",
          probe: livenessProbe,
          target,
          onFailure: unhealthy("Liveness"),
          onVerdict: (verdict) => {
            if (verdict === "failure") restart("liveness");
          },
        },
        signal,
      );
  }

  #setReady(isReady: boolean): void {
    this.#isReady = isReady;
    this.#context.changed();
  }

  async #preStop({ process, setup }: Running, graceMs: number): Promise<void> {
    const hook = this.container.lifecycle?.preStop;
    if (hook === undefined) return;
    const controller = new AbortController();
    const stopWaiting = (): void => controller.abort(new Error("the grace period is over"));
    const timer = setTimeout(stopWaiting, graceMs);
    void process.exited.then(stopWaiting);
    try {
      await runHook(hook, this.#target({ setup }), controller.signal);
    } catch (error) {
      if (!controller.signal.aborted)
        this.#event("Warning", "FailedPreStopHook", `PreStopHook failed: ${(error as Error).message}`);
    } finally {
      clearTimeout(timer);
    }
  }

  #target({ setup }: Pick<Running, "setup">): ProbeTarget {
    const { podIP, portMap } = this.#context;
    return {
      container: this.container,
      podIP,
      portMap,
      exec: (command, signal) => execBeside(setup, command, signal),
    };
  }

  async #watchPort({ process }: Running, signal: AbortSignal): Promise<void> {
    const ownPort = portOfEnvironment(this.container);
    const port = ownPort === undefined ? undefined : this.#context.portMap.get(ownPort);
    if (port === undefined) return;
    for (let waitMs = firstLookMs; ; waitMs = Math.min(waitMs * 1.5, maxLookMs)) {
      // Soon again at first: somebody may be reading the message and mending the cause.
      await pause(waitMs, signal);
      if (signal.aborted) return;
      const ports = listeningPorts(processTree(process.pid));
      const problem = ports === undefined ? undefined : listeningProblem(this.container.name, port, ports);
      if (problem !== this.#problem) {
        this.#problem = problem;
        this.#context.changed();
      }
      if (problem === undefined) return;
    }
  }

  #wait(reason: string, message: string): void {
    this.#state = { waiting: { reason, message } };
    this.#context.changed();
  }

  #event(type: "Normal" | "Warning", reason: string, message: string): void {
    this.#context.event(type, reason, message);
  }
}
