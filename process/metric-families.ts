/**
 * Metrics that are read from plain numbers when somebody asks, and cost nothing before. prom-client's own classes hash
 * the labels of each value; at a scrape of thousands of revisions that is most of the work.
 */
import type { Metric, Registry } from "prom-client";
import type { Histogram } from "./histogram.ts";

export type Labels = Readonly<Record<string, string | number>>;

/** Of one histogram; `counts` has one more entry than `bounds`. */
type HistogramValues = Histogram["values"];

/** Series with equal labels must not come twice. */
export type Read<V> = () => Iterable<readonly [Labels, V]>;

interface Sample {
  labels: Labels;
  value: number;
  metricName?: string;
}

export function gauge(register: Registry, name: string, help: string, read: Read<number>): void {
  add(register, name, help, "gauge", () => samples(read()));
}

/** Values only grow. */
export function counter(register: Registry, name: string, help: string, read: Read<number>): void {
  add(register, name, help, "counter", () => samples(read()));
}

export function histogram(register: Registry, name: string, help: string, read: Read<HistogramValues>): void {
  add(register, name, help, "histogram", () => {
    const out: Sample[] = [];
    for (const [labels, { bounds, counts, sum, count }] of read()) {
      let below = 0;
      for (const [at, inBucket] of counts.entries()) {
        below += inBucket;
        out.push({ labels: { ...labels, le: bounds[at] ?? "+Inf" }, value: below, metricName: `${name}_bucket` });
      }
      out.push({ labels, value: sum, metricName: `${name}_sum` });
      out.push({ labels, value: count, metricName: `${name}_count` });
    }
    return out;
  });
}

function samples(read: Iterable<readonly [Labels, number]>): Sample[] {
  return Array.from(read, ([labels, value]) => ({ labels, value }));
}

function add(register: Registry, name: string, help: string, type: string, values: () => Sample[]): void {
  const metric = {
    name,
    help,
    type,
    aggregator: "sum",
    get: () => Promise.resolve({ name, help, type, aggregator: "sum", values: values() }),
    reset: () => undefined,
  };
  register.registerMetric(metric as unknown as Metric);
}
