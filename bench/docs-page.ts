/** `docs/benchmarks.md`, written from the rows of a run. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Outcome } from "./report.ts";
import { sections, type Line } from "./summary.ts";

export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  kernel: string;
  node: string;
  date: string;
}

const file = path.join(import.meta.dirname, "..", "docs", "benchmarks.md");

export function writePage(machine: Machine, { rows, notes }: Outcome, command: string): void {
  const facts = [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ${machine.date}`,
    ...notes,
  ];
  const tables = sections(rows).map(({ title, lines }) => {
    const [name, ...rest] = title.split(": ");
    return `## ${name}\n\n${rest.length > 0 ? `${capital(rest.join(": "))}.\n\n` : ""}${markdown(lines)}`;
  });
  const page = `<!-- Written by \`${command}\`; changes here are lost. -->

# Benchmarks of the request path

Each contender is started afresh for each load and round, checked for right answers, warmed, measured and ended; the
rounds of all contenders take turns. Figures are medians, with the smallest and largest round in brackets. CPU is user
and system time of all processes of the proxy, per request, while every connection always has a request under way.
Where "busy" is well below 100 % the generator or the app was the bottleneck: requests per second are then a lower bound,
and CPU per request is the figure to compare. Added latency is the contender's minus the app's own on the same schedule:
an open loop at half of the requests per second of the same row, counted from the scheduled time. Ratios are of CPU per
request, taken within a round.

${facts.map((fact) => `- ${fact}`).join("\n")}

Run it: \`${command}\`. \`PEER_QUEUE=/path/to/binary\` adds any program that takes Knative's queue-proxy variables.

${tables.join("\n\n")}
`;
  writeFileSync(file, page);
  console.log(`wrote ${path.relative(process.cwd(), file)}`);
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

/** Padded as the project's formatter would. */
function markdown(lines: readonly Line[]): string {
  const columns = [...new Set(lines.flatMap((line) => Object.keys(line)))].filter((column) =>
    lines.some((line) => (line[column] ?? "") !== ""),
  );
  const cells = [columns, ...lines.map((line) => columns.map((column) => (line[column] ?? "").replaceAll("|", "\\|")))];
  const widths = columns.map((_, index) => Math.max(3, ...cells.map((line) => line[index]!.length)));
  const row = (line: readonly string[]): string =>
    `| ${line.map((cell, index) => cell.padEnd(widths[index]!)).join(" | ")} |`;
  const rule = row(widths.map((width) => "-".repeat(width)));
  return [row(cells[0]!), rule, ...cells.slice(1).map(row)].join("\n");
}
