/** Rounds → one line per contender: medians, spread, and ratios taken within each round. */
import { ownGenerator } from "./cell.ts";
import { memoryScenario, startScenario } from "./footprint.ts";
import { quantile, table, type Row } from "./report.ts";
import { loadScenarios } from "./scenarios.ts";

const baseline = "haproxy";
const peer = "peer-queue";

/** One line of a table; every cell as it is shown. */
export type Line = Record<string, string>;

export interface Section {
  title: string;
  lines: Line[];
}

export function summary(rows: readonly Row[]): string {
  return sections(rows)
    .map(({ title, lines }) => `${title}\n${table(lines.map((line) => line as unknown as Row))}`)
    .join("\n\n");
}

export function sections(rows: readonly Row[]): Section[] {
  const of = (scenario: string): Row[] => rows.filter((row) => row.scenario === scenario);
  const loads = loadScenarios.map(({ name, about }) => {
    const own = of(name).filter((row) => row["generator"] === ownGenerator);
    return { title: `${name}: ${about}`, lines: grouped(own).map((group) => loadLine(group, own)) };
  });
  const external = rows.filter((row) => row["generator"] !== undefined && row["generator"] !== ownGenerator);
  const starts = of(startScenario);
  const memories = of(memoryScenario);
  return [
    ...loads,
    { title: "the same loads from public generators", lines: externalLines(external) },
    { title: `${startScenario}: spawn to listening`, lines: grouped(starts).map((group) => startLine(group, starts)) },
    { title: `${memoryScenario}: 1.5 s after the start, no request`, lines: grouped(memories).map(memoryLine) },
  ].filter(({ lines }) => lines.length > 0);
}

function loadLine(group: readonly Row[], all: readonly Row[]): Line {
  const failed = failureOf(group);
  if (failed !== undefined) return { contender: group[0]!.contender, "cpu µs/request": failed };
  const errors = sum(group, "errors") + sum(group, "halfErrors");
  return {
    contender: group[0]!.contender,
    "cpu µs/request": spread(group, "cpuMicrosPerRequest", 1),
    [`× ${baseline}`]: ratio(group, all, baseline, "cpuMicrosPerRequest"),
    ...(all.some(({ contender }) => contender === peer)
      ? { [`× ${peer}`]: ratio(group, all, peer, "cpuMicrosPerRequest") }
      : {}),
    "requests/s": spread(group, "requestsPerSecond", 0),
    // Below a full core the generator or the app was what ended first.
    "busy %": middle(group, "busyPercent", 0),
    "added p50 ms": middle(group, "addedP50Ms", 2),
    "added p99 ms": spread(group, "addedP99Ms", 2),
    "MiB idle": mebibytes(group, "idleRssKiB", "idleAnonKiB"),
    "MiB after": mebibytes(group, "rssKiB", "anonKiB"),
    errors: errors > 0 ? String(errors) : "",
  };
}

function externalLines(rows: readonly Row[]): Line[] {
  const kinds = [...new Set(rows.map((row) => `${row.scenario}\0${row["generator"]}`))];
  return kinds.flatMap((kind) => {
    const of = rows.filter((row) => `${row.scenario}\0${row["generator"]}` === kind);
    return grouped(of).map((group) => ({
      scenario: group[0]!.scenario,
      generator: String(group[0]!["generator"]),
      contender: group[0]!.contender,
      "cpu µs/request": spread(group, "cpuMicrosPerRequest", 1),
      [`× ${baseline}`]: ratio(group, of, baseline, "cpuMicrosPerRequest"),
      "requests/s": spread(group, "requestsPerSecond", 0),
      "busy %": middle(group, "busyPercent", 0),
      errors: sum(group, "errors") > 0 ? String(sum(group, "errors")) : "",
    }));
  });
}

function failureOf(rows: readonly Row[]): string | undefined {
  const failed = rows.find((row) => row["failed"] !== undefined)?.["failed"];
  return failed === undefined ? undefined : `FAILED: ${String(failed).split("\n")[0]}`;
}

function startLine(group: readonly Row[], all: readonly Row[]): Line {
  const failed = failureOf(group);
  if (failed !== undefined) return { contender: group[0]!.contender, "ms (min–max)": failed };
  const bare = quantile(
    figures(
      all.filter(({ contender }) => contender === "bare node"),
      "listeningMs",
    ),
    0.5,
  );
  const here = quantile(figures(group, "listeningMs"), 0.5);
  return {
    contender: group[0]!.contender,
    "ms (min–max)": spread(group, "listeningMs", 0),
    "beyond bare node": `${(here - bare).toFixed(0)} ms`,
  };
}

function memoryLine(group: readonly Row[]): Line {
  const mebibytesOf = (figure: string): string => (quantile(figures(group, figure), 0.5) / 1024).toFixed(1);
  return {
    contender: group[0]!.contender,
    "resident MiB": failureOf(group) ?? mebibytesOf("rssKiB"),
    "anonymous MiB": failureOf(group) === undefined ? mebibytesOf("anonKiB") : "",
  };
}

/** By contender, in order of the first row. */
function grouped(rows: readonly Row[]): Row[][] {
  const names = [
    ...new Set([...rows].sort((a, b) => Number(a["round"]) - Number(b["round"])).map((row) => row.contender)),
  ];
  return names.map((name) => rows.filter((row) => row.contender === name));
}

const figures = (rows: readonly Row[], figure: string): number[] =>
  rows.map((row) => row[figure]).filter((value) => typeof value === "number");

const sum = (rows: readonly Row[], figure: string): number =>
  figures(rows, figure).reduce((total, value) => total + value, 0);

function middle(rows: readonly Row[], figure: string, digits: number): string {
  const values = figures(rows, figure);
  return values.length === 0 ? "" : quantile(values, 0.5).toFixed(digits);
}

function spread(rows: readonly Row[], figure: string, digits: number): string {
  const values = figures(rows, figure);
  if (values.length < 2) return middle(rows, figure, digits);
  return `${middle(rows, figure, digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`;
}

/** The median over rounds of the ratio within a round; "" where the other did not run. */
function ratio(rows: readonly Row[], all: readonly Row[], to: string, figure: string): string {
  const ratios = rows.flatMap((row) => {
    const other = all.find(({ contender, round }) => contender === to && round === row["round"])?.[figure];
    const here = row[figure];
    return typeof other === "number" && typeof here === "number" && other > 0 ? [here / other] : [];
  });
  return ratios.length === 0 ? "" : quantile(ratios, 0.5).toFixed(2);
}

const mebibytes = (rows: readonly Row[], resident: string, anonymous: string): string =>
  `${(quantile(figures(rows, resident), 0.5) / 1024).toFixed(0)} (${(quantile(figures(rows, anonymous), 0.5) / 1024).toFixed(0)} anon)`;
