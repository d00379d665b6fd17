/** The generator's process: one job at a time, over the channel of its parent. Stays warm between jobs. */
import { closedLoop } from "./closed-loop.ts";
import type { Job } from "./job.ts";
import { openLoop } from "./open-loop.ts";

process.on("message", (job: Job) => {
  void (async () => {
    try {
      process.send!({ result: job.is === "closed" ? await closedLoop(job) : await openLoop(job) });
    } catch (error) {
      process.send!({ error: (error as Error).stack });
    }
  })();
});
process.on("disconnect", () => process.exit(0));
