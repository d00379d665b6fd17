/**
 * Decides for every revision: every two seconds, and at once when something happens that cannot wait. What happens
 * between ticks only ever raises a decision; shrinking keeps the pace of the ticks. A revision at zero that nobody
 * calls costs nothing until it is called.
 */
import type { Logger } from "../process/logger.ts";
import { heldMs } from "./collector.ts";
import {
  createDecider,
  deciderMemory,
  isOverThreshold,
  logDecision,
  noteLoad,
  podsInFlight,
  type Decider,
  type DeciderMemory,
  type DeciderView,
} from "./decider.ts";
import type { DeciderSpec } from "./decide.ts";
import { deciderSpec, type ScaledRevision } from "./decider-spec.ts";
import { decisionOf } from "./decide-smooth.ts";
import type { Applied, Cause, DecisionRecord } from "./decision-log.ts";
import type { RevisionStats } from "./revision-stats.ts";
import { TickWheel } from "./tick-wheel.ts";

export type { DeciderView } from "./decider.ts";
export type { ScaledRevision } from "./decider-spec.ts";

/** A decider as metrics show it. */
export interface DeciderStatus extends DeciderView {
  key: string;
  metric: "concurrency" | "rps";
  stable: number;
  panic: number;
  target: number;
  panicking: boolean;
}

export interface MultiScalerOptions {
  stats: RevisionStats;
  readyPods: (key: string) => number;
  /** The decision changed, or the activator has to enter or may leave the path. */
  onDecision: (key: string) => void;
  nowMs: () => number;
  /** Calls back once, later; returns what cancels it. */
  after: (ms: number, call: () => void) => () => void;
  log: Logger;
  /** What the process that decided before has handed over. */
  remembered?: (key: string) => DeciderMemory | undefined;
}

export const tickMs = 2000;
/** Ticks of different revisions are spread over these parts of the period. */
const slots = 20;
/** Evaluations of one revision that events ask for are at least so far apart. */
const eventGapMs = 10;

export class MultiScaler {
  readonly #options: MultiScalerOptions;
  readonly #deciders = new Map<string, Decider>();
  readonly #wheel: TickWheel<Decider>;
  #created = 0;
  #stopped = false;
  evaluations = 0;

