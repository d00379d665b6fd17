/** Which limits a decision ran into: what it would have been without each, as far as the record shows. */
import type { DecisionRecord } from "../decision-log.ts";

export interface Limit {
  name: LimitName;
  /** What it made of the result. */
  pods: number;
}

export type LimitName =
  | "no-data"
  | "max-scale-up-rate"
  | "max-scale-down-rate"
  | "activation-scale"
  | "surge-headroom"
  | "panic-peak"
  | "boundary"
  | "scale-down-delay"
  | "between-ticks"
  | "kept"
  | "min-scale"
  | "max-scale";

/** In the order in which they act. */
export function limitsOf(record: DecisionRecord): Limit[] {
  const { terms, given, desiredPods, decidedPods, bounds } = record;
  if (terms === undefined || given === undefined || decidedPods === undefined)
    return [{ name: "no-data", pods: desiredPods }];
  const limits: Limit[] = [];
  const { stablePods, panicPods, ceiling, floor, undelayedPods } = terms;
  const panicking = record.panicking || terms.overThreshold;
  const asked = panicking ? Math.max(stablePods, panicPods) : stablePods;
  let pods = asked;

  if (pods < floor) limits.push({ name: "max-scale-down-rate", pods: (pods = floor) });
  if (pods > ceiling) limits.push({ name: "max-scale-up-rate", pods: (pods = ceiling) });
  const { activationScale } = given.spec;
  if (asked > 0 && activationScale > 1 && pods < activationScale)
    limits.push({ name: "activation-scale", pods: (pods = activationScale) });
  if (undelayedPods > pods) {
    const remembers = terms.rememberedPods === undefined || Math.ceil(terms.rememberedPods) > pods;
    const held = remembers ? "panic-peak" : terms.overThreshold ? "surge-headroom" : "boundary";
    limits.push({ name: panicking ? held : "boundary", pods: undelayedPods });
  }
  if (decidedPods > undelayedPods) limits.push({ name: "scale-down-delay", pods: decidedPods });
  if (desiredPods > decidedPods)
    limits.push({ name: record.because === "" ? "between-ticks" : "kept", pods: desiredPods });
  if (desiredPods < bounds.min) limits.push({ name: "min-scale", pods: bounds.min });
  if (bounds.max > 0 && desiredPods > bounds.max) limits.push({ name: "max-scale", pods: bounds.max });
  return limits;
}
