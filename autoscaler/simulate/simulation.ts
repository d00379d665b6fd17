/** One revision under traffic, on a virtual clock: arrivals, a queue in the activator, pods, and the autoscaler. */
import type { RevisionScaling } from "../../api/autoscaling-annotations.ts";
import type { AutoscalerConfig } from "../../api/autoscaling-config.ts";
import { ControlLoop } from "./control-loop.ts";
import { EventQueue } from "./event-queue.ts";
import { PodSet, type SimulatedPod } from "./pod-set.ts";
import { createRandom } from "./random.ts";
import type { Workload } from "./workload.ts";

export interface SimulationOptions {
  scaling: RevisionScaling;
  config: AutoscalerConfig;
  /** Requests that a pod serves at once; 0 = any number. */
  containerConcurrency: number;
  demand: Demand;
  /** Ready when the simulation begins. */
  startPods: number;
  podStartMs: number;
  /** Deviation of the logarithm of the start-up time; 0 = always the same. */
  podStartSigma: number;
  /** From a decision until the pods are asked for. */
  writeMs: number;
  seed: number;
  /** Seconds that the clock runs before 0, with the demand of then; for given loads only. */
  warmUpS?: number;
}

export type Demand =
  /** Open loop: requests are held until a pod has room. */
  | { is: "requests"; workload: Workload }
  /** What is in flight, second by second, whatever the pods do. */
  | { is: "given"; load: (second: number) => number; endS: number };

/** Each second from 0: what was the case in its middle, except where it says otherwise. */
export interface Series {
  /** Average in flight over the second, waiting included. */
  inFlight: Float64Array;
  /** What would be in flight if nothing ever waited. */
  offered: Float64Array;
  queue: Uint32Array;
  desired: Int32Array;
  replicas: Uint32Array;
  ready: Uint32Array;
  panicking: Uint8Array;
}

export interface Run {
  series: Series;
  /** Milliseconds from 0, and the new decision. */
  decisions: { atMs: number; pods: number }[];
  /** Times from 0 at which a request met no ready pod and none was on its way. */
  coldStarts: number[];
  /** Requests that waited for a first pod. */
  coldRequests: number;
  /** Of each request that was begun, from its arrival until a pod took it. */
  waitMs: Float64Array;
  /** Requests that no pod had taken when the time was over. */
  unserved: number;
  podSeconds: number;
  flips: number;
  evaluations: number;
}

/** A whole second, so that the seconds of the windows are those of the simulation. */
const epochMs = 1_700_000_000_000;
/** An activator reports each second, and at once when its queue begins or has doubled, at most each 100 ms. */
const activatorPeriodMs = 1000;
const growthPeriodMs = 100;
/** Sidecars report changes at most so often. */
const sidecarPeriodMs = 100;

