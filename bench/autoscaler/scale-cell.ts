/** One size: opened, checked, measured. */
import { setTimeout as pause } from "node:timers/promises";
import { tickMs } from "../../autoscaler/multi-scaler.ts";
import { memory, cpuMicros } from "../process-accounting.ts";
import { quantile, rounded, type Row } from "../report.ts";
import { ActivatorLink } from "./activator-link.ts";
import { Fleet } from "./fleet.ts";
import { deploymentName, namespace, restingRequests, revisionName } from "./population.ts";
import { scrapesPerSecond } from "./scraping.ts";
import { Stage, type StageOptions } from "./stage.ts";

export interface ScaleCell extends StageOptions {
  running: number;
  pods: number;
  atZero: number;
  /** Measured, after some seconds to warm up. */
  seconds: number;
  /** Of each kind. */
  bursts: number;
}

/** The server refuses more streams on one connection. */
const podsPerLink = 16;
const warmMs = 5000;
const burstRequests = 300;
const acknowledgedWithinMs = 4000;
const burstAnswerMs = 10_000;
const largestLateMs = 50;

export async function measureScale(cell: ScaleCell): Promise<{ row: Row; notes: string[] }> {
  const podsPerRevision = cell.pods / cell.running;
  const scenario = `${cell.running} revisions, ${cell.pods} pods, ${cell.atZero} at zero`;
  const population = { running: cell.running, podsPerRevision, atZero: cell.atZero };
  await using stage = await Stage.open(population, cell);
  const { api, autoscaler } = stage;
  const address = { host: autoscaler.host, port: autoscaler.statsPort };
  const fleet = new Fleet();
  const activator = await ActivatorLink.open(address, cell.key);
  const bursts = new Bursts(api);
  try {
    const openedMs = performance.now();
    await fleet.ask({ is: "open", ...address, key: cell.key, from: 0, to: cell.pods, podsPerRevision, podsPerLink });
    const openSeconds = (performance.now() - openedMs) / 1000;
    await fleet.ask({ is: "start" });
    await pause(warmMs);

    const writesBefore = api.writes;
    const metricsBefore = await autoscaler.metrics();
    const metricsBeforeMs = performance.now();
    const sentBefore = (await fleet.ask({ is: "count" })).messages;
    const cpuBefore = cpuMicros([autoscaler.pid]);
    const startedMs = performance.now();
    const perSecond: number[] = [];
    for (let second = 0; second < cell.seconds; second++) {
      const before = cpuMicros([autoscaler.pid]);
      const beforeMs = performance.now();
      await pause(1000);
      perSecond.push((cpuMicros([autoscaler.pid]) - before) / ((performance.now() - beforeMs) * 1000));
    }
    const cores = (cpuMicros([autoscaler.pid]) - cpuBefore) / ((performance.now() - startedMs) * 1000);
    const seconds = (performance.now() - startedMs) / 1000;
    const { rssKiB, anonKiB } = memory(autoscaler.pid);
    const sent = (await fleet.ask({ is: "count" })).messages - sentBefore;
    const writesWhileSteady = api.writes - writesBefore;
    const metricsAfter = await autoscaler.metrics();
    const metricsSeconds = (performance.now() - metricsBeforeMs) / 1000;

    // Under the same load: revisions at zero with requests held, and running ones with a pod that is flooded.
    const fromZero: number[] = [];
    const fromRunning: number[] = [];
    for (let burst = 0; burst < cell.bursts; burst++) {
      if (burst < cell.atZero) {
        const revision = cell.running + burst;
        fromZero.push(
          await bursts.answered(deploymentName(revision), () =>
            activator.hold(revisionName(revision), burstRequests, burstRequests),
          ),
        );
      }
      if (burst < cell.running) {
        const pod = burst * podsPerRevision;
        fromRunning.push(
          await bursts.answered(
            deploymentName(burst),
            async () => (await fleet.ask({ is: "set", pod, inFlight: burstRequests })).atNs,
          ),
        );
      }
      await pause(Math.random() * 200);
    }

    const metrics = await autoscaler.metrics();
    const metricsCpuBefore = cpuMicros([autoscaler.pid]);
    const metricsStartMs = performance.now();
    await autoscaler.metrics();
    const metricsCpuMs =
      (cpuMicros([autoscaler.pid]) - metricsCpuBefore) / 1000 - cores * (performance.now() - metricsStartMs);
    const unanswered = [...fromZero, ...fromRunning].filter((ms) => ms === Infinity).length;
    const stopped = await fleet.ask({ is: "stop" });
    const problems = check(cell, metricsBefore, metrics, writesWhileSteady, await autoscaler.deciders());
    if (unanswered > 0) problems.push(`${unanswered} bursts were not answered`);
    await pause(acknowledgedWithinMs);
    const { unacknowledged } = await fleet.ask({ is: "stop" });
    if (unacknowledged > 0) problems.push(`${unacknowledged} messages were never acknowledged`);
    const notes = [
      `${scenario}: ${podsPerLink} streams on a connection, opened in ${rounded(openSeconds)} s; generator late p99 ${rounded(stopped.lateP99Ms)} ms; ` +
        `one read of /metrics costs ${rounded(Math.max(0, metricsCpuMs))} ms of CPU`,
    ];
    if (stopped.lateP99Ms > largestLateMs) notes.push(`${scenario}: the generator ran late: latencies include its own`);
    const expected = (cell.running * 1000) / tickMs;
    const evaluations = "swell_autoscaler_evaluations_total";
    const decisions = ((metricsAfter.get(evaluations) ?? 0) - (metricsBefore.get(evaluations) ?? 0)) / metricsSeconds;
    if (decisions < 0.9 * expected)
      notes.push(
        `${scenario}: ${Math.round(decisions)} decisions a second instead of ${expected}: it did not get its core`,
      );
    const row: Row = {
      scenario,
      contender: "autoscaler",
      cores: rounded(cores, 3),
      coresP10: rounded(quantile(perSecond, 0.1), 3),
      coresP90: rounded(quantile(perSecond, 0.9), 3),
      rssMiB: rounded(rssKiB / 1024),
      anonMiB: rounded(anonKiB / 1024),
      messagesPerSecond: Math.round(sent / seconds),
      decisionsPerSecond: Math.round(decisions),
      ...milliseconds("fromZero", fromZero),
      ...milliseconds("running", fromRunning),
      scrapesPerSecond: scrapesPerSecond(cell.running, podsPerRevision),
      ...(problems.length === 0 ? {} : { failed: problems.join("; ") }),
    };
    return { row, notes };
  } finally {
    activator.close();
    fleet.stop();
  }
}

