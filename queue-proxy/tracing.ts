/**
 * Spans of the requests that are traced (data-plane 1.14): the server's, `kn.queueproxy.proxy` with
 * `kn.queueproxy.wait` in it, and the client's towards the app. W3C trace context only; `tracestate` and `baggage` pass
 * as they came. Whether to record is the parent's decision, else one by ratio.
 */
import type { Attribute } from "../process/otlp/message.ts";
import type { Exchange, ExchangeEnd, ResultStatus } from "../proxy/exchange.ts";
import { routeTag } from "./route-tag.ts";

export interface Span {
  traceId: Buffer;
  spanId: Buffer;
  parentSpanId: Buffer | undefined;
  traceState: string;
  name: string;
  kind: "internal" | "server" | "client";
  /** Milliseconds since the epoch, with a fraction. */
  startMs: number;
  endMs: number;
  attributes: readonly Attribute[];
  /** Ended by a 5xx or broken off. */
  failed: boolean;
}

/** Called for what is recorded, when it has ended. */
export type RecordSpan = (span: Span) => void;

interface Context {
  traceId: Buffer;
  parentSpanId: Buffer | undefined;
  sampled: boolean;
}

/** What the layers tell of one request. */
export interface RequestTrace {
  /** Enters the innermost layer, before the breaker. */
  proxying(): void;
  /** Has its permit; what the app is told of the trace is set on the head. */
  forwarding(): void;
}

export interface Tracing {
  readonly observe: (exchange: Exchange) => void;
  /** Undefined for one that was not observed. */
  of(exchange: Exchange): RequestTrace | undefined;
}

export function createTracing(options: {
  /** 0 to 1, for requests without a parent. */
  samplingRate: number;
  userPort: number;
  hasBreaker: boolean;
  resultStatus: ResultStatus;
  record: RecordSpan;
}): Tracing {
  const traces = new WeakMap<Exchange, RequestTrace>();
  const { randomBytes } = process.getBuiltinModule("node:crypto");
  const { record, resultStatus } = options;

  const start = (exchange: Exchange): RequestTrace => {
    const { head, secure } = exchange;
    const context = parentContext(head.headers.get("traceparent")) ?? newContext();
    const traceState = head.headers.get("tracestate") ?? "";
    const { traceId, sampled } = context;
    const server = randomBytes(8);
    const proxy = randomBytes(8);
    const client = randomBytes(8);
    let proxyMs: number | undefined;
    let forwardMs: number | undefined;
    const tag = routeTag(head.headers);
    const host = head.host;

    if (sampled)
      exchange.onEnd((end: ExchangeEnd) => {
        const endMs = performance.now();
        const status = resultStatus(exchange, end);
        const failed = status >= 500 || end !== "completed";
        const span = (
          name: string,
          kind: Span["kind"],
          ids: readonly [own: Buffer, parent: Buffer | undefined],
          times: readonly [startMs: number, endMs: number],
          attributes: readonly Attribute[] = [],
        ): void => {
          const at = performance.timeOrigin;
          const [spanId, parentSpanId] = ids;
          const [fromMs, toMs] = times;
          const failure = kind !== "internal" && failed;
          record({
            traceId,
            spanId,
            parentSpanId,
            traceState,
            name,
            kind,
            startMs: at + fromMs,
            endMs: at + toMs,
            attributes,
            failed: failure,
          });
        };
        const common: Attribute[] = [
          ["http.request.method", head.method],
          ["http.response.status_code", status],
          ["network.protocol.version", head.httpVersion === "2.0" ? "2" : head.httpVersion],
        ];
        if (proxyMs !== undefined) {
          if (options.hasBreaker)
            span("kn.queueproxy.wait", "internal", [randomBytes(8), proxy], [proxyMs, forwardMs ?? endMs]);
          if (forwardMs !== undefined)
            span(
              `HTTP ${head.method}`,
              "client",
              [client, proxy],
              [forwardMs, endMs],
              [...common, ["server.address", "127.0.0.1"], ["server.port", options.userPort]],
            );
          span("kn.queueproxy.proxy", "internal", [proxy, server], [proxyMs, endMs]);
        }
        span(
          head.method,
          "server",
          [server, context.parentSpanId],
          [exchange.startedMs, endMs],
          [
            ...common,
            ["url.path", head.target.split("?", 1)[0]!],
            ["url.scheme", secure ? "https" : "http"],
            ["server.address", host],
            ["client.address", exchange.peerAddress],
            ["user_agent.original", head.headers.get("user-agent") ?? ""],
            ["http.request.body.size", exchange.requestBytes],
            ["http.response.body.size", exchange.responseBytes],
            ["kn.route.tag", tag],
          ],
        );
      });

    return {
      proxying: () => {
        proxyMs = performance.now();
      },
      forwarding: () => {
        forwardMs = performance.now();
        const flags = sampled ? "01" : "00";
        head.headers.set("traceparent", `00-${traceId.toString("hex")}-${client.toString("hex")}-${flags}`);
      },
    };
  };

  const newContext = (): Context => {
    const traceId = randomBytes(16);
    return { traceId, parentSpanId: undefined, sampled: isSampled(traceId, options.samplingRate) };
  };

  return {
    observe(exchange) {
      traces.set(exchange, start(exchange));
    },
    of: (exchange) => traces.get(exchange),
  };
}

/** By the last 8 bytes of the id, so that everyone who sees the trace with the same ratio decides alike. */
export function isSampled(traceId: Buffer, ratio: number): boolean {
  if (ratio >= 1) return true;
  if (!(ratio > 0)) return false;
  // Of 63 bits the top 31 are enough to tell ratios apart.
  return traceId.readUInt32BE(8) >>> 1 < ratio * 2 ** 31;
}

/** W3C `traceparent`; undefined for one that is missing or malformed: the trace then starts here. */
export function parentContext(field: string | undefined): Context | undefined {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(field?.trim() ?? "");
  if (match === null) return undefined;
  const [, version, traceId, spanId, flags, rest] = match;
  // Version 00 has no more fields; ff is none.
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (/^0+$/.test(traceId!) || /^0+$/.test(spanId!)) return undefined;
  return {
    traceId: Buffer.from(traceId!, "hex"),
    parentSpanId: Buffer.from(spanId!, "hex"),
    sampled: (Number.parseInt(flags!, 16) & 1) === 1,
  };
}
