/** For tests. Autoscalers that decide for one revision, one after another, on a clock that only moves when told to. */
import { revisionScaling } from "../../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import { silentLogger } from "../../process/logger.ts";
import { PodState, type Load } from "../../proto/gen/stats.ts";
import type { DeciderMemory } from "../decider.ts";
import type { ScaledRevision } from "../decider-spec.ts";
import { MultiScaler } from "../multi-scaler.ts";
import { RevisionStats, type ActivatorFeed, type PodFeed } from "../revision-stats.ts";

export const key = "default/hello-00001";
export const t0 = 1_700_000_000_000;

/** Moves all autoscalers and sources of a test. */
export class Clock {
  nowMs = t0;
  readonly #timers = new Set<{ atMs: number; call: () => void }>();

  after(ms: number, call: () => void): () => void {
    const timer = { atMs: this.nowMs + ms, call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.call();
    }
    this.nowMs = endMs;
  }
}

/** A queue-proxy or an activator: it lives on while autoscalers come and go. */
export class Source {
  readonly #clock: Clock;
  readonly #name: string;
  readonly #kind: "pod" | "activator";
  #feed: { is: "pod"; of: PodFeed } | { is: "activator"; of: ActivatorFeed } | undefined;
  #inFlight = 0;
  #requestSeconds = 0;
  #arrivals = 0;
  #atMs = t0;

  constructor(clock: Clock, kind: "pod" | "activator", name: string) {
    this.#clock = clock;
    this.#kind = kind;
    this.#name = name;
  }

  /** Opens its stream to an autoscaler and reports. */
  connect({ stats }: Autoscaler): void {
    const name = this.#name;
    this.#feed =
      this.#kind === "pod"
        ? { is: "pod", of: stats.openPod(key, { name, ip: "10.0.0.1", port: 8012, epoch: 1 }) }
        : { is: "activator", of: stats.openActivator({ name, epoch: 1 }, { tell: () => Promise.resolve() }) };
    this.set(this.#inFlight);
  }

  disconnect(): void {
    this.#feed?.of.close();
    this.#feed = undefined;
  }

  /** So much is in flight from now on; it is reported while there is a stream. */
  set(inFlight: number): void {
    this.#requestSeconds += (this.#inFlight * (this.#clock.nowMs - this.#atMs)) / 1000;
    this.#arrivals += Math.max(0, inFlight - this.#inFlight);
    this.#atMs = this.#clock.nowMs;
    this.#inFlight = inFlight;
    const load: Load = {
      clockMs: this.#clock.nowMs - t0,
      requestSeconds: this.#requestSeconds,
      arrivals: this.#arrivals,
      inFlight,
      proxiedRequestSeconds: 0,
      proxiedArrivals: 0,
      proxiedInFlight: 0,
    };
    if (this.#feed?.is === "pod") this.#feed.of.report(PodState.READY, load);
    if (this.#feed?.is === "activator") this.#feed.of.load(key, load);
  }
}

export type SceneRevision = Partial<ScaledRevision> & { annotations?: Record<string, string> };

export class Autoscaler {
  readonly stats: RevisionStats;
  #scaler: MultiScaler | undefined;
  readonly #clock: Clock;
  /** Every decision, oldest first. */
  readonly decided: number[] = [];
  readyPods = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.stats = new RevisionStats({
      settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
      events: { onLoad: (of) => this.#scaler?.onLoad(of), onPods: (of) => this.#scaler?.onPods(of) },
      nowMs: () => clock.nowMs,
    });
  }

  /** Starts to decide, with what was handed over for the revision, if anything was. */
  start(remembered?: (key: string) => DeciderMemory | undefined): MultiScaler {
    this.#scaler = new MultiScaler({
      stats: this.stats,
      readyPods: () => this.readyPods,
      onDecision: () => this.decided.push(this.desired),
      nowMs: () => this.#clock.nowMs,
      after: (ms, call) => this.#clock.after(ms, call),
      log: silentLogger,
      ...(remembered === undefined ? {} : { remembered }),
    });
    return this.#scaler;
  }

  ensure({ annotations = {}, ...revision }: SceneRevision): void {
    const prefixed = Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [`autoscaling.knative.dev/${name}`, value]),
    );
    this.#scaler!.ensure(key, {
      scaling: revisionScaling(prefixed, parseAutoscalerConfig({}), 10),
      reachable: true,
      replicas: 0,
      foundRunning: false,
      eventEvaluations: true,
      ...revision,
    });
  }

  get desired(): number {
    return this.#scaler?.get(key)?.desiredPods ?? -1;
  }
}
