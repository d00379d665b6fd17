/** Which pods stand for all of a revision, and what follows from their answers (autoscaling 2.4). */
import type { SecondOfLoad } from "./stat.ts";

/** Normal quantile for 95 %, squared, times the variance that is assumed (100), over the error allowed (5), squared. */
const largestSample = (1.96 ** 2 * 100) / 25;

/** How many of `pods` are asked. */
export function sampleSize(pods: number): number {
  return pods <= 3 ? pods : Math.ceil((pods * largestSample) / (pods + largestSample - 1));
}

export interface SampledPod {
  name: string;
  ip: string;
  /** Unix time; undefined counts as old, as upstream has it. */
  startedMs: number | undefined;
}

/**
 * The order in which pods are asked: with enough old ones, any of these, the young ones only in place of some that do
 * not answer; else all the old ones and any of the young. `random` is 0 to 1.
 */
export function sampleOrder<T extends SampledPod>(
  pods: readonly T[],
  windowMs: number,
  nowMs: number,
  random: () => number,
): T[] {
  const isYoung = ({ startedMs }: T): boolean => startedMs !== undefined && nowMs - startedMs < windowMs;
  const old = pods.filter((pod) => !isYoung(pod));
  const young = pods.filter(isYoung);
  shuffle(old.length < sampleSize(pods.length) ? young : old, random);
  return [...old, ...young];
}

/** What all `pods` hold when those that answered are like the others. */
export function extrapolated(answers: readonly SecondOfLoad[], pods: number): SecondOfLoad {
  let concurrency = 0;
  let requests = 0;
  for (const answer of answers) {
    concurrency += answer.concurrency;
    requests += answer.requests;
  }
  return { concurrency: (concurrency / answers.length) * pods, requests: (requests / answers.length) * pods };
}

/** Fisher and Yates, in place. */
function shuffle(list: unknown[], random: () => number): void {
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [list[last], list[other]] = [list[other], list[last]];
  }
}
