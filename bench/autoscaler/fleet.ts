/** Pods of a process of their own, as the bench sees them. */
import { spawn, type ChildProcess } from "node:child_process";
import path from "node:path";
import { chooseCores, pinned } from "../pinning.ts";
import type { FleetAnswer, FleetJob } from "./fleet-job.ts";

const answerWithinMs = 180_000;

export class Fleet {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<FleetAnswer>>();
  #next = 0;

  constructor() {
    const worker = [process.execPath, path.join(import.meta.dirname, "fleet-worker.ts")];
    const [command, args] = pinned(chooseCores().load, worker);
    this.#process = spawn(command, args, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      serialization: "advanced",
    });
    this.#process.on("message", ({ id, answer, error }: { id: number; answer?: FleetAnswer; error?: string }) => {
      if (answer === undefined) this.#waiting.get(id)?.reject(new Error(error));
      else this.#waiting.get(id)?.resolve(answer);
      this.#waiting.delete(id);
    });
    this.#process.on("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("a process with pods ended"));
    });
  }

  get pid(): number {
    return this.#process.pid!;
  }

  async ask(job: FleetJob): Promise<FleetAnswer> {
    const id = this.#next++;
    const answer = Promise.withResolvers<FleetAnswer>();
    this.#waiting.set(id, answer);
    const deadline = setTimeout(
      () => answer.reject(new Error(`a process with pods did not answer ${job.is}`)),
      answerWithinMs,
    );
    this.#process.send({ id, job });
    try {
      return await answer.promise;
    } finally {
      clearTimeout(deadline);
    }
  }

  stop(): void {
    this.#process.kill();
  }
}
