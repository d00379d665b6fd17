/**
 * One look at the pods of one revision, the way Knative's autoscaler takes it (autoscaling 2.4): a sample of them,
 * directly or through the private Service where a mesh is in between, taken for all.
 */
import { port } from "../../api/keys.ts";
import type { Stat } from "../../proto/gen/upstream-stat.ts";
import type { MeshMode } from "./mesh-mode.ts";
import { extrapolated, sampleOrder, sampleSize, type SampledPod } from "./sample.ts";
import type { Answer, Ask, ScrapeFailure } from "./scrape-client.ts";
import { checkStat, type SecondOfLoad, type StatRefusal } from "./stat.ts";

export interface ScrapeTarget {
  /** Ready, and without a stream. */
  pods: readonly SampledPod[];
  namespace: string;
  /** The private Service. */
  service: string;
  stableWindowMs: number;
}

export type Scraped =
  | { is: "load"; load: SecondOfLoad; pods: number; through: "pods" | "service" }
  /** Nobody to ask. */
  | { is: "nothing" }
  | { is: "failed"; through: "pods" | "service"; failure: MetricFailure };

/** What the Ready condition of the Metric then says, in Knative's words (autoscaling 5.1). */
export interface MetricFailure {
  /** `NoEndpoints` leaves it Unknown, the others make it False. */
  reason: "NoEndpoints" | "DidNotReceiveStat" | "CollectionFailed";
  message: string;
}

const collectionFailed = (message: string): MetricFailure => ({
  reason: "CollectionFailed",
  message: `Failed to reconcile metric collection: ${message}`,
});

/** `stranger`: an answer in another pod's name. `seen`: through the Service, a pod that had answered before. */
export type ScrapeProblem = ScrapeFailure | StatRefusal | "stale" | "stranger" | "seen";

export interface ScrapeDeps {
  ask: Ask;
  mesh: () => MeshMode;
  /** Addresses of a Service. */
  resolve: (name: string) => Promise<string[]>;
  nowMs: () => number;
  /** 0 to 1. */
  random: () => number;
  onProblem: (problem: ScrapeProblem, error?: unknown) => void;
}

/** What is remembered of a revision from one look to the next. */
export interface Addressability {
  /** False once only the Service answered. */
  podsAddressable: boolean;
}

/** Tries through the Service of one worker. */
const tries = 10;

export async function scrape(target: ScrapeTarget, memory: Addressability, deps: ScrapeDeps): Promise<Scraped> {
  const { mode, passThrough } = deps.mesh();
  if (target.pods.length === 0) return { is: "nothing" };
  if (mode === "enabled") return (await scrapeService(target, deps)).scraped;
  if (mode === "disabled") return (await scrapePods(target, deps)).scraped;
  if (memory.podsAddressable || passThrough) {
    const { scraped, looksLikeMesh } = await scrapePods(target, deps);
    if (!looksLikeMesh || passThrough) return scraped;
  }
  const { scraped } = await scrapeService(target, deps);
  if (scraped.is === "load") memory.podsAddressable = false;
  return scraped;
}

async function scrapePods(
  target: ScrapeTarget,
  deps: ScrapeDeps,
): Promise<{ scraped: Scraped; looksLikeMesh: boolean }> {
  const { pods, stableWindowMs, service, namespace } = target;
  const size = sampleSize(pods.length);
  const order = sampleOrder(pods, stableWindowMs, deps.nowMs(), deps.random);
  const answers: SecondOfLoad[] = [];
  const never = new AbortController().signal;
  let exhausted = false;
  let onlyMeshLike = true;
  let next = 0;
  const worker = async (): Promise<void> => {
    while (!exhausted) {
      const pod = order[next++];
      if (pod === undefined) {
        // One sample that is missing would be guessed: the whole look is worth nothing. Questions that are under way
        // are not broken off: whether a mesh is in between shows in all answers together.
        exhausted = true;
        return;
      }
      const question = {
        host: pod.ip,
        port: port.autoMetric,
        ...(deps.mesh().passThrough ? { name: `${service}.${namespace}`, passThrough: true } : {}),
      };
      const answer = await deps.ask(question, never);
      const load = believed(answer, (name) => name === pod.name, target, deps);
      if (load !== undefined) {
        answers.push(load);
        return;
      }
      if (answer.is !== "failed" || !answer.mayBeMesh) onlyMeshLike = false;
    }
  };
  await Promise.all(Array.from({ length: size }, worker));
  if (answers.length === size)
    return {
      scraped: { is: "load", load: extrapolated(answers, pods.length), pods: pods.length, through: "pods" },
      looksLikeMesh: false,
    };
  return {
    scraped: { is: "failed", through: "pods", failure: collectionFailed("pods exhausted") },
    looksLikeMesh: onlyMeshLike && answers.length === 0,
  };
}

