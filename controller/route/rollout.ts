/** The rollout state that an Ingress carries in its annotation (spec: serving-api 4.10). */
import type { RevisionTarget } from "./traffic.ts";

export interface StepParams {
  /** Nanoseconds since the epoch, and nanoseconds. */
  starttime?: number;
  nextStepTime?: number;
  stepDuration?: number;
  /** Percents. */
  stepSize?: number;
}

export interface ConfigurationRollout {
  configurationName: string;
  tag?: string;
  percent: number;
  /** Oldest first; the last one is what the rollout goes to. */
  revisions: { revisionName: string; percent: number }[];
  stepParams: StepParams;
}

export interface Rollout {
  configurations: ConfigurationRollout[];
}

/** The state in which each Configuration's traffic is on its latest ready Revision. */
export function steadyRollout(targets: ReadonlyMap<string, RevisionTarget[]>): Rollout {
  const configurations: ConfigurationRollout[] = [];
  for (const [tag, list] of targets)
    for (const { latestRevision, configurationName, revisionName, percent } of list)
      if (latestRevision && percent > 0)
        configurations.push({
          configurationName,
          ...(tag === "" ? {} : { tag }),
          percent,
          revisions: [{ revisionName, percent }],
          stepParams: {},
        });
  const order = (entry: ConfigurationRollout): string => `${entry.tag ?? ""} ${entry.configurationName}`;
  return { configurations: configurations.sort((a, b) => (order(a) < order(b) ? -1 : 1)) };
}

/** Undefined for what is no state, or one that adds up wrongly. */
export function parseRollout(text: string | undefined): Rollout | undefined {
  if (text === undefined) return undefined;
  let rollout: Partial<Rollout>;
  try {
    rollout = JSON.parse(text) as Partial<Rollout>;
  } catch {
    return undefined;
  }
  const configurations = (rollout.configurations ?? []).map((entry) => ({
    ...entry,
    stepParams: entry.stepParams ?? {},
  }));
  const valid = configurations.every(({ percent, revisions, stepParams: { stepSize = 0 } }) => {
    const sum = revisions.reduce((total, revision) => total + revision.percent, 0);
    return (
      percent <= 100 &&
      stepSize >= 0 &&
      stepSize <= percent &&
      revisions.every((revision) => revision.percent <= 100) &&
      sum === percent
    );
  });
  return valid ? { configurations } : undefined;
}

/** Whether traffic is still shared between an old and a new Revision. */
export const isInProgress = ({ configurations }: Rollout): boolean =>
  configurations.some(({ revisions }) => revisions.length > 1);
