/** Metrics in the form of OTLP (opentelemetry.proto.collector.metrics.v1): gauges, and cumulative sums and histograms. */
import type { MessageWriter } from "./message-writer.ts";
import { nanoseconds, otlpWriting, resourceMessage, scopeMessage, type Attribute, type NewMessage } from "./message.ts";

/** Values since the start; `counts` has one more entry than `bounds`. */
export interface HistogramValues {
  bounds: readonly number[];
  counts: readonly number[];
  sum: number;
  count: number;
}

export interface ExportedMetric {
  name: string;
  description: string;
  /** In UCUM: `s`, `By`, or empty. */
  unit: string;
  scope: string;
  points:
    | { is: "gauge" | "sum"; series: readonly { attributes: readonly Attribute[]; value: number }[] }
    | { is: "histogram"; series: readonly { attributes: readonly Attribute[]; values: HistogramValues }[] };
}

const cumulative = 2;
/** A bool that is true. */
const monotonic = 1;

/** `ExportMetricsServiceRequest`. Times in milliseconds since the epoch; `startMs` is when counting began. */
export function encodeMetrics(
  newMessage: NewMessage,
  resource: readonly Attribute[],
  times: { startMs: number; nowMs: number },
  metrics: readonly ExportedMetric[],
): Buffer {
  const { message } = otlpWriting(newMessage);
  const scopes = new Map<string, ExportedMetric[]>();
  for (const metric of metrics) scopes.set(metric.scope, [...(scopes.get(metric.scope) ?? []), metric]);
  const scopeMetrics = (name: string, of: readonly ExportedMetric[]): Buffer =>
    message((out) => {
      out.message(1, scopeMessage(newMessage, name));
      for (const metric of of) out.message(2, encodeMetric(newMessage, times, metric));
    });
  return message((request) => {
    request.message(
      1,
      message((resourceMetrics) => {
        resourceMetrics.message(1, resourceMessage(newMessage, resource));
        for (const [name, of] of scopes) resourceMetrics.message(2, scopeMetrics(name, of));
      }),
    );
  });
}

function encodeMetric(
  newMessage: NewMessage,
  { startMs, nowMs }: { startMs: number; nowMs: number },
  { name, description, unit, points }: ExportedMetric,
): Buffer {
  const { message, attributes } = otlpWriting(newMessage);
  const times = (out: MessageWriter): void => {
    out.fixed64(2, nanoseconds(startMs));
    out.fixed64(3, nanoseconds(nowMs));
  };
  return message((metric) => {
    metric.text(1, name);
    metric.text(2, description);
    metric.text(3, unit);
    if (points.is !== "histogram") {
      const isSum = points.is === "sum";
      metric.message(
        isSum ? 7 : 5,
        message((of) => {
          for (const { attributes: labels, value } of points.series)
            of.message(
              1,
              message((point) => {
                times(point);
                // A oneof is written also when it is zero: `as_double`.
                point.raw(Buffer.concat([Buffer.from([0x21]), doubles([value])]));
                attributes(point, 7, labels);
              }),
            );
          if (!isSum) return;
          of.integer(2, cumulative);
          of.integer(3, monotonic);
        }),
      );
      return;
    }
    metric.message(
      9,
      message((histogram) => {
        for (const { attributes: labels, values } of points.series)
          histogram.message(
            1,
            message((point) => {
              times(point);
              point.fixed64(4, BigInt(values.count));
              point.double(5, values.sum);
              point.message(6, fixed64s(values.counts));
              point.message(7, doubles(values.bounds));
              attributes(point, 9, labels);
            }),
          );
        histogram.integer(2, cumulative);
      }),
    );
  });
}

function doubles(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [at, value] of values.entries()) bytes.writeDoubleLE(value, 8 * at);
  return bytes;
}

function fixed64s(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(8 * values.length);
  for (const [at, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), 8 * at);
  return bytes;
}