async function scrapeService(target: ScrapeTarget, deps: ScrapeDeps): Promise<{ scraped: Scraped }> {
  const { pods, stableWindowMs, service, namespace } = target;
  const size = sampleSize(pods.length);
  const names = new Set(pods.map((pod) => pod.name));
  const seen = new Set<string>();
  const old: SecondOfLoad[] = [];
  const young: SecondOfLoad[] = [];
  const over = new AbortController();
  const failed = (failure: MetricFailure): { scraped: Scraped } => ({
    scraped: { is: "failed", through: "service", failure },
  });
  const name = `${service}.${namespace}`;
  let failedFor: "seen" | "other" | undefined;
  let addresses: string[];
  try {
    addresses = await deps.resolve(name);
  } catch (error) {
    deps.onProblem("unreachable", error);
    return failed({ reason: "NoEndpoints", message: "failed to get endpoints" });
  }
  const worker = async (): Promise<void> => {
    for (let tried = 1; !over.signal.aborted; tried++) {
      const host = addresses[Math.floor(deps.random() * addresses.length)]!;
      const answer = await deps.ask({ host, port: port.autoMetric, name, fresh: true }, over.signal);
      if (over.signal.aborted) return undefined;
      const load = believed(answer, (pod) => names.has(pod) && !seen.has(pod), target, deps);
      if (load === undefined) {
        if (tried < tries) continue;
        failedFor ??= answer.is === "stat" ? "seen" : "other";
        return over.abort();
      }
      const { podName, processUptime } = (answer as { stat: Stat }).stat;
      seen.add(podName);
      if (processUptime * 1000 >= stableWindowMs) return void old.push(load);
      // A young one fills a gap if no old one is found.
      if (young.length >= size) return undefined;
      young.push(load);
    }
    return undefined;
  };
  await Promise.all(Array.from({ length: size }, worker));
  const answers = [...old, ...young].slice(0, size);
  if (answers.length < size || failedFor === "other") {
    const unsuccessful = (because: string): string => `unsuccessful scrape, sampleSize=${size}: ${because}`;
    return failed(
      failedFor === "seen"
        ? { reason: "DidNotReceiveStat", message: unsuccessful("did not receive stat from an unscraped pod") }
        : collectionFailed(unsuccessful("the pods behind the Service gave no usable answer")),
    );
  }
  const load = extrapolated(answers, pods.length);
  return { scraped: { is: "load", load, pods: pods.length, through: "service" } };
}

/** The load that a good answer tells of; a bad one is counted. */
function believed(
  answer: Answer,
  isExpected: (pod: string) => boolean,
  target: ScrapeTarget,
  deps: ScrapeDeps,
): SecondOfLoad | undefined {
  if (answer.is === "failed") {
    deps.onProblem(answer.because, answer.error);
    return undefined;
  }
  const checked = checkStat(answer.stat, deps.nowMs(), target.stableWindowMs);
  if (checked.is === "good") {
    // Its address may belong to another revision's pod by now.
    if (isExpected(answer.stat.podName)) return checked.load;
    deps.onProblem(target.pods.some(({ name }) => name === answer.stat.podName) ? "seen" : "stranger");
    return undefined;
  }
  deps.onProblem(checked.is === "stale" ? "stale" : checked.because);
  return undefined;
}
