/** Takes ended spans to a collector in batches; what does not get there in time is dropped, and counted in the log. */
import type { Log } from "./log.ts";
import type { OpenGrpcStream } from "./grpc-stream.ts";
import { encodeSpans, type NewMessage } from "./otlp.ts";
import type { Attribute, RecordSpan, Span } from "./tracing.ts";

/** Sends one encoded batch. Rejects when the collector did not take it. */
export type SendSpans = (request: Buffer, timeoutMs: number) => Promise<void>;

const maxQueued = 2048;
const maxBatch = 512;
const batchEveryMs = 5000;
const sendTimeoutMs = 10_000;
/** Knative's limit on what is flushed at the end. */
const lastFlushMs = 10_000;

export interface SpanExport {
  readonly add: RecordSpan;
  /** Sends what is queued. */
  readonly stop: () => Promise<void>;
}

export function createSpanExport(
  newMessage: NewMessage,
  resource: readonly Attribute[],
  send: SendSpans,
  log: Log,
): SpanExport {
  let queued: Span[] = [];
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    sending ??= sendBatch().finally(() => {
      sending = undefined;
      if (queued.length > 0) schedule();
    });
    return sending;
  };
  const sendBatch = async (): Promise<void> => {
    const batch = queued.slice(0, maxBatch);
    queued = queued.slice(batch.length);
    if (batch.length === 0) return;
    try {
      await send(encodeSpans(newMessage, resource, batch), sendTimeoutMs);
    } catch (error) {
      dropped += batch.length;
      log.warn({ err: error, dropped }, "the trace collector did not take the spans");
    }
  };
  const schedule = (): void => {
    timer ??= setTimeout(() => void flush(), queued.length >= maxBatch ? 0 : batchEveryMs).unref();
  };

  return {
    add(span) {
      if (queued.length >= maxQueued) {
        dropped += 1;
        return;
      }
      queued.push(span);
      if (queued.length === maxBatch) {
        clearTimeout(timer);
        timer = undefined;
      }
      schedule();
    },
    async stop() {
      const deadlineMs = performance.now() + lastFlushMs;
      while (queued.length > 0 && performance.now() < deadlineMs) await flush();
      clearTimeout(timer);
    },
  };
}

/** OTLP over HTTP: an endpoint without a path gets OTLP's own. */
export function sendOverHttp(endpoint: string): SendSpans {
  const url = new URL(
    endpoint === "" ? "http://localhost:4318" : /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`,
  );
  if (url.pathname === "/" || url.pathname === "") url.pathname = "/v1/traces";
  const module =
    url.protocol === "https:" ? process.getBuiltinModule("node:https") : process.getBuiltinModule("node:http");
  return (body, timeoutMs) =>
    new Promise((resolve, reject) => {
      const request = module.request(url, {
        method: "POST",
        headers: { "Content-Type": "application/x-protobuf", "Content-Length": body.length },
      });
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      request.on("response", (response) => {
        clearTimeout(timer);
        response.resume();
        const { statusCode = 0 } = response;
        if (statusCode >= 200 && statusCode < 300) resolve();
        else reject(new Error(`${url.href} answered ${statusCode}`));
      });
      request.on("error", (error) => {
        clearTimeout(timer);
        reject(error);
      });
      request.end(body);
    });
}

/** OTLP over gRPC, one call on a connection of its own per batch. TLS for an endpoint that says `https`. */
export function sendOverGrpc(endpoint: string, open: OpenGrpcStream): SendSpans {
  const url = new URL(
    /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint === "" ? "localhost:4317" : endpoint}`,
  );
  const secure = url.protocol === "https:";
  const target = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    secure,
    localAddress: undefined,
    path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
  };
  return (request, timeoutMs) =>
    new Promise((resolve, reject) => {
      const settle = (error: Error | undefined): void => {
        clearTimeout(timer);
        if (error === undefined) resolve();
        else reject(error);
      };
      const stream = open(target, {
        onMessage: () => {},
        onDrain: () => {},
        onEnd: (error, status) => settle(status === 0 ? undefined : error),
      });
      const timer = setTimeout(() => {
        stream.close();
        settle(new Error(`no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      stream.send(request);
      stream.finish();
    });
}
