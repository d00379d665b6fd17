/**
 * The autoscaler around a simulated revision: the real windows, ticks, decisions, bounds and walk to zero, on a clock
 * that only moves when it is told to. What stands in for the cluster is the PodAutoscaler and ServerlessService here.
 */
import type { RevisionScaling } from "../../api/autoscaling-annotations.ts";
import type { AutoscalerConfig } from "../../api/autoscaling-config.ts";
import type { PodAutoscaler } from "../../api/autoscaling.ts";

import type { ServerlessService } from "../../api/networking.ts";
import { isSameJson } from "../../kube/write.ts";
import { silentLogger } from "../../process/logger.ts";
import { PodState, type Load } from "../../proto/gen/stats.ts";
import { MultiScaler } from "../multi-scaler.ts";
import { RevisionStats, type ActivatorFeed, type PodFeed } from "../revision-stats.ts";
import { scaleOutcome, unknownScale, type ScaleObservation } from "../scale-to-zero.ts";
import { activityOf, isInitialized, podAutoscalerStatus } from "../status.ts";
import type { PodSet } from "./pod-set.ts";

export interface ControlLoopOptions {
  scaling: RevisionScaling;
  config: AutoscalerConfig;
  pods: PodSet;
  nowMs: () => number;
  after: (ms: number, call: () => void) => () => void;
  /** From a decision until the pods are asked for: the API server's share. */
  writeMs: number;
}

const key = "default/simulated";
const epoch = 1;
const activationTimeoutMs = 630_000;
const noLoad = {
  requestSeconds: 0,
  proxiedRequestSeconds: 0,
  arrivals: 0,
  proxiedArrivals: 0,
  inFlight: 0,
  proxiedInFlight: 0,
};

export class ControlLoop {
  readonly #options: ControlLoopOptions;
  readonly #stats: RevisionStats;
  readonly #scaler: MultiScaler;
  readonly #activator: ActivatorFeed;
  readonly #feeds = new Map<string, PodFeed>();
  readonly #startMs: number;
  #pa: PodAutoscaler;
  #mode: "Serve" | "Proxy" = "Proxy";
  #proxiedSinceMs: number | undefined;
  #cancelAgain: (() => void) | undefined;
  #isDue = false;
  /** Changes between Serve and Proxy while there were pods. */
  flips = 0;

  constructor(options: ControlLoopOptions) {
    this.#options = options;
    const { scaling, nowMs, after } = options;
    this.#startMs = nowMs();
    this.#proxiedSinceMs = this.#startMs;
    this.#stats = new RevisionStats({
      settings: scaling,
      events: { onLoad: (of) => this.#scaler.onLoad(of), onPods: (of) => this.#scaler.onPods(of) },
      nowMs,
    });
    this.#scaler = new MultiScaler({
      stats: this.#stats,
      readyPods: () => options.pods.ready,
      onDecision: () => this.#look(),
      nowMs,
      after,
      log: silentLogger,
    });
    this.#activator = this.#stats.openActivator({ name: "activator", epoch }, { tell: () => Promise.resolve() });
    const since = {
      lastTransitionTime: `${new Date(this.#startMs).toISOString().slice(0, 19)}Z`,
      status: "True" as const,
    };
    this.#pa = {
      apiVersion: "autoscaling.internal.knative.dev/v1alpha1",
      kind: "PodAutoscaler",
      metadata: { name: "simulated", namespace: "default" },
      spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "simulated" }, protocolType: "http1" },
      status: {
        conditions:
          options.pods.replicas === 0
            ? [
                { type: "Active", ...since, status: "False" },
                { type: "ScaleTargetInitialized", ...since },
              ]
            : [
                { type: "Active", ...since },
                { type: "ScaleTargetInitialized", ...since },
              ],
      },
    };
    this.#ensure();
  }

  get desiredPods(): number {
    return this.#scaler.get(key)!.desiredPods;
  }

  get isPanicking(): boolean {
    return this.#scaler.statuses()[0]!.panicking;
  }

  get mode(): "Serve" | "Proxy" {
    return this.#mode;
  }

  get evaluations(): number {
    return this.#scaler.evaluations;
  }

  /** Cumulative, as an activator reports it. */
  report(load: Pick<Load, "requestSeconds" | "arrivals" | "inFlight">): void {
    this.#activator.load(key, { ...noLoad, ...load, clockMs: this.#options.nowMs() - this.#startMs });
  }

  podReady(name: string): void {
    const feed = this.#stats.openPod(key, { name, ip: "10.0.0.1", port: 8012, epoch });
    this.#feeds.set(name, feed);
    feed.report(PodState.READY, { ...noLoad, clockMs: this.#options.nowMs() - this.#startMs });
    this.#look();
  }

  podGone(name: string): void {
    this.#feeds.get(name)?.close();
    this.#feeds.delete(name);
    this.#look();
  }

  #ensure(): void {
    const { scaling, config, pods } = this.#options;
    const { eventEvaluations } = config;
    this.#scaler.ensure(key, {
      scaling,
      reachable: true,
      replicas: pods.replicas,
      foundRunning: false,
      eventEvaluations,
    });
  }

  /** Reconciles once for all that happens until then. */
  #look(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const reconcile = (): void => {
      this.#isDue = false;
      this.#reconcile();
    };
    this.#options.after(this.#options.writeMs, reconcile);
  }

  #reconcile(): void {
    const { scaling, config, pods, nowMs, after } = this.#options;
    const now = nowMs();
    const seen: ScaleObservation = {
      want: this.desiredPods,
      replicas: pods.replicas,
      activity: activityOf(this.#pa),
      reachable: true,
      initialized: isInitialized(this.#pa),
      activationTimeoutMs,
      mode: this.#mode,
      proxiedSinceMs: this.#proxiedSinceMs,
      probe: this.#mode === "Proxy" ? "passed" : "failed",
    };
    const { scale, write, againMs } = scaleOutcome(scaling, config, seen, now);
    if (write !== undefined) pods.scale(write);
    this.#setMode(scale, now);
    const status = podAutoscalerStatus(
      { pa: this.#pa, sks: this.#serverlessService(), scaling, want: scale, ready: pods.ready },
      now,
    );
    // A reconcile sees its own write of the status, as any change of the PodAutoscaler.
    if (!isSameJson(status.conditions, this.#pa.status?.conditions)) this.#look();
    this.#pa = { ...this.#pa, status };
    this.#ensure();
    this.#cancelAgain?.();
    this.#cancelAgain = againMs === undefined ? undefined : after(againMs, () => this.#reconcile());
  }

  #setMode(scale: number, nowMs: number): void {
    if (scale === unknownScale) return;
    const isProxy = scale === 0 || this.#scaler.get(key)!.excessBurstCapacity < 0;
    const mode = isProxy ? "Proxy" : "Serve";
    if (mode !== this.#mode && this.#options.pods.ready > 0) this.flips += 1;
    this.#mode = mode;
    if (!isProxy) this.#proxiedSinceMs = undefined;
    else this.#proxiedSinceMs ??= nowMs;
  }

  #serverlessService(): ServerlessService {
    const ready = this.#options.pods.ready > 0 ? ("True" as const) : ("Unknown" as const);
    return {
      status: {
        serviceName: "simulated",
        privateServiceName: "simulated-private",
        conditions: [{ type: "Ready", status: ready }],
      },
    } as unknown as ServerlessService;
  }
}
