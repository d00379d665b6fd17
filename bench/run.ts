// `npm run bench -- SCENARIO [--quick] [--json FILE]`: checks correctness, measures, prints a table.
import { writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { coldStart } from "./cold-start.ts";
import { idle } from "./idle.ts";
import type { Row, Scenario } from "./report.ts";
import { table } from "./report.ts";

const scenarios: Record<string, { about: string; run: Scenario }> = {
  "cold-start": { about: "wake from true zero in local mode, first byte and where the time goes", run: coldStart },
  idle: { about: "memory of each platform process, and the platform's CPU with 20 services at zero", run: idle },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, json: { type: "string" } },
});
const chosen = positionals.length === 0 ? Object.keys(scenarios) : positionals;
const unknown = chosen.filter((name) => scenarios[name] === undefined);
if (unknown.length > 0) {
  console.error(`no scenario ${unknown.join(", ")}; there are:`);
  for (const [name, { about }] of Object.entries(scenarios)) console.error(`  ${name.padEnd(12)} ${about}`);
  process.exit(2);
}

const machine = {
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  date: new Date().toISOString().slice(0, 10),
};
const rows: Row[] = [];
for (const name of chosen) {
  console.log(`\n${name}: ${scenarios[name]!.about}`);
  const found = await scenarios[name]!.run({ quick: values.quick });
  console.log(table(found));
  rows.push(...found);
}
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, rows }, null, 2)}\n`);
