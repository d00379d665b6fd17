/**
 * The opt-in decision of `scaling-mode: smooth`: same inputs, same bounds and same knobs as the exact one, but
 *
 * - surges are found by exact arithmetic (load over what the pods can take), not by a rounded count of pods;
 * - pods that are starting count, so that one surge is not answered twice;
 * - after a surge the peak is let go little by little instead of being pinned and dropped, and kept up for as long as
 *   surges come back within a stable window;
 * - a count falls, and the activator leaves the path, only when the load is clear of the boundary;
 * - rounding comes last.
 */
import type { ScalingMode } from "../api/autoscaling-config.ts";
import {
  decide,
  delayed,
  excessBurstCapacity,
  type Decide,
  type Decision,
  type DeciderSpec,
  type DeciderState,
  type Observation,
  type SmoothMemory,
} from "./decide.ts";

export const decisionOf: Readonly<Record<ScalingMode, Decide>> = { exact: decide, smooth: decideSmooth };

/** Parts of the stable window: a peak is kept whole for the first, while surges come back for the second; one that was made
 * of what waited for pods falls within the third. */
const holdFraction = 0.1;
const recurringHoldFraction = 0.75;
const queuedFallFraction = 0.2;
/** So much of a peak, in terms of the stable need of then, is kept for so long in any case: small surges come back most. */
const keptShare = 2;
const keptHoldFraction = 0.9;
/** A surge is still growing when it is seen. */
const surgeHeadroom = 1.1;
/** A count falls when the need is below it by this many pods, and this many per square root of the need (its noise), or has been
 * below it at all for this part of the stable window. */
const fallMargin = 0.2;
const fallMarginPerRoot = 0.05;
const dwellFraction = 0.5;
/** Of the target burst capacity: room that is wanted on top before the activator leaves the path. */
const serveMargin = 0.1;

export function decideSmooth(spec: DeciderSpec, seen: Observation, state: DeciderState, nowMs: number): Decision {
  const memory = state.smooth ?? memoryOf(state, nowMs);
  const windowMs = spec.stableWindowMs;
  const ready = Math.max(1, seen.readyPods);
  const coming = Math.max(1, seen.readyPods + (seen.startingPods ?? 0));
  const ceiling = Math.ceil(spec.maxScaleUpRate * coming);
  const floor = spec.reachable ? Math.floor(ready / spec.maxScaleDownRate) : 0;
  const stableNeed = seen.stable / spec.target;
  const panicNeed = seen.panic / spec.target;

  const overThreshold = isSurge(spec, seen.panic, coming);
  const lastOverMs = state.mode.is === "panic" ? state.mode.sinceMs : -Infinity;
  const panicking = overThreshold || nowMs <= lastOverMs + windowMs;
  const remembered = panicking ? rememberedNeed(memory, windowMs, nowMs) : 0;
  const need = panicking
    ? Math.max(stableNeed, panicNeed * (overThreshold ? surgeHeadroom : 1), remembered)
    : stableNeed;
  const isPeak = panicking && (overThreshold || panicNeed > remembered);
  const comesBack = overThreshold && nowMs - lastOverMs > windowMs * holdFraction && memory.peak * 2 >= need;
  const isFarHigher = isPeak && need > 2 * memory.peak;

  const fewer = Math.ceil(need) < memory.pods;
  const fewerSinceMs = fewer ? (memory.fewerSinceMs ?? nowMs) : undefined;
  const isClear = fewerSinceMs !== undefined && nowMs - fewerSinceMs >= windowMs * dwellFraction;
  const bounded = Math.min(Math.max(isClear ? Math.ceil(need) : rounded(need, memory.pods), floor), ceiling);
  const pods = need > 0 && spec.activationScale > 1 ? Math.max(bounded, spec.activationScale) : bounded;

  const delay = spec.reachable ? delayed(state.delay, pods, spec.scaleDownDelayMs, nowMs) : state.delay;
  const desiredPods = Math.trunc(spec.reachable && delay.length > 0 ? delay[0]!.pods : pods);
  const excess = excessBurstCapacity(spec, seen.readyPods, seen.panic);
  const serving =
    spec.targetBurstCapacity <= 0 || excess >= (memory.serving ? 0 : spec.targetBurstCapacity * serveMargin);
  const smooth: SmoothMemory = {
    pods,
    peak: isPeak ? need : memory.peak,
    peakBase: isPeak ? stableNeed : memory.peakBase,
    peakMs: isPeak ? nowMs : memory.peakMs,
    queued: isPeak ? seen.panic > seen.readyPods * spec.total : memory.queued,
    recurring: panicking && !isFarHigher && (memory.recurring || comesBack),
    serving,
    ...(fewerSinceMs === undefined || pods < memory.pods ? {} : { fewerSinceMs }),
  };
  return {
    desiredPods,
    excessBurstCapacity: serving ? excess : Math.min(excess, -1),
    state: {
      mode: panicking ? { is: "panic", sinceMs: overThreshold ? nowMs : lastOverMs, peakPods: pods } : { is: "stable" },
      delay,
      smooth,
    },
    terms: {
      stablePods: Math.ceil(stableNeed),
      panicPods: Math.ceil(panicNeed),
      ceiling,
      floor,
      overThreshold,
      undelayedPods: pods,
      rememberedPods: remembered,
    },
  };
}

/**
 * The exact decision panics from one pod less than the threshold's multiple, since it rounds up first; here what one pod
 * can take above its target has to be used up as well.
 */
export function isSurge(
  spec: Pick<DeciderSpec, "target" | "total" | "panicThreshold">,
  load: number,
  pods: number,
): boolean {
  const { target, total, panicThreshold } = spec;
  return load > target * (panicThreshold * Math.max(1, pods) - 1) + Math.max(0, total - target);
}

/** Of a peak, `sinceMs` after it: whole at first, then falling evenly to nothing. */
function remains(holdMs: number, fallMs: number, sinceMs: number): number {
  return Math.min(1, Math.max(0, (holdMs + fallMs - sinceMs) / fallMs));
}

/** What the peak of this panic is still worth, in pods. */
function rememberedNeed(memory: SmoothMemory, windowMs: number, nowMs: number): number {
  const { peak, peakBase, peakMs, recurring, queued } = memory;
  const sinceMs = nowMs - peakMs;
  const hold = recurring ? recurringHoldFraction : holdFraction;
  const fall = recurring || !queued ? 1 - hold : queuedFallFraction;
  const whole = peak * remains(windowMs * hold, windowMs * fall, sinceMs);
  const kept =
    Math.min(peak, keptShare * peakBase) *
    remains(windowMs * keptHoldFraction, windowMs * (1 - keptHoldFraction), sinceMs);
  return Math.max(whole, kept);
}

/** Up as soon as it is needed, down when the need is clear of the boundary. */
function rounded(need: number, before: number): number {
  if (need === 0) return 0;
  const pods = Math.ceil(need);
  if (pods >= before) return pods;
  return Math.min(before, Math.max(pods, Math.ceil(need + fallMargin + fallMarginPerRoot * Math.sqrt(need))));
}

function memoryOf({ mode }: DeciderState, nowMs: number): SmoothMemory {
  const [peak, peakMs] = mode.is === "panic" ? [mode.peakPods, mode.sinceMs] : [0, nowMs];
  return { pods: peak, peak, peakBase: peak, peakMs, queued: false, recurring: false, serving: false };
}
