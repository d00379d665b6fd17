/** The next state of a gradual rollout (spec: serving-api 4.10). Pure: the time is an argument. */
import type { Route } from "../../api/serving.ts";
import { parseDuration } from "../../api/duration.ts";
import { annotation } from "../../api/keys.ts";
import { steadyRollout, type ConfigurationRollout, type Rollout } from "./rollout.ts";
import type { RevisionTarget } from "./traffic.ts";

const nsPerMs = 1_000_000;

export interface RolloutInput {
  targets: ReadonlyMap<string, RevisionTarget[]>;
  /** From the Ingress, undefined where there is none. */
  previous: Rollout | undefined;
  ingressIsReady: boolean;
  routeIsReady: boolean;
  /** 0 = all traffic moves at once. */
  durationMs: number;
  nowMs: number;
}

/** `nextStepMs`: when to look again. */
export function nextRollout(input: RolloutInput): { rollout: Rollout; nextStepMs?: number } {
  const { previous, durationMs, nowMs } = input;
  const steady = steadyRollout(input.targets);
  if (previous === undefined || durationMs <= 0) return { rollout: steady };
  const before = input.ingressIsReady && !input.routeIsReady ? observed(previous, durationMs, nowMs) : previous;
  const same = (a: ConfigurationRollout) => (b: ConfigurationRollout) =>
    a.tag === b.tag && a.configurationName === b.configurationName;
  const rollout: Rollout = {
    configurations: steady.configurations.map((current) => {
      const last = before.configurations.find(same(current));
      return last === undefined || current.percent <= 1 ? current : step(current, last, nowMs * nsPerMs);
    }),
  };
  const times = rollout.configurations.map(({ stepParams }) => stepParams.nextStepTime ?? 0).filter((time) => time > 0);
  if (times.length === 0) return { rollout };
  return { rollout, nextStepMs: Math.max(1, Math.ceil(Math.min(...times) / nsPerMs - nowMs)) };
}

/** The annotation of the Route (whole seconds), else the configured one. */
export function rolloutDurationMs(route: Route, configuredSeconds: number): number {
  const { annotations = {} } = route.metadata;
  const text = annotations[annotation.rolloutDuration] ?? annotations["serving.knative.dev/rolloutDuration"];
  const given = text === undefined ? undefined : parseDuration(text);
  return given === undefined ? configuredSeconds * 1000 : Math.trunc(given / 1000) * 1000;
}

/** The Ingress took the first percent: the time it needed tells how long a step is. */
function observed(rollout: Rollout, durationMs: number, nowMs: number): Rollout {
  return {
    configurations: rollout.configurations.map((entry) => {
      const { starttime = 0, stepDuration = 0 } = entry.stepParams;
      if (starttime === 0 || stepDuration !== 0) return entry;
      const needed = Math.max(1, Math.ceil((nowMs - starttime / nsPerMs) / 1000));
      const left = Math.max(1, durationMs / 1000 - needed);
      const percents = entry.percent - 1;
      const steps = Math.min(Math.max(1, left / needed), percents);
      const durationNs = Math.round((left / steps) * 1000) * nsPerMs;
      return {
        ...entry,
        stepParams: {
          starttime,
          nextStepTime: nowMs * nsPerMs + durationNs,
          stepDuration: durationNs,
          stepSize: Math.round(percents / steps),
        },
      };
    }),
  };
}

function step(current: ConfigurationRollout, last: ConfigurationRollout, nowNs: number): ConfigurationRollout {
  const newest = current.revisions[0]!;
  const revisions = withTotal(last.revisions, current.percent);
  if (revisions.at(-1)?.revisionName !== newest.revisionName) {
    // One percent goes ahead; a rollout that was running stays underneath.
    const giver = revisions.findLast(({ percent }) => percent > 0);
    if (giver === undefined) return current;
    giver.percent -= 1;
    const kept = revisions.filter(({ percent }) => percent > 0);
    return {
      ...current,
      revisions: [...kept, { revisionName: newest.revisionName, percent: 1 }],
      stepParams: { starttime: nowNs },
    };
  }
  if (revisions.length < 2) return current;
  const { stepSize = 0, stepDuration = 0, nextStepTime = 0 } = last.stepParams;
  if (stepSize <= 0 || nowNs < nextStepTime) return { ...current, revisions, stepParams: last.stepParams };
  let moved = 0;
  for (const revision of revisions.slice(0, -1).toReversed()) {
    const taken = Math.min(stepSize - moved, revision.percent);
    revision.percent -= taken;
    moved += taken;
  }
  revisions.at(-1)!.percent += moved;
  const kept = revisions.filter(({ percent }) => percent > 0);
  return kept.length < 2
    ? { ...current, revisions: kept }
    : { ...current, revisions: kept, stepParams: { ...last.stepParams, nextStepTime: nowNs + stepDuration } };
}

/** More goes to the newest Revision, less is taken from the oldest. */
function withTotal(revisions: readonly { revisionName: string; percent: number }[], total: number) {
  const copies = revisions.map((revision) => ({ ...revision }));
  let surplus = copies.reduce((sum, { percent }) => sum + percent, 0) - total;
  if (surplus < 0 && copies.length > 0) copies.at(-1)!.percent -= surplus;
  for (const revision of copies) {
    if (surplus <= 0) break;
    const taken = Math.min(surplus, revision.percent);
    revision.percent -= taken;
    surplus -= taken;
  }
  return copies.filter(({ percent }) => percent > 0);
}