function milliseconds(of: string, values: readonly number[]): Record<string, number> {
  if (values.length === 0) return {};
  return { [`${of}P50Ms`]: rounded(quantile(values, 0.5)), [`${of}P99Ms`]: rounded(quantile(values, 0.99)) };
}

type Deciders = Awaited<ReturnType<Stage["autoscaler"]["deciders"]>>;

/** What has to hold, or the figures are of something else. */
function check(
  cell: ScaleCell,
  before: Map<string, number>,
  after: Map<string, number>,
  writesWhileSteady: number,
  deciders: Deciders,
): string[] {
  const problems: string[] = [];
  const podsPerRevision = cell.pods / cell.running;
  const want = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  const streams = after.get('swell_autoscaler_streams{source="pod"}');
  want(streams === cell.pods, `${streams} streams of pods instead of ${cell.pods}`);
  for (const result of ["stale", "malformed", "future", "implausible"]) {
    const count = after.get(`swell_autoscaler_load_messages_total{result="${result}"}`) ?? 0;
    want(count === 0, `${count} messages were ${result}`);
  }
  want(writesWhileSteady === 0, `${writesWhileSteady} writes to the API although nothing had to change`);
  const ticking = before.get("swell_autoscaler_deciders_ticking");
  want(ticking === cell.running, `${ticking} revisions were looked at on every tick instead of ${cell.running}`);
  const steady = (deciders ?? []).filter(({ key }) => Number(key.slice(`${namespace}/r`.length)) < cell.running);
  // Those after the bursts' are as they were.
  for (const { key, stable } of steady.slice(cell.bursts))
    if (Math.abs(stable / podsPerRevision - restingRequests - 0.5) > 0.5) {
      problems.push(`${key} has an average of ${stable}`);
      break;
    }
  return problems;
}

/** From the message that makes a burst to the write of replicas that answers it. */
class Bursts {
  #waiting: { deployment: string; answer: (atNs: bigint) => void } | undefined;

  constructor(api: Stage["api"]) {
    api.onScale = ({ deployment, atNs }) => {
      if (deployment === this.#waiting?.deployment) this.#waiting.answer(atNs);
    };
  }

  /** Milliseconds; Infinity when there was no answer. */
  async answered(deployment: string, burst: () => bigint | Promise<bigint>): Promise<number> {
    const written = Promise.withResolvers<bigint | undefined>();
    const deadline = setTimeout(() => written.resolve(undefined), burstAnswerMs);
    this.#waiting = { deployment, answer: written.resolve };
    const sentNs = await burst();
    const writtenNs = await written.promise;
    clearTimeout(deadline);
    this.#waiting = undefined;
    return writtenNs === undefined ? Infinity : Number(writtenNs - sentNs) / 1e6;
  }
}