  constructor(options: MultiScalerOptions) {
    this.#options = options;
    this.#wheel = new TickWheel({
      periodMs: tickMs,
      slots,
      turn: (decider) => this.#tick(decider),
      nowMs: options.nowMs,
      after: options.after,
    });
  }

  /** Ends every timer; nothing is decided any more. */
  stop(): void {
    this.#stopped = true;
    this.#wheel.stop();
    for (const key of this.#deciders.keys()) this.remove(key);
  }

  /** Creates or updates the decider; a new spec is taken into account at once. */
  ensure(key: string, revision: ScaledRevision): DeciderView {
    const { scaling } = revision;
    const spec = deciderSpec(revision);
    let decider = this.#deciders.get(key);
    if (decider === undefined) {
      decider = this.#create(key, revision, spec);
      this.#wake(decider);
      this.#evaluateSoon(decider, "spec");
      return decider;
    }
    const changed =
      JSON.stringify(spec) !== JSON.stringify(decider.spec) ||
      scaling.metric !== decider.revision.scaling.metric ||
      scaling.mode !== decider.revision.scaling.mode;
    const windowsChanged =
      scaling.panicWindowMs !== decider.revision.scaling.panicWindowMs ||
      scaling.stableWindowMs !== decider.revision.scaling.stableWindowMs ||
      scaling.aggregation !== decider.revision.scaling.aggregation;
    if (windowsChanged) decider.collection = this.#options.stats.keep(key, scaling);
    if (revision.replicas !== decider.revision.replicas) this.#wake(decider);
    decider.revision = revision;
    decider.spec = spec;
    if (changed || windowsChanged) {
      this.#wake(decider);
      this.#evaluateSoon(decider, "spec");
    }
    return decider;
  }

  remove(key: string): void {
    const decider = this.#deciders.get(key);
    if (decider === undefined) return;
    this.#deciders.delete(key);
    this.#sleep(decider);
    decider.cancelEvent?.();
    this.#options.stats.release(key);
  }

  get(key: string): DeciderView | undefined {
    return this.#deciders.get(key);
  }

  /** For whoever decides next. */
  memories(): [key: string, memory: DeciderMemory][] {
    return [...this.#deciders.values()].map((decider) => [decider.key, deciderMemory(decider)]);
  }

  /** What became of the newest decision, for explanations. */
  applied(key: string, applied: Applied): void {
    this.#deciders.get(key)?.log.applied(applied);
  }

  decisions(key: string): readonly DecisionRecord[] | undefined {
    return this.#deciders.get(key)?.log.list();
  }

  statuses(): DeciderStatus[] {
    return [...this.#deciders.values()].map((decider) => ({
      key: decider.key,
      metric: decider.revision.scaling.metric,
      desiredPods: decider.desiredPods,
      excessBurstCapacity: decider.excessBurstCapacity,
      stable: decider.last.stable,
      panic: decider.last.panic,
      target: decider.spec.target,
      panicking: decider.state.mode.is === "panic",
    }));
  }

  /** Deciders, and how many of them tick. */
  get counts(): { deciders: number; ticking: number } {
    return { deciders: this.#deciders.size, ticking: this.#wheel.size };
  }

  /** What is in flight has changed. */
  onLoad(key: string): void {
    const decider = this.#deciders.get(key);
    if (decider === undefined) return;
    const { inFlight } = decider.collection;
    noteLoad(decider, this.#options.nowMs());
    if (inFlight > 0) this.#wake(decider);
    if (!decider.revision.eventEvaluations) {
      if (decider.desiredPods === 0 && inFlight > 0) this.#evaluate(decider, "load");
      return;
    }
    if (podsInFlight(decider) <= decider.desiredPods) return;
    const ready = this.#ready(decider);
    // Without pods nothing is being worked off: what is held counts at once.
    // And a revision that is about to go must not go from under a request.
    if (ready === 0 || decider.desiredPods === 0) this.#evaluateSoon(decider, "load");
    if (ready > 0 && isOverThreshold(decider, ready)) this.#evaluateSoon(decider, "load", heldMs);
  }

  /** A pod came, went, or changed its readiness. */
  onPods(key: string): void {
    const decider = this.#deciders.get(key);
    if (decider === undefined) return;
    const before = decider.readyPods;
    decider.readyPods = undefined;
    if (this.#ready(decider) === before) return;
    this.#wake(decider);
    if (decider.revision.eventEvaluations) this.#evaluateSoon(decider, "pods");
  }

  #create(key: string, revision: ScaledRevision, spec: DeciderSpec): Decider {
    const decider = createDecider(
      {
        key,
        // Evenly spread, also when many are created in one go.
        slot: this.#created++ % slots,
        revision,
        spec,
        collection: this.#options.stats.keep(key, revision.scaling),
        readyPods: this.#options.readyPods(key),
      },
      this.#options.nowMs(),
      this.#options.remembered?.(key),
    );
    this.#deciders.set(key, decider);
    return decider;
  }

  #ready(decider: Decider): number {
    decider.readyPods ??= this.#options.readyPods(decider.key);
    return decider.readyPods;
  }

  /** Events that come together are one evaluation; an earlier one wins over a later one. */
  #evaluateSoon(decider: Decider, cause: Cause, delayMs = 0): void {
    if (this.#stopped) return;
    const nowMs = this.#options.nowMs();
    const waitMs = Math.max(delayMs, decider.evaluatedMs + eventGapMs - nowMs);
    if (waitMs <= 0) {
      this.#evaluate(decider, cause);
      return;
    }
    if (decider.cancelEvent !== undefined && delayMs > 0) return;
    decider.cancelEvent?.();
    decider.cancelEvent = this.#options.after(waitMs, () => {
      decider.cancelEvent = undefined;
      this.#evaluate(decider, cause);
      if (cause === "load") this.#evaluateRest(decider);
    });
  }

  /** More is in flight than was held for long enough: it has risen meanwhile, and counts when it was. */
  #evaluateRest(decider: Decider): void {
    const ready = this.#ready(decider);
    if (ready === 0 || podsInFlight(decider) <= decider.desiredPods || !isOverThreshold(decider, ready)) return;
    const leftMs = decider.load.risenMs + heldMs - this.#options.nowMs();
    this.#evaluateSoon(decider, "load", leftMs > 0 ? leftMs : heldMs);
  }

  #evaluate(decider: Decider, cause: Cause): void {
    if (this.#stopped || this.#deciders.get(decider.key) !== decider) return;
    const nowMs = this.#options.nowMs();
    const { collection, revision, spec } = decider;
    const { metric } = revision.scaling;
    const readyPods = this.#ready(decider);
    const { inFlight } = collection;
    const averages = collection.averages(metric, nowMs);
    const held = this.#held(decider, readyPods, cause, nowMs);
    decider.evaluatedMs = nowMs;
    this.evaluations += 1;
    const inputs: DecisionRecord["inputs"] = {
      metric,
      stable: readyPods === 0 || decider.desiredPods === 0 ? Math.max(averages.stable, held) : averages.stable,
      panic: Math.max(averages.panic, held),
      inFlight,
      held,
      readyPods,
      target: spec.target,
      total: spec.total,
    };
    if (!averages.hasData && held === 0 && !this.#knownIdle(decider, readyPods, nowMs)) {
      const because = "no data: the last decision stays";
      logDecision(decider, cause, inputs, { fromPods: decider.desiredPods, because }, nowMs);
      this.#sleepIfIdle(decider, readyPods);
      return;
    }

    const startingPods = Math.max(0, revision.replicas - readyPods);
    const given = {
      mode: revision.scaling.mode,
      spec,
      seen: { stable: inputs.stable, panic: inputs.panic, readyPods, startingPods },
      state: decider.state,
    };
    const decision = decisionOf[given.mode](spec, given.seen, given.state, nowMs);
    const kept = this.#kept(decider, readyPods, nowMs);
    const desiredPods = Math.max(decision.desiredPods, kept.pods);
    const changed = desiredPods !== decider.desiredPods;
    const fromPods = decider.desiredPods;
    const flipped = decision.excessBurstCapacity >= 0 !== decider.excessBurstCapacity >= 0;
    decider.last = { stable: inputs.stable, panic: inputs.panic };
    decider.excessBurstCapacity = decision.excessBurstCapacity;
    const lowers = desiredPods < decider.desiredPods;
    if (cause === "tick" || !lowers) {
      decider.state = decision.state;
      decider.desiredPods = desiredPods;
    }
    const because = desiredPods > decision.desiredPods ? kept.because : "";
    logDecision(decider, cause, inputs, { fromPods, because, given, decision }, nowMs);
    if (podsInFlight(decider) <= decider.desiredPods) decider.shortSinceMs = undefined;
    if (flipped || (changed && (cause === "tick" || !lowers))) this.#options.onDecision(decider.key);
    this.#sleepIfIdle(decider, readyPods);
  }

  /** What counts although the averages do not show it yet. */
  #held(decider: Decider, readyPods: number, cause: Cause, nowMs: number): number {
    const { collection, revision } = decider;
    if (!revision.eventEvaluations)
      return cause === "load" && decider.desiredPods === 0 ? Math.min(1, collection.inFlight) : 0;
    if (readyPods === 0) return collection.inFlight;
    const poke = decider.desiredPods === 0 ? Math.min(collection.inFlight, decider.spec.target) : 0;
    return revision.scaling.metric === "concurrency" ? Math.max(poke, collection.heldConcurrency(nowMs)) : poke;
  }

  /** Every request is with an activator, since no pod serves or none is ever passed by, and they hold none. */
  #knownIdle(decider: Decider, readyPods: number, nowMs: number): boolean {
    const { createdMs, spec } = decider;
    return (
      (readyPods === 0 || isAlwaysProxied(spec)) &&
      this.#options.stats.activators > 0 &&
      nowMs - createdMs >= spec.stableWindowMs
    );
  }

  /** What must not be given up for want of knowledge. */
  #kept(decider: Decider, readyPods: number, nowMs: number): { pods: number; because: string } {
    const { hold } = decider;
    if (hold !== undefined && nowMs < hold.untilMs)
      return { pods: hold.pods, because: "what was running is kept for a stable window" };
    decider.hold = undefined;
    if (!decider.spec.reachable) return { pods: 0, because: "" };
    const { stats } = this.#options;
    const activatorsKnow = isAlwaysProxied(decider.spec) && stats.activators > 0;
    if (!activatorsKnow && stats.knownPods(decider.key) * 2 < readyPods)
      return { pods: readyPods, because: "most ready pods do not report" };
    return { pods: 0, because: "" };
  }

  #wake(decider: Decider): void {
    this.#wheel.add(decider, decider.slot);
  }

  #sleep(decider: Decider): void {
    this.#wheel.delete(decider, decider.slot);
  }

  #sleepIfIdle(decider: Decider, readyPods: number): void {
    if (readyPods > 0 || !decider.collection.isQuiet || decider.hold !== undefined) return;
    if (decider.desiredPods === 0 || (decider.desiredPods < 0 && decider.revision.replicas === 0)) this.#sleep(decider);
  }

  #tick(decider: Decider): void {
    try {
      this.#evaluate(decider, "tick");
    } catch (error) {
      this.#options.log.error({ err: error, key: decider.key }, "no decision");
    }
  }
}

/** The activators stay in the path and count everything: what the pods say is not needed. */
const isAlwaysProxied = (spec: DeciderSpec): boolean => spec.targetBurstCapacity === -1;
