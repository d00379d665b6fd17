/**
 * A register of Prometheus metrics as OTLP has them: under the names that OpenTelemetry gives them (autoscaling 7.1),
 * of which Prometheus' are made. Only today's names; those up to Knative 1.18 were never pushed.
 */
import type { Registry } from "prom-client";
import type { Attribute } from "./message.ts";
import type { ExportedMetric, HistogramValues } from "./metrics.ts";

/** What is pushed begins with one of these. */
const pushed = /^(?:kn|http|go|swell)_/u;
/** Go's, and so Prometheus' only. */
const notPushed = new Set(["go_memstats_heap_alloc_bytes"]);
/** Underscores that are no dots in OpenTelemetry's names. */
const words = ["not_ready", "unfinished_work", "longest_running_processor", "status_code"];
/** Suffix of Prometheus → unit of OpenTelemetry. */
const units = [
  ["_seconds", "s"],
  ["_bytes", "By"],
  ["_per_second", "1/s"],
  ["_total", ""],
] as const;
/** Labels that hold numbers. */
const numeric = new Set(["http_response_status_code", "server_port"]);

interface Value {
  labels: Record<string, string | number | undefined>;
  value: number;
  metricName?: string;
}

export async function registerMetrics(register: Registry, scope: string): Promise<ExportedMetric[]> {
  const found = (await register.getMetricsAsJSON()) as unknown as {
    name: string;
    help: string;
    type: string;
    values: Value[];
  }[];
  return found
    .filter(({ name, values }) => pushed.test(name) && !notPushed.has(name) && values.length > 0)
    .map(({ name, help, type, values }) => {
      const { name: otelName, unit } = otelMetric(name);
      const points: ExportedMetric["points"] =
        type === "histogram"
          ? { is: "histogram", series: histograms(values) }
          : {
              is: type === "counter" ? "sum" : "gauge",
              series: values.map(({ labels, value }) => ({ attributes: attributesOf(labels), value })),
            };
      return { name: otelName, description: help, unit, scope, points };
    });
}

/** `kn_workqueue_unfinished_work_seconds` → `kn.workqueue.unfinished_work` in `s`. */
export function otelMetric(name: string): { name: string; unit: string } {
  // Of `_per_second` only the rate is a unit.
  const [suffix, unit] = units.find(([suffix]) => name.endsWith(suffix)) ?? ["", ""];
  return { name: dotted(name.slice(0, name.length - suffix.length)), unit };
}

function dotted(name: string): string {
  let out = name.replaceAll("_", ".");
  for (const word of words) out = out.replace(word.replaceAll("_", "."), word);
  return out;
}

function attributesOf(labels: Value["labels"]): Attribute[] {
  return Object.entries(labels).flatMap(([name, value]): Attribute[] =>
    name === "le" || value === undefined
      ? []
      : [[dotted(name), numeric.has(name) && !Number.isNaN(Number(value)) ? Number(value) : String(value)]],
  );
}

/** Buckets that each hold what is in those before them, back to what is in each. */
function histograms(values: readonly Value[]): { attributes: Attribute[]; values: HistogramValues }[] {
  const series = new Map<
    string,
    { attributes: Attribute[]; bounds: number[]; below: number[]; sum: number; count: number }
  >();
  for (const { labels, value, metricName = "" } of values) {
    const attributes = attributesOf(labels);
    const key = JSON.stringify(attributes);
    let one = series.get(key);
    if (one === undefined) series.set(key, (one = { attributes, bounds: [], below: [], sum: 0, count: 0 }));
    if (metricName.endsWith("_sum")) one.sum = value;
    else if (metricName.endsWith("_count")) one.count = value;
    else {
      one.below.push(value);
      if (labels["le"] !== "+Inf") one.bounds.push(Number(labels["le"]));
    }
  }
  return Array.from(series.values(), ({ attributes, bounds, below, sum, count }) => ({
    attributes,
    values: { bounds, counts: below.map((value, at) => value - (below[at - 1] ?? 0)), sum, count },
  }));
}
