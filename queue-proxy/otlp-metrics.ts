/** Metrics in the form of OTLP (opentelemetry.proto.collector.metrics.v1): cumulative histograms and gauges. */
import type { MessageWriter } from "./message-writer.ts";
import { nanoseconds, otlpWriting, resourceMessage, scopeMessage, type NewMessage } from "./otlp-message.ts";
import type { Attribute } from "./tracing.ts";

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
    | { is: "gauge"; value: number }
    | { is: "histogram"; series: readonly { attributes: readonly Attribute[]; values: HistogramValues }[] };
}

const cumulative = 2;

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
    if (points.is === "gauge") {
      const point = message((out) => {
        times(out);
        // A oneof is written also when it is zero: `as_double`.
        out.raw(Buffer.concat([Buffer.from([0x21]), doubles([points.value])]));
      });
      metric.message(
        5,
        message((gauge) => gauge.message(1, point)),
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
