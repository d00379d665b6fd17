/** Every link always has a request under way. */
import { setTimeout as pause } from "node:timers/promises";
import { cpuMicros } from "../process-accounting.ts";
import type { ClosedLoop, ClosedLoopResult } from "./job.ts";
import { openLinks } from "./link.ts";

const connectWithinMs = 5000;
const lastAnswersMs = 2000;
const warmRequests = 5000;
/** Of large bodies that many requests would take too long. */
const mostWarmUps = 3;

export async function closedLoop(job: ClosedLoop): Promise<ClosedLoopResult> {
  let completed = 0;
  let errors = 0;
  let over = false;
  let underWay = 0;
  const allAnswered = Promise.withResolvers<void>();
  const links = openLinks(job.target, job.scenario, (link, succeeded) => {
    if (succeeded) completed += 1;
    else errors += 1;
    if (!over) link.send();
    else if (--underWay === 0) allAnswered.resolve();
  });
  await Promise.race([Promise.all(links.map(({ ready }) => ready)), pause(connectWithinMs, undefined, { ref: false })]);
  underWay = links.length;
  for (const link of links) link.send();
  // A contender that is compiled as it runs needs requests, not time.
  for (let warmUp = 0; warmUp < mostWarmUps; warmUp++) {
    await pause(job.warmMs);
    if (completed >= warmRequests) break;
  }

  const cpuBefore = cpuMicros(job.pids);
  const startMs = performance.now();
  completed = errors = 0;
  await pause(job.measureMs);
  const requests = completed;
  const elapsedMs = performance.now() - startMs;
  const cpuUsed = cpuMicros(job.pids) - cpuBefore;
  const failed = errors;
  over = true;
  // What breaks connections off is another benchmark.
  await Promise.race([allAnswered.promise, pause(lastAnswersMs, undefined, { ref: false })]);
  for (const link of links) link.close();
  return { requests, errors: failed, elapsedMs, cpuMicros: cpuUsed };
}
