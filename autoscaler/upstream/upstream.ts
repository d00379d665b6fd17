/**
 * Loads of those who do not stream: pods with Knative's own queue-proxy are asked, its activators are listened to. Both
 * feed the windows that streams feed.
 */
import type { Registry } from "prom-client";
import type { Metric } from "../../api/autoscaling.ts";
import type { Pod } from "../../api/core.ts";
import type { Lister } from "../../kube/informer.ts";
import type { RevisionStats } from "../revision-stats.ts";
import { createActivatorDoor, type ActivatorDoor, type ActivatorDoorOptions } from "./activator-door.ts";
import type { MeshMode } from "./mesh-mode.ts";
import type { SampledPod } from "./sample.ts";
import { createScrapeClient, type ScrapeClient } from "./scrape-client.ts";
import { scrape, type MetricFailure, type ScrapeDeps, type ScrapeTarget } from "./scrape.ts";
import { ScrapeSchedule } from "./scrape-schedule.ts";
import { createStatForwarder } from "./stat-forwarder.ts";
import { UpstreamMetrics } from "./upstream-metrics.ts";

export interface UpstreamOptions extends Omit<ActivatorDoorOptions, "forward"> {
  /** `namespace/revision` → the IP address of the autoscaler that decides for it, if that is another one. */
  ownerOf: (key: string) => string | undefined;
  /** `namespace/revision` → its pods. */
  podsOf: (key: string) => readonly Pod[];
  metrics: Lister<Metric>;
  mesh: () => MeshMode;
  /** Addresses of a Service. */
  resolve: (name: string) => Promise<string[]>;
  /** A revision's loads are no longer known, are known again, or are missing for another reason. */
  onFailure: (key: string) => void;
  client?: ScrapeClient;
}

export interface Upstream {
  readonly door: ActivatorDoor;
  /** Pods, streams, the Metric or who scales the revision have changed. */
  look(key: string): void;
  /** Why the loads of a revision are not known; undefined while they are. */
  failure(key: string): MetricFailure | undefined;
  register(register: Registry): void;
  close(): Promise<void>;
}

/** Of every autoscaler, Knative's too. */
const doorPort = 8080;
const nanosecondsPerMs = 1_000_000;

export function createUpstream(options: UpstreamOptions): Upstream {
  const { stats, metrics, log, nowMs } = options;
  const client = options.client ?? createScrapeClient();
  const forwarder = createStatForwarder({ ownerOf: options.ownerOf, port: doorPort, log });
  const door = createActivatorDoor({ ...options, forward: (message) => forwarder.forward(message) });
  const counted = new UpstreamMetrics();
  /** Said once, and again after it went well. */
  const failing = new Map<string, MetricFailure>();

  const deps: ScrapeDeps = {
    ask: client.ask,
    mesh: options.mesh,
    resolve: options.resolve,
    nowMs,
    random: Math.random,
    onProblem(problem, error) {
      counted.problem(problem);
      log.debug({ problem, err: error }, "a pod's answer is of no use");
    },
  };
  const schedule = new ScrapeSchedule({
    target: (key) => targetOf(key, options),
    scrape: (target, memory) => scrape(target, memory, deps),
    onScraped(key, scraped, atMs, tookMs) {
      counted.scraped(key, metrics.get(key), scraped, tookMs);
      if (scraped.is === "load") {
        // Of the second in which it was asked: late answers would put two into one second, and none into another.
        stats.recordSecond(key, scraped.load, atMs, { pods: scraped.pods });
        if (!failing.delete(key)) return;
        log.info({ key }, "pods answer again");
        options.onFailure(key);
      } else if (scraped.is === "failed") {
        const before = failing.get(key)?.reason;
        failing.set(key, scraped.failure);
        if (before === scraped.failure.reason) return;
        log.warn({ key, through: scraped.through, ...scraped.failure }, "too few pods answer: their load is not known");
        options.onFailure(key);
      }
    },
    onError: (key, error) => log.error({ err: error, key }, "a revision's pods could not be asked"),
    nowMs,
    after(ms, call) {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
  });

  return {
    door,
    look(key) {
      schedule.look(key);
      if (!schedule.has(key) && failing.delete(key)) options.onFailure(key);
      if (metrics.get(key) === undefined) counted.forget(key);
    },
    failure: (key) => failing.get(key),
    register: (register) => counted.register(register, () => schedule.size, door),
    async close() {
      schedule.stop();
      forwarder.close();
      await Promise.all([door.close(), client.close()]);
    },
  };
}

/** What is to be asked of the revision now; undefined: nothing. */
export function targetOf(
  key: string,
  { stats, podsOf, metrics }: { stats: RevisionStats } & Pick<UpstreamOptions, "podsOf" | "metrics">,
): ScrapeTarget | undefined {
  const metric = metrics.get(key);
  // Without a scrape target every request passes an activator.
  if (metric === undefined || metric.spec.scrapeTarget === "" || !stats.isKept(key)) return undefined;
  const pods: SampledPod[] = [];
  for (const pod of podsOf(key)) {
    const { name = "", deletionTimestamp } = pod.metadata;
    const { podIP, phase, conditions, startTime } = pod.status ?? {};
    if (podIP === undefined || podIP === "" || phase !== "Running" || deletionTimestamp !== undefined) continue;
    if (conditions?.some(({ type, status }) => type === "Ready" && status === "True") !== true) continue;
    // What it streams says more, and is counted already.
    if (stats.podState(key, name) !== undefined) continue;
    const startedMs = Date.parse(startTime ?? "");
    pods.push({ name, ip: podIP, startedMs: Number.isNaN(startedMs) ? undefined : startedMs });
  }
  if (pods.length === 0) return undefined;
  const { stableWindow, scrapeTarget } = metric.spec;
  const namespace = key.slice(0, key.indexOf("/"));
  return { pods, namespace, service: scrapeTarget, stableWindowMs: stableWindow / nanosecondsPerMs };
}
