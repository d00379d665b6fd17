/** The last decisions of each revision, with what led to them: the material for explanations. */
import type { DecisionTerms } from "./decide.ts";

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
  /** Absent when there was nothing to decide on. */
  terms?: DecisionTerms;
  panicking: boolean;
  desiredPods: number;
  excessBurstCapacity: number;
  /** What kept the result above the formula's, if anything. */
  because: string;
}

/** Kept per revision. */
const capacity = 50;

export class DecisionLog {
  readonly #records: DecisionRecord[] = [];

  /** Ticks that change nothing are merged into one record. */
  add(record: Omit<DecisionRecord, "sinceMs" | "times">): void {
    const last = this.#records.at(-1);
    const same =
      last?.cause === record.cause &&
      last.desiredPods === record.desiredPods &&
      last.panicking === record.panicking &&
      last.because === record.because &&
      Math.sign(last.excessBurstCapacity) === Math.sign(record.excessBurstCapacity);
    if (same) Object.assign(last, record, { times: last.times + 1 });
    else this.#records.push({ ...record, sinceMs: record.atMs, times: 1 });
    if (this.#records.length > capacity) this.#records.shift();
  }

  /** Oldest first. */
  list(): readonly DecisionRecord[] {
    return this.#records;
  }
}
