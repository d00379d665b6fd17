/**
 * The decision of the pod autoscaler: how many pods one revision should have (spec: autoscaling 3.1 to 3.5). No clock,
 * no I/O, no memory but the state that goes in and comes out. Arithmetic is in doubles and rounds last, as Knative's.
 */

export interface DeciderSpec {
  /** What one pod should have, in units of the metric; above 0. */
  target: number;
  /** What one pod can take, in units of the metric. */
  total: number;
  /** -1: the activator stays in the path; 0: it leaves as soon as there is a pod. */
  targetBurstCapacity: number;
  maxScaleUpRate: number;
  maxScaleDownRate: number;
  /** Wanted pods over ready pods from which the panic window rules. */
  panicThreshold: number;
  stableWindowMs: number;
  /** A floor for every decision with load; 0 or 1 = off. */
  activationScale: number;
  /** A decision is kept up for this long; 0 = off. */
  scaleDownDelayMs: number;
  /** An unreachable revision may shrink in one step. */
  reachable: boolean;
}

export interface Observation {
  /** Average of the metric over the stable window, over all pods. */
  stable: number;
  /** The same over the panic window. */
  panic: number;
  readyPods: number;
  /** Pods that were asked for and are not ready yet; the exact decision does not look at them. */
  startingPods?: number;
}

export type Mode = { is: "stable" } | { is: "panic"; sinceMs: number; peakPods: number };

export interface DeciderState {
  mode: Mode;
  /** The highest decision of each slot of the scale-down delay, oldest first, higher ones only (see `delayed`). */
  delay: readonly DelayedDecision[];
  /** What only the smooth decision remembers. */
  smooth?: SmoothMemory;
}

export interface SmoothMemory {
  /** The last result. */
  pods: number;
  /** The highest need of the present panic, in pods and unrounded, and when it was seen. */
  peak: number;
  peakMs: number;
  /** What the stable average needed then. */
  peakBase: number;
  /** Then there was more than the ready pods could take: what waited for pods was part of it. */
  queued: boolean;
  /** Surges came back within a stable window: the peak is kept up for longer. */
  recurring: boolean;
  /** The activator was out of the path. */
  serving: boolean;
  /** Since when fewer pods would have been enough. */
  fewerSinceMs?: number;
}

export interface DelayedDecision {
  slot: number;
  pods: number;
}

/** What led to a decision, for metrics and explanations. */
export interface DecisionTerms {
  /** Pods that the averages ask for, before any limit. */
  stablePods: number;
  panicPods: number;
  /** The most and the fewest the rates allow. */
  ceiling: number;
  floor: number;
  overThreshold: boolean;
  /** What the mode made of it, before the scale-down delay. */
  undelayedPods: number;
  /** What a peak is still worth, in pods and unrounded; smooth mode only. */
  rememberedPods?: number;
}

export interface Decision {
  desiredPods: number;
  /** Below 0: the activator has to be in the path. */
  excessBurstCapacity: number;
  state: DeciderState;
  terms: DecisionTerms;
}

export type Decide = (spec: DeciderSpec, seen: Observation, state: DeciderState, nowMs: number) => Decision;

const slotMs = 2000;

export function decide(spec: DeciderSpec, seen: Observation, state: DeciderState, nowMs: number): Decision {
  const ready = Math.max(1, seen.readyPods);
  const ceiling = Math.ceil(spec.maxScaleUpRate * ready);
  const floor = spec.reachable ? Math.floor(ready / spec.maxScaleDownRate) : 0;
  const stablePods = Math.ceil(seen.stable / spec.target);
  const panicPods = Math.ceil(seen.panic / spec.target);
  const bounded = (pods: number): number => {
    const clamped = Math.min(Math.max(pods, floor), ceiling);
    return pods > 0 && spec.activationScale > 1 ? Math.max(clamped, spec.activationScale) : clamped;
  };
  const wantStable = bounded(stablePods);
  const wantPanic = bounded(panicPods);

  // On the rounded count and not on what the rates allow.
  const overThreshold = panicPods / ready >= spec.panicThreshold;
  let mode = nextMode(state.mode, overThreshold, spec.stableWindowMs, nowMs);
  let undelayedPods = wantStable;
  if (mode.is === "panic") {
    undelayedPods = Math.max(mode.peakPods, wantStable, wantPanic);
    mode = { is: "panic", sinceMs: mode.sinceMs, peakPods: undelayedPods };
  }

  const delay = spec.reachable ? delayed(state.delay, undelayedPods, spec.scaleDownDelayMs, nowMs) : state.delay;
  const desiredPods = spec.reachable && delay.length > 0 ? delay[0]!.pods : undelayedPods;
  return {
    desiredPods: Math.trunc(desiredPods),
    excessBurstCapacity: excessBurstCapacity(spec, seen.readyPods, seen.panic),
    state: { mode, delay },
    terms: { stablePods, panicPods, ceiling, floor, overThreshold, undelayedPods },
  };
}

/** Before any decision. With several pods already up it starts in panic, so that a restart does not shrink them. */
export function initialState(readyPods: number, nowMs: number): DeciderState {
  return {
    mode: readyPods > 1 ? { is: "panic", sinceMs: nowMs, peakPods: readyPods } : { is: "stable" },
    delay: [],
  };
}

/** Room for a burst before any load was seen, given the pods that the revision starts with. */
export function initialExcessBurstCapacity(
  spec: Pick<DeciderSpec, "total" | "targetBurstCapacity">,
  initialScale: number,
): number {
  const { total, targetBurstCapacity } = spec;
  if (targetBurstCapacity === 0 || targetBurstCapacity === -1) return targetBurstCapacity;
  return Math.trunc(initialScale * total - targetBurstCapacity);
}

export function excessBurstCapacity(spec: DeciderSpec, readyPods: number, panic: number): number {
  if (spec.targetBurstCapacity === 0) return 0;
  if (spec.targetBurstCapacity < 0) return -1;
  return Math.floor(readyPods * spec.total - spec.targetBurstCapacity - panic);
}

function nextMode(mode: Mode, overThreshold: boolean, stableWindowMs: number, nowMs: number): Mode {
  if (overThreshold) return { is: "panic", sinceMs: nowMs, peakPods: mode.is === "panic" ? mode.peakPods : 0 };
  if (mode.is === "panic" && mode.sinceMs + stableWindowMs < nowMs) return { is: "stable" };
  return mode;
}

/**
 * The sliding maximum over the delay, as the decisions that can still be a maximum: later ones are lower, so the first
 * is the highest. Empty without a delay.
 */
export function delayed(
  before: readonly DelayedDecision[],
  pods: number,
  delayMs: number,
  nowMs: number,
): readonly DelayedDecision[] {
  if (delayMs <= 0) return before.length === 0 ? before : [];
  const slot = Math.floor(Math.floor(nowMs / 1000) / 2);
  const oldest = slot - Math.ceil(delayMs / slotMs) + 1;
  return [...before.filter((past) => past.slot >= oldest && past.pods > pods), { slot, pods }];
}

/** How many activators the public endpoints of a revision in Proxy mode should list (spec: autoscaling 3.5). */
export function activatorCount(
  spec: Pick<DeciderSpec, "total" | "targetBurstCapacity">,
  readyPods: number,
  activatorCapacity: number,
): number {
  if (spec.targetBurstCapacity === 0) return smallestActivatorCount;
  const load = readyPods * spec.total + Math.max(spec.targetBurstCapacity, 0);
  return Math.max(smallestActivatorCount, Math.ceil(load / activatorCapacity));
}

const smallestActivatorCount = 2;
