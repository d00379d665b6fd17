/** What the autoscaler keeps of one revision between its decisions. */
import type { Averages, Collection } from "./collector.ts";
import {
  initialExcessBurstCapacity,
  initialState,
  type Decision,
  type DeciderSpec,
  type DeciderState,
} from "./decide.ts";
import { isSurge } from "./decide-smooth.ts";
import type { ScaledRevision } from "./decider-spec.ts";
import { DecisionLog, type Cause, type DecisionRecord } from "./decision-log.ts";
import { scaleBounds } from "./scale-to-zero.ts";

export interface DeciderView {
  /** -1 while nothing was decided. */
  desiredPods: number;
  excessBurstCapacity: number;
}

export interface Decider extends DeciderView {
  readonly key: string;
  readonly createdMs: number;
  /** Its place in the period of the ticks. */
  readonly slot: number;
  revision: ScaledRevision;
  spec: DeciderSpec;
  collection: Collection;
  state: DeciderState;
  last: Pick<Averages, "stable" | "panic">;
  /** Undefined: count again. */
  readyPods: number | undefined;
  /** What ran when we came: kept until then. */
  hold: { pods: number; untilMs: number } | undefined;
  /** In flight when it last changed, and when it last rose. */
  load: { inFlight: number; risenMs: number };
  /** Since when more is in flight than the pods that are wanted should have. */
  shortSinceMs: number | undefined;
  evaluatedMs: number;
  cancelEvent: (() => void) | undefined;
  readonly log: DecisionLog;
}

/** What another process needs to go on deciding; the windows are the collection's. */
export interface DeciderMemory extends DeciderView {
  state: DeciderState;
  hold: Decider["hold"];
}

export const deciderMemory = ({ desiredPods, excessBurstCapacity, state, hold }: Decider): DeciderMemory => ({
  desiredPods,
  excessBurstCapacity,
  state,
  hold,
});

/** `memory`: of the process that decided before. */
export function createDecider(
  from: Pick<Decider, "key" | "slot" | "revision" | "spec" | "collection"> & { readyPods: number },
  nowMs: number,
  memory?: DeciderMemory,
): Decider {
  const { revision, spec, readyPods } = from;
  const { scaling } = revision;
  return {
    ...from,
    createdMs: nowMs,
    state: initialState(readyPods, nowMs),
    desiredPods: -1,
    excessBurstCapacity: initialExcessBurstCapacity(spec, scaling.initialScale),
    last: { stable: 0, panic: 0 },
    hold:
      revision.foundRunning && revision.replicas > 0
        ? { pods: revision.replicas, untilMs: nowMs + scaling.stableWindowMs }
        : undefined,
    load: { inFlight: 0, risenMs: nowMs },
    shortSinceMs: undefined,
    evaluatedMs: -Infinity,
    cancelEvent: undefined,
    log: new DecisionLog(),
    ...memory,
  };
}

/** Takes note of what is in flight now. */
export function noteLoad(decider: Decider, nowMs: number): void {
  const { inFlight } = decider.collection;
  const { load } = decider;
  if (inFlight > load.inFlight) load.risenMs = nowMs;
  load.inFlight = inFlight;
  if (podsInFlight(decider) <= decider.desiredPods) decider.shortSinceMs = undefined;
  else decider.shortSinceMs ??= nowMs;
}

/** Pods for what is in flight now, in whole numbers and without any limit. */
export function podsInFlight({ collection, spec }: Decider): number {
  return Math.ceil(collection.inFlight / spec.target);
}

/** What is in flight would start a panic, were it the average. */
export function isOverThreshold(decider: Decider, readyPods: number): boolean {
  const { spec, revision, collection } = decider;
  if (revision.scaling.mode === "smooth") return isSurge(spec, collection.inFlight, readyPods);
  return podsInFlight(decider) / Math.max(1, readyPods) >= spec.panicThreshold;
}

/** Notes the decision that was just made for people who ask later. */
export function logDecision(
  decider: Decider,
  cause: Cause,
  inputs: DecisionRecord["inputs"],
  result: { fromPods: number; because: string; given?: DecisionRecord["given"]; decision?: Decision },
  nowMs: number,
): void {
  const { fromPods, because, given, decision } = result;
  const { scaling, reachable } = decider.revision;
  const { desiredPods, shortSinceMs } = decider;
  decider.log.add({
    atMs: nowMs,
    cause,
    inputs,
    windows: { stableMs: scaling.stableWindowMs, panicMs: scaling.panicWindowMs },
    panicking: decider.state.mode.is === "panic",
    fromPods,
    desiredPods,
    excessBurstCapacity: decider.excessBurstCapacity,
    because,
    bounds: scaleBounds(scaling, reachable),
    ...(desiredPods > fromPods && shortSinceMs !== undefined ? { reactionMs: nowMs - shortSinceMs } : {}),
    ...(given === undefined ? {} : { given }),
    ...(decision === undefined ? {} : { decidedPods: decision.desiredPods, terms: decision.terms }),
  });
}
