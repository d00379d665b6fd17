/** What a series of probe results means, and when to look again. Pure. */
import type { Probe } from "../../api/core.ts";

export type ProbeKind = "readiness" | "liveness" | "startup";

export interface ProbeSettings {
  initialDelayMs: number;
  periodMs: number;
  timeoutMs: number;
  successThreshold: number;
  failureThreshold: number;
  /** Before the first success, from the first try to the second. */
  firstRetryMs: number;
}

export interface ProbeState {
  verdict: "unknown" | "success" | "failure";
  /** Results in a row, all `streakIs`, that count towards a threshold. */
  streak: number;
  streakIs: "success" | "failure";
  /** When the last failure that counts was seen. */
  failureCountedMs: number;
  /** Tries before the first success. */
  tries: number;
  hasSucceeded: boolean;
}

/** Kubernetes' defaults for what is absent or 0. */
export function probeSettings(probe: Probe): ProbeSettings {
  const seconds = (value: number | undefined, fallback: number): number =>
    (value === undefined || value === 0 ? fallback : value) * 1000;
  return {
    initialDelayMs: seconds(probe.initialDelaySeconds, 0),
    periodMs: seconds(probe.periodSeconds, 10),
    timeoutMs: seconds(probe.timeoutSeconds, 1),
    successThreshold: probe.successThreshold === undefined || probe.successThreshold < 1 ? 1 : probe.successThreshold,
    failureThreshold: probe.failureThreshold === undefined || probe.failureThreshold < 1 ? 3 : probe.failureThreshold,
    // A refused connection costs nothing, a process does.
    firstRetryMs: probe.exec === undefined ? 10 : 100,
  };
}

/** A container counts as alive, and as not ready, until its probes say otherwise. */
export function initialProbeState(kind: ProbeKind, nowMs: number): ProbeState {
  const verdict = kind === "liveness" ? "success" : kind === "readiness" ? "failure" : "unknown";
  return { verdict, streak: 0, streakIs: "success", failureCountedMs: nowMs, tries: 0, hasSucceeded: false };
}

/**
 * Before its first success a container is asked more often than once a period (see {@link nextProbeInMs}); a failure
 * then counts once a period, so that the thresholds keep their meaning.
 */
export function afterProbe(
  state: ProbeState,
  success: boolean,
  kind: ProbeKind,
  settings: ProbeSettings,
  nowMs: number,
): { state: ProbeState; counted: boolean } {
  const tries = state.hasSucceeded ? 0 : state.tries + 1;
  if (success) {
    const streak = state.streakIs === "success" ? state.streak + 1 : 1;
    const reached = streak >= settings.successThreshold;
    const verdict = reached ? "success" : state.verdict;
    return {
      state: { ...state, verdict, streak, streakIs: "success", tries, hasSucceeded: state.hasSucceeded || reached },
      counted: true,
    };
  }
  const isEarly = asksPromptly(kind, state) && nowMs - state.failureCountedMs < settings.periodMs;
  // Any failure ends a run of successes.
  const before = state.streakIs === "failure" ? state.streak : 0;
  if (isEarly) return { state: { ...state, streak: before, streakIs: "failure", tries }, counted: false };
  const streak = before + 1;
  const verdict = streak >= settings.failureThreshold ? "failure" : state.verdict;
  return { state: { ...state, verdict, streak, streakIs: "failure", failureCountedMs: nowMs, tries }, counted: true };
}

const maxRetryMs = 500;

/** From the start of the last probe to the start of the next. */
export function nextProbeInMs(kind: ProbeKind, state: ProbeState, settings: ProbeSettings): number {
  if (!asksPromptly(kind, state)) return settings.periodMs;
  return Math.min(settings.periodMs, maxRetryMs, settings.firstRetryMs * 1.25 ** Math.max(0, state.tries - 1));
}

// A request may be waiting for this very container: a whole period is too long to find out that it has started.
const asksPromptly = (kind: ProbeKind, state: ProbeState): boolean => kind !== "liveness" && !state.hasSucceeded;
