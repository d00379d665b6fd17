/** Requests at the times of a schedule, whether earlier ones are answered or not; latency counts from the schedule. */
import { setPriority } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { quantile } from "../report.ts";
import type { OpenLoop, OpenLoopResult } from "./job.ts";
import { openLinks, type Link } from "./link.ts";

const connectWithinMs = 5000;
/** For what is under way at the end. */
const lastAnswersMs = 1000;
/** The first of it meets cold connections. */
const settleShare = 0.1;
/** Below the app's, but not so low that any other process stops the schedule. */
const generatorPriority = 5;

export async function openLoop(job: OpenLoop): Promise<OpenLoopResult> {
  const intervalMs = 1000 / job.requestsPerSecond;
  const total = Math.max(1, Math.floor(job.durationMs / intervalMs));
  const firstCounted = Math.floor(total * settleShare);
  const latencies: number[] = [];
  const lateness: number[] = [];
  const scheduled = new Map<Link, number>();
  const idle: Link[] = [];
  let due = 0;
  let sent = 0;
  let answered = 0;
  let errors = 0;
  let startMs = 0;
  let over = false;

  const send = (link: Link): void => {
    scheduled.set(link, sent++);
    link.send();
  };
  const links = openLinks(job.target, job.scenario, (link, succeeded) => {
    if (over) return;
    const index = scheduled.get(link)!;
    answered += 1;
    if (!succeeded) errors += 1;
    else if (index >= firstCounted) latencies.push(performance.now() - (startMs + index * intervalMs));
    if (sent < due) send(link);
    else idle.push(link);
  });
  await Promise.race([Promise.all(links.map(({ ready }) => ready)), pause(connectWithinMs, undefined, { ref: false })]);
  idle.push(...links);

  // A timer is a millisecond at best, so the loop turns all the time; it makes room for the app on the same core.
  const usual = lowerPriority();
  startMs = performance.now();
  const lastMs = startMs + job.durationMs + lastAnswersMs;
  await new Promise<void>((resolve) => {
    const turn = (): void => {
      const nowMs = performance.now();
      due = Math.min(total, Math.floor((nowMs - startMs) / intervalMs) + 1);
      for (let wanted = due - sent; wanted > 0 && idle.length > 0; wanted--) {
        lateness.push(nowMs - (startMs + sent * intervalMs));
        send(idle.pop()!);
      }
      if (answered === total || nowMs > lastMs) resolve();
      else setImmediate(turn);
    };
    turn();
  });
  over = true;
  usual();
  for (const link of links) link.close();
  return {
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    lateP99Ms: quantile(lateness, 0.99),
    completed: answered - errors,
    errors: errors + total - answered,
  };
}

/** The answer restores it. Without the right to, this process competes with the app as any other. */
function lowerPriority(): () => void {
  try {
    setPriority(generatorPriority);
    return () => {
      try {
        setPriority(0);
      } catch {
        // only root may raise it again
      }
    };
  } catch {
    return () => undefined;
  }
}
