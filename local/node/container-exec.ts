/** Commands and hooks that run beside a container's process. */
import { spawn, type ChildProcess } from "node:child_process";
import type { LifecycleHandler } from "../../api/core.ts";
import { pause } from "../../kube/back-off.ts";
import type { ContainerSetup } from "./container-setup.ts";
import { requestHook, type ProbeTarget } from "./probes.ts";
import { signalProcess } from "./proc.ts";

const maxOutputBytes = 10 * 1024;

/** Rejects when the hook fails or the signal aborts. */
export async function runHook(hook: LifecycleHandler, target: ProbeTarget, signal: AbortSignal): Promise<void> {
  if (hook.httpGet !== undefined) await requestHook(hook.httpGet, target, signal);
  else if (hook.sleep !== undefined) await pause(hook.sleep.seconds * 1000, signal);
  else if (hook.exec !== undefined) {
    const { code, output } = await target.exec(hook.exec.command ?? [], signal);
    if (code !== 0) throw new Error(`command ended with ${code}: ${output}`);
  }
}

export interface CommandBeside {
  child: ChildProcess;
  /** Ends it and everything that it started. */
  kill: () => void;
}

/** Starts a command in the environment and folder of the container, a process group of its own. */
export function startBeside(
  { env, directory }: ContainerSetup,
  command: readonly string[],
  stdin: "ignore" | "pipe",
): CommandBeside {
  const [file = "", ...args] = command;
  if (file === "") throw new Error("no command");
  const child = spawn(file, args, { cwd: directory, env, detached: true, stdio: [stdin, "pipe", "pipe"] });
  return {
    child,
    kill: () => {
      // Once it ended, its number may be another one's.
      const isOver = child.exitCode !== null || child.signalCode !== null;
      if (child.pid !== undefined && !isOver) signalProcess(-child.pid, "SIGKILL");
    },
  };
}

/** Runs a command to its end. Rejects when the signal aborts. */
export async function execBeside(
  setup: ContainerSetup,
  command: readonly string[],
  signal: AbortSignal,
): Promise<{ code: number; output: string }> {
  const { child, kill } = startBeside(setup, command, "ignore");
  return new Promise((resolve, reject) => {
    let output = "";
    const collect = (chunk: Buffer): void => {
      if (output.length < maxOutputBytes) output += chunk.toString();
    };
    child.stdout?.on("data", collect);
    child.stderr?.on("data", collect);
    const onAbort = (): void => {
      kill();
      reject(signal.reason as Error);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    child.on("error", (error) => {
      signal.removeEventListener("abort", onAbort);
      reject(error);
    });
    child.on("close", (code) => {
      signal.removeEventListener("abort", onAbort);
      resolve({ code: code ?? 1, output });
    });
  });
}
