/** The last decisions of each revision, with all that led to them: the material for explanations. */
import type { ScalingMode } from "../api/autoscaling-config.ts";
import type { DeciderSpec, DeciderState, DecisionTerms, Observation } from "./decide.ts";

/** Why a revision was looked at. */
export type Cause = "tick" | "load" | "pods" | "spec";

export interface DecisionRecord {
  /** Milliseconds since the epoch of the newest of the equal decisions that this stands for. */
  atMs: number;
  /** Of the oldest. */
  sinceMs: number;
  times: number;
  cause: Cause;
  inputs: {
    metric: "concurrency" | "rps";
    stable: number;
    panic: number;
    /** In flight now, and what of it counted before it reached the averages. */
    inFlight: number;
    held: number;
    readyPods: number;
    target: number;
    total: number;
  };
  windows: { stableMs: number; panicMs: number };
  /** What the decision function was given at `atMs`, to ask it again. Absent when there was nothing to decide on. */
  given?: { mode: ScalingMode; spec: DeciderSpec; seen: Observation; state: DeciderState };
  /** What the decision function answered. */
  decidedPods?: number;
  terms?: DecisionTerms;
  panicking: boolean;
  /** Since when without a break; absent outside panic. */
  panickingSinceMs?: number;
  /** What was wanted before the oldest; -1 = nothing was decided. */
  fromPods: number;
  desiredPods: number;
  excessBurstCapacity: number;
  /** From the first sight of more load than the pods wanted before should have until this; only where it asked for more. */
  reactionMs?: number;
  /** What kept the result above the formula's, if anything. */
  because: string;
  /** Applied to the result afterwards; `max` 0 = none. */
  bounds: { min: number; max: number };
  /** What became of it; absent until it was looked at. */
  applied?: Applied;
}

/** Replicas after the revision's bounds and the walk to zero; -1 = they stay as they are. */
export interface Applied {
  atMs: number;
  replicas: number;
  because: string;
}

/** Kept per revision. */
const capacity = 50;

export class DecisionLog {
  readonly #records: DecisionRecord[] = [];

  /** Ticks that change nothing are merged into one record. */
  add(record: Omit<DecisionRecord, "sinceMs" | "times" | "panickingSinceMs" | "applied">): void {
    const last = this.#records.at(-1);
    const panickingSinceMs = last?.panickingSinceMs ?? record.atMs;
    const same =
      last?.cause === record.cause &&
      last.desiredPods === record.desiredPods &&
      last.panicking === record.panicking &&
      last.because === record.because &&
      (last.terms === undefined) === (record.terms === undefined) &&
      Math.sign(last.excessBurstCapacity) === Math.sign(record.excessBurstCapacity);
    if (same) Object.assign(last, record, { times: last.times + 1, fromPods: last.fromPods });
    else {
      const applied = last?.desiredPods === record.desiredPods ? last.applied : undefined;
      this.#records.push({
        ...record,
        sinceMs: record.atMs,
        times: 1,
        ...(record.panicking ? { panickingSinceMs } : {}),
        ...(applied === undefined ? {} : { applied }),
      });
    }
    if (this.#records.length > capacity) this.#records.shift();
  }

  /** The newest decision was carried out like this. */
  applied(applied: Applied): void {
    const last = this.#records.at(-1);
    if (last !== undefined) last.applied = applied;
  }

  /** Oldest first. */
  list(): readonly DecisionRecord[] {
    return this.#records;
  }
}
