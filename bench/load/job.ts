/** What the generator's process is asked for, and what it answers. */
import type { LoadScenario } from "../scenarios.ts";

export interface Target {
  host: string;
  port: number;
}

/** As much as goes: each connection sends its next request when the answer is there. */
export interface ClosedLoop {
  is: "closed";
  target: Target;
  scenario: LoadScenario;
  warmMs: number;
  measureMs: number;
  /** Whose CPU is taken over exactly the measured time. */
  pids: number[];
}

export interface ClosedLoopResult {
  requests: number;
  errors: number;
  elapsedMs: number;
  cpuMicros: number;
}

/** A constant schedule: what the proxy delays does not delay the requests after it. */
export interface OpenLoop {
  is: "open";
  target: Target;
  scenario: LoadScenario;
  requestsPerSecond: number;
  durationMs: number;
}

export interface OpenLoopResult {
  /** From the scheduled time to the last byte of the answer; NaN when nothing came back. */
  p50Ms: number;
  p99Ms: number;
  /** How late a request was sent although a connection was free: the generator did not get its core. */
  lateP99Ms: number;
  completed: number;
  /** Unanswered in time, too. */
  errors: number;
}

export type Job = ClosedLoop | OpenLoop;
export type JobResult = ClosedLoopResult | OpenLoopResult;
