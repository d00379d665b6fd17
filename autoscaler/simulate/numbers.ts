/** What a run comes down to. */
import type { Run } from "./simulation.ts";

export interface Numbers {
  requests: number;
  unserved: number;
  podSeconds: number;
  /** With a pod for each `target` of the load that is offered, at every second, known in advance. */
  oraclePodSeconds: number;
  /** How long requests waited for a pod, in milliseconds. */
  waitP50Ms: number;
  waitP99Ms: number;
  waitMaxMs: number;
  /** Times the revision had to come back from zero, and requests that waited for that. */
  coldStarts: number;
  coldRequests: number;
  mostPods: number;
  /** Times the decision turned from growing to shrinking or back. */
  directionChanges: number;
  /** Times the activator entered or left the path. */
  flips: number;
  evaluations: number;
}

export function numbersOf(run: Run, target: number): Numbers {
  const waits = run.waitMs.toSorted();
  const percentile = (share: number): number =>
    waits.length === 0 ? 0 : waits[Math.min(waits.length - 1, Math.ceil(waits.length * share) - 1)]!;
  let oracle = 0;
  for (const load of run.series.offered) oracle += Math.ceil(load / target - 1e-9);
  return {
    requests: run.waitMs.length + run.unserved,
    unserved: run.unserved,
    podSeconds: run.podSeconds,
    oraclePodSeconds: oracle,
    waitP50Ms: percentile(0.5),
    waitP99Ms: percentile(0.99),
    waitMaxMs: waits.at(-1) ?? 0,
    coldStarts: run.coldStarts.length,
    coldRequests: run.coldRequests,
    mostPods: run.series.replicas.reduce((most, count) => Math.max(most, count), 0),
    directionChanges: directionChanges(run.decisions.map(({ pods }) => pods)),
    flips: run.flips,
    evaluations: run.evaluations,
  };
}

/** Of the decisions in order; the first counts as a direction only when it is followed by another. */
export function directionChanges(decisions: readonly number[]): number {
  let changes = 0;
  let direction = 0;
  for (let index = 1; index < decisions.length; index++) {
    const next = Math.sign(decisions[index]! - decisions[index - 1]!);
    if (next !== 0 && direction !== 0 && next !== direction) changes += 1;
    if (next !== 0) direction = next;
  }
  return changes;
}
