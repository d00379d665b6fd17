/** A proxy that can be started in front of the app, and the process that it runs in. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { has, processTree } from "../../test/e2e/cluster.ts";
import { pinned } from "../pinning.ts";
import type { LoadScenario } from "../scenarios.ts";

export interface Setting {
  /** An empty folder of this start's own. */
  folder: string;
  /** A loopback address of this start's own: every port of it is free. */
  address: string;
  /** Where the app listens on 127.0.0.1, and what it speaks. */
  app: { port: number; protocol: "http1" | "h2c" };
  containerConcurrency: number;
  core: number | undefined;
}

export interface Contender {
  name: string;
  about: string;
  /** What to do where it cannot run; undefined where it can. */
  missing?: () => string | undefined;
  takesPart: (scenario: LoadScenario) => boolean;
  /** Resolves when it accepts connections. */
  start: (setting: Setting) => Promise<Running>;
}

export interface Running {
  host: string;
  port: number;
  /** Every process of it; main process first. */
  pids: () => number[];
  stop: () => Promise<void>;
}

const acceptWithinMs = 10_000;
const stopWithinMs = 2000;

export class Program {
  readonly #process: ChildProcess;
  readonly #log: string;
  readonly #name: string;

  /** Its output goes to a file in `folder` and is shown when it does not start. */
  constructor(options: {
    name: string;
    command: readonly string[];
    folder: string;
    core: number | undefined;
    env?: Record<string, string>;
  }) {
    this.#name = options.name;
    this.#log = path.join(options.folder, `${options.name}.log`);
    const output = openSync(this.#log, "a");
    const [command, args] = pinned(options.core, options.command);
    this.#process = spawn(command, args, {
      cwd: options.folder,
      // Nothing of this process's environment that could change what is measured, NODE_OPTIONS above all.
      env: { PATH: process.env["PATH"], ...options.env },
      stdio: ["ignore", output, output],
    });
    this.#process.on("error", () => undefined); // seen as an end
    closeSync(output);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  pids(): number[] {
    return [this.pid, ...processTree(this.pid).keys()];
  }

  /** Resolves when it accepts connections; rejects with what it printed when it ends or takes too long. */
  async accepts(host: string, port: number): Promise<void> {
    const deadlineMs = performance.now() + acceptWithinMs;
    while (!(await canConnect(host, port))) {
      const { exitCode, signalCode, pid } = this.#process;
      const ended = pid === undefined || exitCode !== null || signalCode !== null;
      if (!ended && performance.now() < deadlineMs) {
        // It is another's program: nothing tells when it listens.
        await pause(1);
        continue;
      }
      await this.stop();
      const printed = readFileSync(this.#log, "utf8").slice(-2000);
      throw new Error(
        `${this.#name} ${ended ? "ended" : "does not listen"} before ${host}:${port} answered:\n${printed}`,
      );
    }
  }

  /** At once: a sidecar would drain for half a minute. nginx ends its workers itself when it is asked to. */
  async stop(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    const child = this.#process;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), stopWithinMs);
    await ended;
    clearTimeout(late);
  }
}

/** One program is the whole contender. */
export async function runs(program: Program, at: { host: string; port: number }, signal?: "SIGTERM"): Promise<Running> {
  await program.accepts(at.host, at.port);
  return { ...at, pids: () => program.pids(), stop: () => program.stop(signal) };
}

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const answer = (connected: boolean): void => {
      socket.destroy();
      resolve(connected);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
  });
}

/** The first line that says a version; undefined where the program is not there. */
export function versionOf(program: string, flag: string): string | undefined {
  const { stdout, stderr, error } = spawnSync(program, [flag], { encoding: "utf8" });
  if (error !== undefined) return undefined;
  return /\d+\.\d+[.\d]*(?:-\S+)?/.exec(stdout + stderr)?.[0];
}

export const needs = (program: string, install: string) => (): string | undefined =>
  has(program) ? undefined : `${program} is not installed: ${install}`;
