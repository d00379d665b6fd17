/** One contender under one load, once: started afresh, checked, warmed, measured, ended. */
import { runExternal, type ExternalGenerator } from "./load/external.ts";
import { cpuMicros, totalMemory } from "./process-accounting.ts";
import { appAlone } from "./contenders/index.ts";
import type { Contender, Running } from "./contenders/contender.ts";
import { checkCorrectness } from "./correctness.ts";
import { rounded, type Row } from "./report.ts";
import type { LoadScenario } from "./scenarios.ts";
import type { Workbench } from "./workbench.ts";

/** How long each part of a cell takes. */
export interface Durations {
  warmMs: number;
  saturatedMs: number;
  /** At half of saturation, through the contender. */
  halfMs: number;
  /** The same schedule at the app itself, for the difference. */
  baselineMs: number;
  externalSeconds: number;
}

export const ownGenerator = "ours";

export interface Cell {
  workbench: Workbench;
  /** Undefined: the app without a proxy. */
  contender: Contender | undefined;
  scenario: LoadScenario;
  round: number;
  durations: Durations;
  externals: readonly ExternalGenerator[];
}

/** A contender that answers wrongly or fails gives one row with `failed`; everything else goes on. */
export async function measure(cell: Cell): Promise<Row[]> {
  const { workbench, contender, scenario, round } = cell;
  const name = { scenario: scenario.name, contender: contender?.name ?? appAlone, round };
  let running: Running | undefined;
  try {
    running = contender === undefined ? workbench.appAlone(scenario) : await workbench.start(contender, scenario);
    return (await load(cell, running)).map((figures) => ({ ...name, ...figures }));
  } catch (error) {
    return [{ ...name, generator: ownGenerator, failed: (error as Error).message }];
  } finally {
    await running?.stop();
  }
}

type Figures = Record<string, string | number>;

async function load(cell: Cell, running: Running): Promise<Figures[]> {
  const { workbench, contender, scenario, durations } = cell;
  const { generator } = workbench;
  const target = { host: running.host, port: running.port };
  await checkCorrectness(target, scenario);
  // nginx listens before its worker is there.
  const pids = running.pids();
  const idle = totalMemory(pids);

  const { warmMs, saturatedMs } = durations;
  const saturated = await generator.closed({ target, scenario, warmMs, measureMs: saturatedMs, pids });
  if (saturated.requests === 0) throw new Error(`no request succeeded, ${saturated.errors} failed`);
  const after = totalMemory(pids);
  const requestsPerSecond = (saturated.requests * 1000) / saturated.elapsedMs;
  const own: Figures = {
    generator: ownGenerator,
    cpuMicrosPerRequest: rounded(saturated.cpuMicros / saturated.requests, 2),
    requestsPerSecond: rounded(requestsPerSecond, 0),
    busyPercent: rounded(saturated.cpuMicros / saturated.elapsedMs / 10, 0),
    ...(saturated.errors > 0 ? { errors: saturated.errors } : {}),
    idleRssKiB: idle.rssKiB,
    idleAnonKiB: idle.anonKiB,
    rssKiB: after.rssKiB,
    anonKiB: after.anonKiB,
  };
  const rows = [own];

  for (const external of cell.externals) rows.push(await loadExternally(external, cell, running));

  const half = { scenario, requestsPerSecond: requestsPerSecond / 2 };
  const through = await generator.open({ ...half, target, durationMs: durations.halfMs });
  Object.assign(own, {
    halfRequestsPerSecond: rounded(half.requestsPerSecond, 0),
    ...known({ p50Ms: through.p50Ms, p99Ms: through.p99Ms, lateP99Ms: through.lateP99Ms }),
    ...(through.errors > 0 ? { halfErrors: through.errors } : {}),
  });
  if (contender !== undefined) {
    const app = workbench.appAlone(scenario);
    const appTarget = { host: app.host, port: app.port };
    const direct = await generator.open({ ...half, target: appTarget, durationMs: durations.baselineMs });
    Object.assign(own, known({ addedP50Ms: through.p50Ms - direct.p50Ms, addedP99Ms: through.p99Ms - direct.p99Ms }));
  }
  return rows;
}

/** Without what nothing was measured for: when no request of a schedule was answered there is no latency. */
const known = (figures: Record<string, number>): Figures =>
  Object.fromEntries(
    Object.entries(figures).flatMap(([name, value]) => (Number.isNaN(value) ? [] : [[name, rounded(value, 3)]])),
  );

/** CPU over the whole run of the generator: connections made and closed are part of it. */
async function loadExternally(external: ExternalGenerator, cell: Cell, running: Running): Promise<Figures> {
  const { scenario, durations, workbench } = cell;
  const pids = running.pids();
  const before = cpuMicros(pids);
  const { requests, errors } = await runExternal(external, {
    target: { host: running.host, port: running.port },
    scenario,
    seconds: durations.externalSeconds,
    core: workbench.cores.load,
  });
  const used = cpuMicros(pids) - before;
  return {
    generator: external.name,
    cpuMicrosPerRequest: rounded(used / requests, 2),
    requestsPerSecond: rounded(requests / durations.externalSeconds, 0),
    busyPercent: rounded(used / durations.externalSeconds / 1e4, 0),
    ...(errors > 0 ? { errors } : {}),
  };
}
