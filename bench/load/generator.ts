/** The generator as its users see it: a process of its own, pinned. */
import { spawn, type ChildProcess } from "node:child_process";
import path from "node:path";
import { pinned } from "../pinning.ts";
import type { ClosedLoop, ClosedLoopResult, Job, JobResult, OpenLoop, OpenLoopResult } from "./job.ts";

const graceMs = 15_000;

export class Generator {
  readonly #process: ChildProcess;

  constructor(core: number | undefined) {
    const [command, args] = pinned(core, [process.execPath, path.join(import.meta.dirname, "worker.ts")]);
    this.#process = spawn(command, args, { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" });
  }

  async closed(job: Omit<ClosedLoop, "is">): Promise<ClosedLoopResult> {
    return (await this.#run({ is: "closed", ...job }, job.warmMs + job.measureMs)) as ClosedLoopResult;
  }

  async open(job: Omit<OpenLoop, "is">): Promise<OpenLoopResult> {
    return (await this.#run({ is: "open", ...job }, job.durationMs)) as OpenLoopResult;
  }

  stop(): void {
    this.#process.kill();
  }

  #run(job: Job, takesMs: number): Promise<JobResult> {
    const child = this.#process;
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        clearTimeout(deadline);
        child.off("message", onMessage);
        child.off("exit", onExit);
        settle();
      };
      const onMessage = (answer: { result?: JobResult; error?: string }): void =>
        finish(() => (answer.result === undefined ? reject(new Error(answer.error)) : resolve(answer.result)));
      const onExit = (): void => finish(() => reject(new Error("the load generator ended")));
      const deadline = setTimeout(
        () => finish(() => reject(new Error("the load generator does not answer"))),
        takesMs + graceMs,
      );
      child.on("message", onMessage);
      child.on("exit", onExit);
      child.send(job);
    });
  }
}