export function simulate(options: SimulationOptions): Run {
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #events = new EventQueue<() => void>();
  readonly #completions = new EventQueue<SimulatedPod>();
  readonly #pods: PodSet;
  readonly #control: ControlLoop;
  readonly #series: Series;
  readonly #decisions: Run["decisions"] = [];
  readonly #coldStarts: number[] = [];
  readonly #waitMs: Float64Array;
  #nowMs: number;
  #inFlight = 0;
  #requestSeconds = 0;
  #changedMs: number;
  /** Requests with a smaller index have arrived; those from `#head` on still wait. */
  #arrived = 0;
  #head = 0;
  #coldRequests = 0;
  #arrivals = 0;
  #told = { held: 0, atMs: -Infinity };
  #isDirty = false;
  #desired: number;

  constructor(options: SimulationOptions) {
    this.#options = options;
    const { demand, startPods } = options;
    this.#nowMs = epochMs - (options.warmUpS ?? 0) * 1000;
    this.#changedMs = this.#nowMs;
    const nowMs = (): number => this.#nowMs;
    const after = (ms: number, call: () => void): (() => void) => {
      let active = true;
      this.#events.add(this.#nowMs + ms, () => {
        if (active) call();
      });
      return () => {
        active = false;
      };
    };
    this.#pods = new PodSet({
      containerConcurrency: options.containerConcurrency,
      startMs: options.podStartMs,
      startSigma: options.podStartSigma,
      // Apart from the arrivals', so that both modes see the same traffic and the same pods.
      random: createRandom(options.seed + 1),
      nowMs,
      after,
      onReady: (pod) => this.#podReady(pod),
      onGone: (pod) => this.#control.podGone(pod.name),
    });
    this.#pods.replicas = startPods;
    this.#control = new ControlLoop({ ...options, pods: this.#pods, nowMs, after });
    this.#pods.scale(startPods, true);
    this.#desired = this.#control.desiredPods;
    const seconds = demand.is === "given" ? demand.endS : Math.ceil(demand.workload.durationMs / 1000);
    this.#series = {
      inFlight: new Float64Array(seconds),
      offered: new Float64Array(seconds),
      queue: new Uint32Array(seconds),
      desired: new Int32Array(seconds),
      replicas: new Uint32Array(seconds),
      ready: new Uint32Array(seconds),
      panicking: new Uint8Array(seconds),
    };
    this.#waitMs = new Float64Array(demand.is === "given" ? 0 : demand.workload.arrivalMs.length);
  }

  run(): Run {
    const seconds = this.#series.queue.length;
    const endMs = epochMs + seconds * 1000;
    const { demand } = this.#options;
    if (demand.is === "given") this.#give(-(this.#options.warmUpS ?? 0), demand.load);
    else this.#reportEach();
    this.#sampleFrom(0);
    const arrivals = demand.is === "given" ? new Float64Array(0) : demand.workload.arrivalMs;
    for (;;) {
      const arrivalMs = this.#arrived < arrivals.length ? epochMs + arrivals[this.#arrived]! : Infinity;
      const nextMs = Math.min(arrivalMs, this.#completions.nextMs, this.#events.nextMs);
      if (nextMs >= endMs) break;
      this.#nowMs = nextMs;
      if (nextMs === this.#completions.nextMs) this.#complete(this.#completions.take());
      else if (nextMs === arrivalMs) this.#arrive();
      else {
        this.#events.take()();
        this.#noteDecision();
      }
    }
    this.#nowMs = endMs;
    if (demand.is === "requests") offeredLoad(demand.workload, this.#series.offered);
    return {
      series: this.#series,
      decisions: this.#decisions,
      coldStarts: this.#coldStarts,
      coldRequests: this.#coldRequests,
      waitMs: this.#waitMs.slice(0, this.#head),
      unserved: this.#arrived - this.#head,
      podSeconds: this.#pods.podSeconds,
      flips: this.#control.flips,
      evaluations: this.#control.evaluations,
    };
  }

  #arrive(): void {
    this.#arrived += 1;
    this.#arrivals += 1;
    if (this.#pods.ready === 0) {
      this.#coldRequests += 1;
      if (this.#pods.replicas === 0 && this.#held === 1) this.#coldStarts.push(this.#nowMs - epochMs);
    }
    this.#setInFlight(this.#inFlight + 1);
    this.#admit();
    const held = this.#held;
    const first = held === 1 && this.#told.held === 0;
    const doubled = held >= 2 * this.#told.held && this.#nowMs - this.#told.atMs >= growthPeriodMs;
    if (held > 0 && (first || doubled)) {
      this.#told = { held, atMs: this.#nowMs };
      this.#report();
      this.#noteDecision();
    }
  }

  #complete(pod: SimulatedPod): void {
    this.#pods.release(pod);
    this.#setInFlight(this.#inFlight - 1);
    this.#admit();
  }

  #podReady(pod: SimulatedPod): void {
    // Not yet while the pods of the beginning are made.
    this.#control.podReady(pod.name);
    this.#admit();
  }

  get #held(): number {
    return this.#arrived - this.#head;
  }

  /** Whoever waits longest goes first. */
  #admit(): void {
    const { demand } = this.#options;
    if (demand.is === "given") return;
    const { arrivalMs, serviceMs } = demand.workload;
    while (this.#head < this.#arrived) {
      const pod = this.#pods.take();
      if (pod === undefined) return;
      // Sums of large and small numbers: a fraction of a microsecond may be missing.
      this.#waitMs[this.#head] = Math.max(0, this.#nowMs - epochMs - arrivalMs[this.#head]!);
      this.#completions.add(this.#nowMs + serviceMs[this.#head]!, pod);
      this.#head += 1;
    }
    this.#told.held = 0;
  }

  #setInFlight(inFlight: number): void {
    const seconds = (this.#nowMs - this.#changedMs) / 1000;
    if (seconds > 0) this.#spread(seconds);
    this.#inFlight = inFlight;
    if (this.#isDirty || this.#control.mode === "Proxy") return;
    this.#isDirty = true;
    this.#events.add(this.#nowMs + sidecarPeriodMs, () => {
      this.#isDirty = false;
      this.#report();
    });
  }

  /** Adds what has been in flight since the last change to the seconds in which it was. */
  #spread(seconds: number): void {
    this.#requestSeconds += this.#inFlight * seconds;
    let fromMs = this.#changedMs - epochMs;
    const toMs = this.#nowMs - epochMs;
    while (fromMs < toMs) {
      const second = Math.floor(fromMs / 1000);
      const untilMs = Math.min(toMs, (second + 1) * 1000);
      if (second >= 0 && second < this.#series.inFlight.length)
        this.#series.inFlight[second]! += (this.#inFlight * (untilMs - fromMs)) / 1000;
      fromMs = untilMs;
    }
    this.#changedMs = this.#nowMs;
  }

  #report(): void {
    const seconds = (this.#nowMs - this.#changedMs) / 1000;
    if (seconds > 0) this.#spread(seconds);
    this.#control.report({ requestSeconds: this.#requestSeconds, arrivals: this.#arrivals, inFlight: this.#inFlight });
  }

  #reportEach(): void {
    this.#report();
    this.#events.add(this.#nowMs + activatorPeriodMs, () => this.#reportEach());
  }

  #give(second: number, load: (second: number) => number): void {
    const inFlight = load(second);
    this.#arrivals += Math.max(0, inFlight - this.#inFlight);
    this.#setInFlight(inFlight);
    this.#report();
    this.#events.add(epochMs + (second + 1) * 1000, () => this.#give(second + 1, load));
  }

  #sampleFrom(second: number): void {
    if (second >= this.#series.queue.length) return;
    this.#events.add(epochMs + second * 1000 + 500, () => {
      this.#series.queue[second] = this.#held;
      this.#series.desired[second] = this.#control.desiredPods;
      this.#series.replicas[second] = this.#pods.replicas;
      this.#series.ready[second] = this.#pods.ready;
      this.#series.panicking[second] = this.#control.isPanicking ? 1 : 0;
      this.#sampleFrom(second + 1);
    });
  }

  #noteDecision(): void {
    const pods = this.#control.desiredPods;
    if (pods === this.#desired) return;
    this.#desired = pods;
    this.#decisions.push({ atMs: this.#nowMs - epochMs, pods });
  }
}

/** In flight if every request were served at once, averaged over each second. */
function offeredLoad({ arrivalMs, serviceMs }: Workload, offered: Float64Array): void {
  for (let index = 0; index < arrivalMs.length; index++) {
    let fromMs = arrivalMs[index]!;
    const toMs = Math.min(fromMs + serviceMs[index]!, offered.length * 1000);
    while (fromMs < toMs) {
      const second = Math.floor(fromMs / 1000);
      const untilMs = Math.min(toMs, (second + 1) * 1000);
      offered[second]! += (untilMs - fromMs) / 1000;
      fromMs = untilMs;
    }
  }
}
