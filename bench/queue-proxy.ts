/** The request path against others: the same loads through every contender, round by round in one run. */
import { loadavg } from "node:os";
import { measure, type Durations } from "./cell.ts";
import { appAlone } from "./contenders/index.ts";
import { versionOf } from "./contenders/contender.ts";
import { measureIdleMemory, measureStart } from "./footprint.ts";
import { externalGenerators } from "./load/external.ts";
import type { Outcome, Options, Row } from "./report.ts";
import { loadScenarios, type LoadScenario } from "./scenarios.ts";
import { summary } from "./summary.ts";
import { Workbench } from "./workbench.ts";

/**
 * About 28 minutes with seven contenders, and three. A Node process compiles what is hot for its first seconds under
 * load; a proxy lives for days, so that is not measured.
 */
const full: Durations = { warmMs: 2000, saturatedMs: 1000, halfMs: 800, baselineMs: 400, externalSeconds: 1 };
const quick: Durations = { warmMs: 1500, saturatedMs: 600, halfMs: 400, baselineMs: 200, externalSeconds: 1 };
const fullRounds = 3;
/** What `--only` may name beside the loads. */
const footprint = "footprint";
/** The 99th percentile of the generator's own delay; beyond it latencies are the machine's, not the proxy's. */
const lateMs = 0.5;
/** Where the public generators run as well, to be compared with ours. */
const crossChecked: readonly string[] = ["keep-alive-small", "fresh-small", "h2c-small"];
const crossCheckedQuickly: readonly string[] = crossChecked.slice(0, 1);

export async function queueProxy(options: Options): Promise<Outcome> {
  await using workbench = await Workbench.open();
  const interrupted = (): void => void workbench[Symbol.asyncDispose]().finally(() => process.exit(130));
  process.once("SIGINT", interrupted);
  process.once("SIGTERM", interrupted);
  const notes: string[] = [`cores: ${workbench.cores.about}`];
  const say = (note: string): void => {
    notes.push(note);
    console.log(`  ${note}`);
  };
  const wanted = workbench.contenders.filter(({ name }) => chosen(options.contenders, name));
  const present = wanted.filter(({ name, missing }) => {
    const problem = missing?.();
    if (problem !== undefined) say(`left out: ${name}: ${problem}`);
    return problem === undefined;
  });
  const externals = externalGenerators.filter(({ missing }) => {
    const problem = missing();
    if (problem !== undefined) say(`left out: ${problem}`);
    return problem === undefined;
  });
  for (const [kind, app] of Object.entries(workbench.apps))
    if (app !== undefined) notes.push(`app for ${kind}: ${app.about}`);
  const versions = [
    ["haproxy", versionOf("haproxy", "-v")],
    ["nginx", versionOf("nginx", "-v")],
    ["h2load", versionOf("h2load", "--version")],
    ["autocannon", externalGenerators.find(({ name }) => name === "autocannon")?.version()],
  ].flatMap(([program, version]) => (version === undefined ? [] : [`${program} ${version}`]));
  notes.push(`versions: node ${process.version}, ${versions.join(", ")}`);
  notes.push(`load average at the start: ${loadavg()[0]?.toFixed(1)}`);

  const rows: Row[] = [];
  const durations = options.quick ? quick : full;
  for (const scenario of loadScenarios) {
    const rounds = roundsOf(scenario, options);
    if (rounds === 0) continue;
    if (workbench.appFor(scenario) === undefined) {
      say(`left out: ${scenario.name}: it needs nginx as the app (apt-get install nginx-light)`);
      continue;
    }
    const here = present.filter((contender) => contender.takesPart(scenario));
    const withApp = [...(scenario.aboutLimit || !chosen(options.contenders, appAlone) ? [] : [undefined]), ...here];
    process.stdout.write(`  ${scenario.name}: ${scenario.about} `);
    for (let round = 1; round <= rounds; round++)
      // The next round begins with the next contender: nobody always comes after the same one.
      for (const contender of rotated(withApp, round - 1)) {
        const checked = !options.quick ? crossChecked : round === 1 ? crossCheckedQuickly : [];
        const cell = { workbench, contender, scenario, round, durations };
        const measured = await measure({
          ...cell,
          externals: checked.includes(scenario.name)
            ? externals.filter(({ protocols }) => protocols.includes(scenario.protocol))
            : [],
        });
        rows.push(...measured);
        const failed = measured.find((row) => row["failed"] !== undefined);
        process.stdout.write(
          failed === undefined ? "." : `\n    ${contender?.name ?? appAlone}: ${failed["failed"]}\n`,
        );
      }
    process.stdout.write("\n");
  }
  if (chosen(options.only, footprint)) {
    console.log("  start, memory-idle");
    rows.push(...(await measureStart(workbench, present, options.quick ? 7 : 15)));
    rows.push(...(await measureIdleMemory(workbench, present, options.quick ? 1 : 3)));
  }
  notes.push(`load average at the end: ${loadavg()[0]?.toFixed(1)}`);
  const late = rows.filter((row) => Number(row["lateP99Ms"] ?? 0) > lateMs).length;
  if (late > 0)
    say(
      `the open loop ran more than ${lateMs} ms late in ${late} of ${rows.filter((row) => row["lateP99Ms"] !== undefined).length} cells: ` +
        "other processes had its core, so added p99 says little",
    );
  const failed = rows.some((row) => row["failed"] !== undefined);
  return { rows, notes, text: summary(rows), failed };
}

function roundsOf(scenario: LoadScenario, options: Options): number {
  if (!chosen(options.only, scenario.name)) return 0;
  const usual = options.quick ? scenario.quickRounds : fullRounds;
  return options.rounds ?? (options.only.length > 0 ? Math.max(1, usual) : usual);
}

const chosen = (names: readonly string[], name: string): boolean => names.length === 0 || names.includes(name);

const rotated = <T>(list: readonly T[], by: number): T[] => {
  const at = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(at), ...list.slice(0, at)];
};
