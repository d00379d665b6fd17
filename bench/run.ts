// `npm run bench -- SCENARIO [--quick] [--json FILE] [--docs]`: checks correctness, measures, prints a table.
import { writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { autoscalerScale } from "./autoscaler-scale.ts";
import { coldStart } from "./cold-start.ts";
import { writePage, type Machine } from "./docs-page.ts";
import { idle } from "./idle.ts";
import { massWake } from "./mass-wake.ts";
import { queueProxy } from "./queue-proxy.ts";
import type { Row, Scenario } from "./report.ts";
import { outcomeOf, table } from "./report.ts";
import { services } from "./services.ts";
import { soak } from "./soak.ts";

const scenarios: Record<string, { about: string; run: Scenario }> = {
  "autoscaler-scale": { about: "the autoscaler as revisions and pods grow tenfold", run: autoscalerScale },
  "cold-start": { about: "wake from true zero in local mode, first byte and where the time goes", run: coldStart },
  idle: { about: "memory of each platform process, and the platform's CPU with 20 services at zero", run: idle },
  "mass-wake": { about: "500 revisions at zero called at once, until the last replica is written", run: massWake },
  "queue-proxy": { about: "the request path beside nginx, HAProxy, undici and any PEER_QUEUE", run: queueProxy },
  services: { about: "many Services created fast: until Ready, cost of each, a controller's restart", run: services },
  soak: { about: "mixed load while everything restarts: no request fails", run: soak },
};
/** Takes as long as it is told to: it runs only when it is named. */
const onlyNamed = new Set(["soak"]);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "string" },
    /** queue-proxy only: writes docs/benchmarks.md. */
    docs: { type: "boolean", default: false },
    /** queue-proxy only, repeatable: names of loads, or `footprint` for start and memory. */
    only: { type: "string", multiple: true, default: [] },
    /** queue-proxy only, repeatable. */
    contender: { type: "string", multiple: true, default: [] },
    rounds: { type: "string" },
    /** soak only. */
    minutes: { type: "string" },
    seed: { type: "string" },
    /** autoscaler-scale only: one size in place of all, and how many connections' memory is measured. */
    revisions: { type: "string" },
    pods: { type: "string" },
    connections: { type: "string" },
    /** services only: how many, and this rate (a second) alone. */
    count: { type: "string" },
    rate: { type: "string" },
  },
});
const whole = (name: "revisions" | "pods" | "connections" | "count" | "rate"): number | undefined => {
  const text = values[name];
  const value = text === undefined ? undefined : Number(text);
  if (value === undefined || (Number.isSafeInteger(value) && value > 0)) return value;
  console.error(`--${name} ${text}: want a whole number above 0`);
  return process.exit(2);
};
const scale = {
  revisions: whole("revisions"),
  pods: whole("pods"),
  connections: whole("connections"),
  count: whole("count"),
  rate: whole("rate"),
};
const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0)) {
  console.error(`--rounds ${values.rounds}: want a whole number above 0`);
  process.exit(2);
}
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);
if (minutes !== undefined && !(minutes > 0)) {
  console.error(`--minutes ${values.minutes}: want a number above 0`);
  process.exit(2);
}
const seed = values.seed === undefined ? undefined : Number(values.seed);
if (seed !== undefined && !Number.isSafeInteger(seed)) {
  console.error(`--seed ${values.seed}: want a whole number`);
  process.exit(2);
}
const chosen = positionals.length === 0 ? Object.keys(scenarios).filter((name) => !onlyNamed.has(name)) : positionals;
const unknown = chosen.filter((name) => scenarios[name] === undefined);
if (unknown.length > 0) {
  console.error(`no scenario ${unknown.join(", ")}; there are:`);
  for (const [name, { about }] of Object.entries(scenarios)) console.error(`  ${name.padEnd(12)} ${about}`);
  process.exit(2);
}

const machine: Machine = {
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  date: new Date().toISOString().slice(0, 10),
};
const rows: Row[] = [];
const notes: string[] = [];
for (const name of chosen) {
  console.log(`\n${name}: ${scenarios[name]!.about}`);
  const startedMs = performance.now();
  const { quick, only, contender: contenders } = values;
  const outcome = outcomeOf(await scenarios[name]!.run({ quick, only, contenders, rounds, minutes, seed, ...scale }));
  console.log(`\n${outcome.text ?? table(outcome.rows)}`);
  for (const note of outcome.notes) console.log(note);
  console.log(`took ${Math.round((performance.now() - startedMs) / 1000)} s`);
  if (outcome.failed) process.exitCode = 1;
  if (values.docs && name === "queue-proxy")
    writePage(machine, outcome, `npm run bench -- queue-proxy${quick ? " --quick" : ""} --docs`);
  rows.push(...outcome.rows);
  notes.push(...outcome.notes);
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, notes, rows }, null, 2)}\n`);
