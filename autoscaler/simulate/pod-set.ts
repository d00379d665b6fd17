/** The pods of one simulated revision: they take their time to start, serve so many at once, and drain when they go. */
import type { Random } from "./random.ts";

export interface PodSetOptions {
  /** Requests that a pod serves at once; 0 = any number. */
  containerConcurrency: number;
  /** From the request for a pod until it is ready: median, and the deviation of the logarithm. */
  startMs: number;
  startSigma: number;
  random: Random;
  nowMs: () => number;
  after: (ms: number, call: () => void) => () => void;
  onReady: (pod: SimulatedPod) => void;
  /** A ready pod serves no new requests any more. */
  onGone: (pod: SimulatedPod) => void;
}

export interface SimulatedPod {
  readonly name: string;
  inFlight: number;
  state: "starting" | "ready" | "draining";
  cancelStart: (() => void) | undefined;
}

export class PodSet {
  readonly #options: PodSetOptions;
  /** In the order in which they were asked for. */
  #starting: SimulatedPod[] = [];
  #ready: SimulatedPod[] = [];
  #draining = 0;
  #made = 0;
  /** Whose turn it is. */
  #turn = 0;
  #inFlight = 0;
  #podMs = 0;
  #countedMs: number;
  replicas = 0;

  constructor(options: PodSetOptions) {
    this.#options = options;
    this.#countedMs = options.nowMs();
  }

  get ready(): number {
    return this.#ready.length;
  }

  /** Everything that takes room on a node, summed over time. */
  get podSeconds(): number {
    this.#count();
    return this.#podMs / 1000;
  }

  scale(replicas: number, instantly = false): void {
    this.#count();
    this.replicas = replicas;
    while (this.#starting.length + this.#ready.length < replicas) this.#start(instantly);
    // Kubernetes' order: what is not ready first, then the newest; it knows nothing of their load.
    while (this.#starting.length + this.#ready.length > replicas)
      this.#stop((this.#starting.pop() ?? this.#ready.pop())!);
  }

  /** A ready pod with room, one after the other; it is counted as taken. */
  take(): SimulatedPod | undefined {
    const { containerConcurrency } = this.#options;
    const count = this.#ready.length;
    if (count === 0 || (containerConcurrency > 0 && this.#inFlight >= count * containerConcurrency)) return undefined;
    for (let tried = 0; tried < count; tried++) {
      this.#turn = (this.#turn + 1) % count;
      const pod = this.#ready[this.#turn]!;
      if (containerConcurrency > 0 && pod.inFlight >= containerConcurrency) continue;
      pod.inFlight += 1;
      this.#inFlight += 1;
      return pod;
    }
    return undefined;
  }

  release(pod: SimulatedPod): void {
    pod.inFlight -= 1;
    if (pod.state === "ready") this.#inFlight -= 1;
    else if (pod.inFlight === 0) {
      this.#count();
      this.#draining -= 1;
    }
  }

  #start(instantly: boolean): void {
    const { startMs, startSigma, random, after, onReady } = this.#options;
    const pod: SimulatedPod = { name: `pod-${this.#made++}`, inFlight: 0, state: "starting", cancelStart: undefined };
    const ready = (): void => {
      pod.state = "ready";
      this.#starting = this.#starting.filter((other) => other !== pod);
      this.#ready.push(pod);
      onReady(pod);
    };
    if (instantly) return ready();
    this.#starting.push(pod);
    pod.cancelStart = after(startSigma === 0 ? startMs : startMs * random.logNormal(startSigma), ready);
  }

  #stop(pod: SimulatedPod): void {
    pod.cancelStart?.();
    const wasReady = pod.state === "ready";
    pod.state = "draining";
    if (!wasReady) return;
    this.#inFlight -= pod.inFlight;
    if (pod.inFlight > 0) this.#draining += 1;
    this.#options.onGone(pod);
  }

  #count(): void {
    const nowMs = this.#options.nowMs();
    this.#podMs += (this.#starting.length + this.#ready.length + this.#draining) * (nowMs - this.#countedMs);
    this.#countedMs = nowMs;
  }
}
