/**
 * Many Services created fast, at zero from the start: how long each takes until it is Ready, what it costs in CPU,
 * memory and API writes, the rate that holds the bar, and how soon a controller that was killed works again.
 */
import { kubeClientFromEnvironment } from "../kube/config.ts";
import { Cluster } from "../test/e2e/cluster.ts";
import { quantile, rounded, type Options, type Outcome, type Row } from "./report.ts";
import { costPerService, usage } from "./services/cost.ts";
import {
  createAtOnce,
  createAtRate,
  firstService,
  makeService,
  names,
  Readiness,
  type Timing,
} from "./services/creation.ts";
import { restartController } from "./services/restart.ts";
import { totalOf, versionNow, writesSince, type Writes } from "./services/writes.ts";

/** Design, section 6. */
const bar = { perSecond: 20, services: 1000, p95Ms: 1000 };
/** The ladder of rates: each has so many seconds. */
const rates = [5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 100, 120, 150];
const secondsPerRate = 10;
const warmUp = 20;
const deadlineMs = 300_000;
/** After the last one is Ready: what is left to write is written, and garbage of the burst collected. */
const restMs = 5000;

export async function services(options: Options): Promise<Outcome> {
  const { quick, rate, count = quick ? 100 : bar.services } = options;
  const perSecond = rate ?? bar.perSecond;
  const rows: Row[] = [];
  const notes: string[] = [];
  await onCluster(async (cluster, client, readiness) => {
    const sample = quick ? 10 : 50;
    const { writes, perKind } = await countWrites(client, readiness, sample);
    rows.push(...perKind, { scenario: `writes of one Service of ${sample}`, contender: "all", writes });
    const before = usage(cluster);
    const timings = await createAtRate(readiness, names("paced", count), perSecond, deadlineMs);
    rows.push(timingRow(`${count} Services, ${perSecond} a second`, timings));
    await pause(restMs);
    rows.push(...costPerService(before, usage(cluster), count));
    for (const how of ["kill -9", "delete the pod"] as const)
      rows.push(await restartController(cluster, client, readiness, how, restMs));
  });
  if (rate === undefined)
    await onCluster(async (_cluster, _client, readiness) => {
      const startMs = performance.now();
      const timings = await createAtOnce(readiness, names("burst", count), deadlineMs);
      const seconds = (performance.now() - startMs) / 1000;
      rows.push({
        ...timingRow(`${count} Services, as fast as they are taken`, timings),
        perSecond: rounded(count / seconds),
      });
      await pause(restMs);
      // The burst has warmed the compilers up.
      const { steps, highest } = await climb(readiness, quick ? rates.slice(0, 3) : rates, quick ? 2 : secondsPerRate);
      rows.push(...steps);
      notes.push(
        highest === undefined
          ? `not even ${rates[0]} a second held p95 under ${bar.p95Ms} ms`
          : `the highest rate that held p95 under ${bar.p95Ms} ms, beside ${count} Services: ${highest} a second`,
      );
    });
  return { rows, notes, failed: rows.some(({ writesOfOthers = 0 }) => Number(writesOfOthers) > 0) };
}

type Client = Awaited<ReturnType<typeof kubeClientFromEnvironment>>;

/** A cluster of its own, where a Service of the kind that is measured has been seen to work. */
async function onCluster(
  work: (cluster: Cluster, client: Client, readiness: Readiness) => Promise<void>,
): Promise<void> {
  await using cluster = new Cluster();
  const { kubeconfig } = await cluster.start("--no-sample");
  const patch = { data: { "allow-zero-initial-scale": "true" } };
  await cluster.k(`patch cm config-autoscaler -n knative-serving --type=merge -p ${JSON.stringify(patch)}`);
  const client = await kubeClientFromEnvironment({ KUBECONFIG: kubeconfig }, "swell-bench");
  const readiness = await Readiness.open(client);
  try {
    // The new setting reaches the webhook by a watch.
    const first = makeService(firstService);
    await cluster.k("apply -f -", JSON.stringify(first)).catch(() => pause(1000));
    await cluster.k("apply -f -", JSON.stringify(first));
    await cluster.k(`wait ksvc/${firstService} --for=condition=Ready --timeout=30s`);
    const answer = await cluster.request(`${firstService}.default.localhost`);
    if (answer.status !== 200) throw new Error(`a Service at zero answers ${answer.status} ${answer.body}`);
    await createAtRate(readiness, names("warm", warmUp), bar.perSecond, deadlineMs);
    await work(cluster, client, readiness);
  } finally {
    readiness.close();
    await client.close();
  }
}

/** By kind, divided by the number of Services. */
async function countWrites(
  client: Client,
  readiness: Readiness,
  sample: number,
): Promise<{ writes: number; perKind: Row[] }> {
  const version = await versionNow(client);
  await createAtRate(readiness, names("counted", sample), bar.perSecond, deadlineMs);
  await pause(restMs);
  const found = await writesSince(client, version, ({ metadata }) => metadata.name?.startsWith("counted-") === true);
  const each = (number: number): number => rounded(number / sample, 2);
  const perKind = [...found].map(([kind, { creates, updates, statuses, deletes }]): Row => ({
    scenario: `writes of one Service of ${sample}`,
    contender: kind,
    creates: each(creates),
    updates: each(updates),
    statuses: each(statuses),
    deletes: each(deletes),
  }));
  const total = [...found.values()].reduce((sum: number, writes: Writes) => sum + totalOf(writes), 0);
  return { writes: each(total), perKind };
}

/** Up from rate to rate, in a cluster that fills, until one does not hold the bar. */
async function climb(
  readiness: Readiness,
  wanted: readonly number[],
  seconds: number,
): Promise<{ steps: Row[]; highest: number | undefined }> {
  const steps: Row[] = [];
  let highest: number | undefined;
  for (const perSecond of wanted) {
    const services = names(`at-${perSecond}`, perSecond * seconds);
    const timings = await createAtRate(readiness, services, perSecond, deadlineMs);
    const step = timingRow(`${perSecond} a second for ${seconds} s`, timings);
    steps.push(step);
    if (Number(step["p95Ms"]) >= bar.p95Ms) break;
    highest = perSecond;
    await pause(2000);
  }
  return { steps, highest };
}

function timingRow(scenario: string, timings: readonly Timing[]): Row {
  const ready = timings.map(({ readyMs }) => readyMs);
  const created = timings.map(({ createdMs }) => createdMs);
  return {
    scenario,
    contender: "until Ready",
    p50Ms: rounded(quantile(ready, 0.5), 0),
    p95Ms: rounded(quantile(ready, 0.95), 0),
    maxMs: rounded(Math.max(...ready), 0),
    createdP50Ms: rounded(quantile(created, 0.5), 0),
    createdP95Ms: rounded(quantile(created, 0.95), 0),
  };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
