/** One process of a container: a session and process group of its own, its output written straight to a file. */
import { spawn, type ChildProcess } from "node:child_process";
import { statSync } from "node:fs";
import { readStat, setNice, signalProcess } from "./proc.ts";

export interface Exit {
  /** 128 + signal number when a signal ended it, as a shell counts. */
  code: number;
  atMs: number;
}

export interface ContainerProcess {
  readonly pid: number;
  readonly startTicks: string;
  /** Resolves when the process is gone and the rest of its group was killed; never rejects. */
  readonly exited: Promise<Exit>;
  /** To every process of the group. */
  signal(signal: NodeJS.Signals): void;
  nice(value: number): void;
}

/** The command could not be started; the message says which and why. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/**
 * Throws {@link StartError}. `output` is an open file descriptor; standard input reads as empty. The process gets
 * `inherited` as its descriptors 3 and up.
 */
export async function startProcess(options: {
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  directory: string;
  output: number;
  inherited: readonly number[];
}): Promise<ContainerProcess> {
  const [file = "", ...args] = options.command;
  if (file === "") throw new StartError("no command: neither the image nor the container has one");
  if (statSync(options.directory, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new StartError(`the working directory ${options.directory} does not exist`);
  let child: ChildProcess;
  try {
    child = spawn(file, args, {
      cwd: options.directory,
      env: options.env,
      detached: true,
      stdio: ["ignore", options.output, options.output, ...options.inherited],
    });
  } catch (error) {
    throw new StartError(`cannot start ${JSON.stringify(file)}: ${(error as Error).message}`, { cause: error });
  }
  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => {
      // As in a container, nothing outlives the first process.
      if (child.pid !== undefined) signalProcess(-child.pid, "SIGKILL");
      resolve({ code: code ?? 128 + (signal === null ? 0 : signalNumber(signal)), atMs: Date.now() });
    });
  });
  const { pid } = child;
  if (pid === undefined) {
    const error = await new Promise<NodeJS.ErrnoException>((resolve) => child.once("error", resolve));
    const why =
      error.code === "ENOENT"
        ? "no such program on PATH"
        : error.code === "EACCES"
          ? "permission denied"
          : error.message;
    throw new StartError(`cannot start ${JSON.stringify(file)}: ${why}`, { cause: error });
  }
  child.on("error", () => {}); // a signal that could not be sent
  return {
    pid,
    startTicks: readStat(pid)?.startTicks ?? "",
    exited,
    signal: (signal) => void signalProcess(-pid, signal),
    nice: (value) => setNice(pid, value),
  };
}

const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
};
const signalNumber = (signal: string): number => signalNumbers[signal] ?? 0;
