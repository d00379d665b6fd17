/** Decisions as text for a terminal: a sentence each, and a table of the same. */
import type { Explained } from "./explained.ts";
import { amount, sentence, whatIfSentence, type Clock } from "./sentence.ts";

export interface Report {
  namespace: string;
  revision: string;
  /** Oldest first; undefined where no autoscaler decides for the revision. */
  records: readonly Explained[] | undefined;
}

export function report({ namespace, revision, records }: Report, clock: Clock): string {
  const title = `${namespace}/${revision}`;
  if (records === undefined) return `${title}: no autoscaler decides for it (another class, or it was just made)`;
  if (records.length === 0) return `${title}: nothing was decided yet; it waits for a first request`;
  const sentences = records.map((record) => `  ${sentence(record, clock)}`);
  const newest = records.at(-1)!;
  const more = [whatIfSentence(newest), appliedText(newest, clock)].filter((text) => text !== "");
  return [title, ...sentences, ...more.map((text) => `  ${text}`), "", ...table(records, clock)].join("\n");
}

function appliedText({ applied, desiredPods }: Explained, clock: Clock): string {
  if (applied === undefined) return "";
  const { atMs, replicas, because } = applied;
  if (replicas === desiredPods && because === "as decided") return "";
  return `applied ${clock(atMs)}: ${replicas < 0 ? "replicas stay" : `replicas ${replicas}`} (${because})`;
}

const columns = [
  "time",
  "cause",
  "ready",
  "in flight",
  "stable",
  "panic",
  "per pod",
  "mode",
  "wanted",
  "limits",
  "burst room",
];

function table(records: readonly Explained[], clock: Clock): string[] {
  const rows = records.map((record) => {
    const { inputs, desiredPods, fromPods } = record;
    return [
      clock(record.atMs),
      record.cause,
      String(inputs.readyPods),
      amount(inputs.inFlight),
      amount(inputs.stable),
      amount(inputs.panic),
      amount(inputs.target),
      record.panicking ? "panic" : "stable",
      fromPods === desiredPods || fromPods < 0 ? String(desiredPods) : `${fromPods} → ${desiredPods}`,
      record.limits.map(({ name }) => name).join(" ") || "-",
      String(record.excessBurstCapacity),
    ];
  });
  const widths = columns.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `  ${cells.map((cell, column) => cell.padEnd(widths[column]!)).join("  ")}`.trimEnd();
  return [line(columns), ...rows.map(line)];
}
