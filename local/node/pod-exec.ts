/** `kubectl exec` and `port-forward`: a command beside a container's process, and where a pod's ports are. */
import { existsSync } from "node:fs";
import path from "node:path";
import { PassThrough, type Readable, type Writable } from "node:stream";
import type { Pod } from "../../api/core.ts";
import { badRequest } from "./pod-logs.ts";
import type { PodWorker } from "./pod-worker.ts";

export interface PodExecOptions {
  command: readonly string[];
  stdin: boolean;
  tty: boolean;
}

export interface PodCommand {
  stdin: Writable | undefined;
  stdout: Readable;
  stderr: Readable | undefined;
  /** Rejects where the command could not be started. */
  exited: Promise<number>;
  kill: () => void;
}

/** Rejects with ApiError 400 where the container does not run. */
export async function podExec(
  worker: PodWorker | undefined,
  container: string,
  { command, stdin, tty }: PodExecOptions,
): Promise<PodCommand> {
  const inTerminal = tty ? terminalCommand(command) : undefined;
  const beside = worker?.container(container)?.exec(inTerminal ?? command, stdin ? "pipe" : "ignore");
  if (beside === undefined)
    throw badRequest(`unable to upgrade connection: container not found (${JSON.stringify(container)})`);
  const { child, kill } = beside;
  const exited = new Promise<number>((resolve, reject) => {
    child.once("close", (code) => resolve(code ?? 137));
    child.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "ENOENT"
          ? new Error(`${JSON.stringify(command[0])}: executable file not found in $PATH`)
          : error,
      ),
    );
  });
  // A child's own streams lose what nobody has begun to read when it ends.
  const held = (stream: Readable | null): Readable => (stream ?? PassThrough.from([])).pipe(new PassThrough());
  return {
    stdin: child.stdin ?? undefined,
    stdout: held(child.stdout),
    stderr: held(child.stderr),
    exited,
    kill,
  };
}

/** util-linux's `script` lends a terminal to a command. */
const script = ["/usr/bin/script", "/bin/script"].find((file) => process.platform === "linux" && existsSync(file));

/** Undefined where there is no terminal to lend: the command runs on pipes then. */
function terminalCommand(command: readonly string[]): string[] | undefined {
  if (script === undefined) return undefined;
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  return [script, "-qefc", `exec ${quoted}`, path.join("/dev", "null")];
}

/** Throws ApiError 400 for a pod that does not run. */
export function podAddress(
  worker: PodWorker | undefined,
  { metadata }: Pod,
  port: number,
): { host: string; port: number } {
  if (worker === undefined) throw badRequest(`unable to forward port because pod ${metadata.name} is not running`);
  return worker.address(port);
}
