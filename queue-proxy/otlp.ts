/** Spans in the form of OTLP (opentelemetry.proto.collector.trace.v1), and as JSON for a terminal. */
import type { MessageWriter } from "./message-writer.ts";
import type { Attribute, Span } from "./tracing.ts";

const scopeName = "swell/queue-proxy";
const kinds = { internal: 1, server: 2, client: 3 } as const;
const statusError = 2;

/** Given, so that this file shares no code with what every sidecar loads (see observers.ts). */
export type NewMessage = () => MessageWriter;

/** `ExportTraceServiceRequest`. */
export function encodeSpans(newMessage: NewMessage, resource: readonly Attribute[], spans: readonly Span[]): Buffer {
  const { message, attributes } = writing(newMessage);
  const encodeSpan = (span: Span): Buffer =>
    message((out) => {
      out.message(1, span.traceId);
      out.message(2, span.spanId);
      out.text(3, span.traceState);
      if (span.parentSpanId !== undefined) out.message(4, span.parentSpanId);
      out.text(5, span.name);
      out.integer(6, kinds[span.kind]);
      out.fixed64(7, nanoseconds(span.startMs));
      out.fixed64(8, nanoseconds(span.endMs));
      attributes(out, 9, span.attributes);
      if (span.failed)
        out.message(
          15,
          message((status) => status.integer(3, statusError)),
        );
    });
  return message((request) => {
    request.message(
      1,
      message((resourceSpans) => {
        resourceSpans.message(
          1,
          message((inner) => attributes(inner, 1, resource)),
        );
        resourceSpans.message(
          2,
          message((scopeSpans) => {
            scopeSpans.message(
              1,
              message((scope) => scope.text(1, scopeName)),
            );
            for (const span of spans) scopeSpans.message(2, encodeSpan(span));
          }),
        );
      }),
    );
  });
}

function writing(newMessage: NewMessage) {
  const message = (write: (out: MessageWriter) => void): Buffer => {
    const out = newMessage();
    write(out);
    return out.bytes();
  };
  /** `AnyValue`: string_value or int_value. A oneof is written also when it is zero. */
  const anyValue = (value: string | number): Buffer =>
    message((any) => {
      if (typeof value === "string") any.text(1, value);
      else if (value === 0) any.raw(Buffer.from([0x18, 0]));
      else any.integer(3, value);
    });
  const attributes = (out: MessageWriter, field: number, list: readonly Attribute[]): void => {
    for (const [name, value] of list) {
      if (value === "") continue;
      out.message(
        field,
        message((pair) => {
          pair.text(1, name);
          pair.message(2, anyValue(value));
        }),
      );
    }
  };
  return { message, attributes };
}

/** A double holds milliseconds since the epoch to less than a microsecond. */
function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}

/** One line. */
export function spanLine(resource: readonly Attribute[], span: Span): string {
  const { traceId, spanId, parentSpanId, startMs, endMs, attributes, ...rest } = span;
  return `${JSON.stringify({
    ...rest,
    traceId: traceId.toString("hex"),
    spanId: spanId.toString("hex"),
    parentSpanId: parentSpanId?.toString("hex"),
    start: new Date(startMs).toISOString(),
    durationMs: Math.round((endMs - startMs) * 1000) / 1000,
    attributes: Object.fromEntries(attributes),
    resource: Object.fromEntries(resource),
  })}\n`;
}
