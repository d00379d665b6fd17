/** For tests: Prometheus' text format, read back. */
import type { Registry } from "prom-client";

export interface Series {
  labels: Record<string, string>;
  value: number;
}

/** Metric name (of a histogram: with `_bucket`, `_sum`, `_count`) → its series. */
export type Exposed = Map<string, Series[]>;

const line = /^(?<name>[a-zA-Z_:][\w:]*)(?:\{(?<labels>.*)\})? (?<value>\S+)$/u;
const pair = /(?<name>\w+)="(?<value>(?:[^"\\]|\\.)*)"/gu;

/** Throws on a line that is none, and on a series that comes twice: Prometheus would drop the whole scrape. */
export function parseExposed(text: string): Exposed {
  const exposed: Exposed = new Map();
  const seen = new Set<string>();
  for (const row of text.split("\n")) {
    if (row === "" || row.startsWith("#")) continue;
    const { name, labels = "", value } = line.exec(row)?.groups ?? {};
    if (name === undefined) throw new Error(`not a sample: ${row}`);
    const read = Object.fromEntries(
      Array.from(labels.matchAll(pair), ({ groups }) => [groups!["name"]!, groups!["value"]!]),
    );
    const key = `${name} ${JSON.stringify(Object.entries(read).toSorted(([a], [b]) => (a < b ? -1 : 1)))}`;
    if (seen.has(key)) throw new Error(`twice: ${row}`);
    seen.add(key);
    exposed.set(name, [...(exposed.get(name) ?? []), { labels: read, value: Number(value) }]);
  }
  return exposed;
}

export async function exposedBy(register: Registry): Promise<Exposed> {
  return parseExposed(await register.metrics());
}

/** Series of that name whose labels have these values. */
export function select(exposed: Exposed, name: string, labels: Readonly<Record<string, string>> = {}): Series[] {
  return (exposed.get(name) ?? []).filter((series) =>
    Object.entries(labels).every(([label, value]) => series.labels[label] === value),
  );
}

/** Metric name → the names of its labels, sorted; `le` left out. Histograms once, under their own name. */
export function labelNames(exposed: Exposed): Record<string, string[]> {
  const names: Record<string, string[]> = {};
  for (const [name, series] of exposed) {
    if (name.endsWith("_sum") && exposed.has(name.replace(/_sum$/u, "_bucket"))) continue;
    if (name.endsWith("_count") && exposed.has(name.replace(/_count$/u, "_bucket"))) continue;
    const all = new Set(series.flatMap(({ labels }) => Object.keys(labels)));
    all.delete("le");
    names[name.replace(/_bucket$/u, "")] = [...all].sort();
  }
  return names;
}
