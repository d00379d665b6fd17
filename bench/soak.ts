/**
 * Mixed load through the gateway while everything restarts: no request fails that a correct client would count.
 * First graceful ends only; in the last quarter kills too, where what was in flight inside may fail.
 */
import { readdirSync } from "node:fs";
import { Cluster, processTree } from "../test/e2e/cluster.ts";
import { memory, programs } from "./process-accounting.ts";
import { rounded, type Outcome, type Row, type Scenario } from "./report.ts";
import { pause } from "./soak/client.ts";
import { available, faultOrder, runFault, settled, type FaultContext } from "./soak/faults.ts";
import { Ledger, seconds, sentence } from "./soak/ledger.ts";
import { Random } from "./soak/random.ts";
import { addImage, apply, runLoad, services } from "./soak/services.ts";

const usualMinutes = 5;
const quickMinutes = 1;
/** Of the time, for kills. */
const killShare = 0.25;
/** Between the end of a fault and the next. */
const calmMs = { least: 500, most: 4000 };

export const soak: Scenario = async ({ quick, minutes, seed = 1 }) => {
  const totalMs = (minutes ?? (quick ? quickMinutes : usualMinutes)) * 60_000;
  await using cluster = new Cluster();
  await cluster.start("--no-sample");
  addImage(cluster.data);
  const patch = { data: { "scale-to-zero-grace-period": "1s" } };
  await cluster.k(`patch cm config-autoscaler -n knative-serving --type=merge -p ${JSON.stringify(patch)}`);
  // As a platform that has to outlive a crash runs them: one process that is killed again and again is waited for by
  // Kubernetes' back-off, and nobody wakes a revision meanwhile.
  for (const name of ["activator", "autoscaler"]) {
    await cluster.k(`scale deploy ${name} -n knative-serving --replicas=2`);
    await available(cluster, name);
  }
  for (const service of services) await apply(cluster, service, 0);
  const ledger = new Ledger(() => performance.now());
  const context: FaultContext = { cluster, ledger, random: new Random(seed), versions: new Map() };
  await settled(context);

  const stop = new AbortController();
  const running = runLoad({ port: cluster.gatewayPort, ledger, random: new Random(seed + 1) }, stop.signal);
  await pause(5000);
  const before = memoryOf(cluster);
  const startedMs = ledger.elapsedMs;
  const problems = [
    ...(await faultsUntil(context, "graceful", startedMs + totalMs * (1 - killShare))),
    ...(await faultsUntil(context, "kills", startedMs + totalMs)),
  ];
  const after = memoryOf(cluster);
  stop.abort();
  await running;
  await settled(context);
  return outcome(ledger, { before, after, problems, seed });
};

async function faultsUntil(context: FaultContext, kinds: "graceful" | "kills", untilMs: number): Promise<string[]> {
  const { ledger, random } = context;
  const problems: string[] = [];
  for (const kind of faultOrder(random, kinds)) {
    if (ledger.elapsedMs >= untilMs) break;
    try {
      await runFault(context, kind);
    } catch (error) {
      const problem = `${kind.name} at ${seconds(ledger.elapsedMs)}: ${(error as Error).message}`;
      problems.push(problem);
      console.log(`  DID NOT CONVERGE: ${problem}`);
    }
    await pause(calmMs.least + random.next() * (calmMs.most - calmMs.least));
  }
  return problems;
}

interface Used {
  count: number;
  meanAnonMiB: number;
  mostAnonMiB: number;
  /** Open files of the one that has most: what a program forgets to close shows here first. */
  mostFiles: number;
}

/** By program, of the processes that are young and old alike. */
function memoryOf(cluster: Cluster): Map<string, Used> {
  const pid = cluster.clusterPid();
  const found = new Map<string, { anonMiB: number; files: number }[]>();
  for (const [each, program] of programs([pid, ...processTree(pid).keys()])) {
    const figures = found.get(program) ?? [];
    try {
      figures.push({ anonMiB: memory(each).anonKiB / 1024, files: readdirSync(`/proc/${each}/fd`).length });
      found.set(program, figures);
    } catch {
      // ended while we looked
    }
  }
  return new Map(
    [...found].map(([program, figures]) => [
      program,
      {
        count: figures.length,
        meanAnonMiB: rounded(figures.reduce((sum, { anonMiB }) => sum + anonMiB, 0) / figures.length),
        mostAnonMiB: rounded(Math.max(...figures.map(({ anonMiB }) => anonMiB))),
        mostFiles: Math.max(...figures.map(({ files }) => files)),
      },
    ]),
  );
}

function outcome(
  ledger: Ledger,
  seen: { before: Map<string, Used>; after: Map<string, Used>; problems: string[]; seed: number },
): Outcome {
  const { before, after, problems, seed } = seen;
  const rows: Row[] = [...ledger.tallies].map(([load, tally]) => ({
    scenario: "soak",
    contender: load,
    requests: tally.requests,
    failed: tally.failed - tally.inFlight,
    inFlightAtKill: tally.inFlight,
    retried: tally.retried,
    sentAway: tally.sentAway,
    longestMs: Math.round(tally.longestMs),
    longestDuring: tally.longestDuring,
  }));
  const byFault = new Map<string, number>();
  for (const { name } of ledger.faults) byFault.set(name, (byFault.get(name) ?? 0) + 1);
  const total = rows.reduce((sum, { requests }) => sum + Number(requests), 0);
  const notes = [
    `${total} requests in ${seconds(ledger.elapsedMs)}, seed ${seed}: ${ledger.unexcused} failed, ${
      ledger.failures.length - ledger.unexcused
    } were in flight at a kill`,
    `faults: ${[...byFault].map(([name, count]) => `${name} ${count}`).join(", ")}`,
    ...[...after].map(([program, { count, meanAnonMiB, mostAnonMiB, mostFiles }]) => {
      const start = before.get(program);
      const then =
        start === undefined
          ? ""
          : ` (${start.count} of ${start.meanAnonMiB}, ${start.mostAnonMiB} and ${start.mostFiles} at first)`;
      return `${count} ${program}: ${meanAnonMiB} MiB on average, ${mostAnonMiB} at most, ${mostFiles} files at most${then}`;
    }),
    ...ledger.failures.map(sentence),
    ...problems.map((problem) => `did not converge: ${problem}`),
  ];
  return { rows, notes, failed: ledger.unexcused > 0 || problems.length > 0 };
}
