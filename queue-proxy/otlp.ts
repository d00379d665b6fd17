/** Spans in the form of OTLP (opentelemetry.proto.collector.trace.v1), and as JSON for a terminal. */
import {
  nanoseconds,
  otlpWriting,
  resourceMessage,
  scopeMessage,
  type Attribute,
  type NewMessage,
} from "../process/otlp/message.ts";
import type { Span } from "./tracing.ts";

const kinds = { internal: 1, server: 2, client: 3 } as const;
const statusError = 2;

/** `ExportTraceServiceRequest`. */
export function encodeSpans(newMessage: NewMessage, resource: readonly Attribute[], spans: readonly Span[]): Buffer {
  const { message, attributes } = otlpWriting(newMessage);
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
        resourceSpans.message(1, resourceMessage(newMessage, resource));
        resourceSpans.message(
          2,
          message((scopeSpans) => {
            scopeSpans.message(1, scopeMessage(newMessage, "swell/queue-proxy"));
            for (const span of spans) scopeSpans.message(2, encodeSpan(span));
          }),
        );
      }),
    );
  });
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
