/** OTLP over gRPC on Node's own HTTP/2: one call on a connection of its own per batch. The sidecar has a smaller one. */
import { connect, type ClientHttp2Stream } from "node:http2";
import { grpcPaths, type SendBatch, type Signal } from "./transport.ts";

/** TLS for an endpoint that says `https`. Without a scheme it is plain, as in the sidecar. */
export function sendOverGrpc(endpoint: string, signal: Signal): SendBatch {
  const url = new URL(/^[a-z]+:\/\//iu.test(endpoint) ? endpoint : `http://${endpoint || "localhost:4317"}`);
  return async (request, timeoutMs) => {
    const session = connect(url.origin);
    try {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
        const settle = (error?: Error): void => {
          clearTimeout(timer);
          if (error === undefined) resolve();
          else reject(error);
        };
        session.on("error", settle);
        const stream = session.request({
          ":method": "POST",
          ":path": grpcPaths[signal],
          "content-type": "application/grpc",
          te: "trailers",
        });
        stream.on("error", settle);
        onStatus(stream, (status, message) =>
          settle(status === "0" ? undefined : new Error(`${url.host} answered status ${status}: ${message}`)),
        );
        stream.end(framed(request));
      });
    } finally {
      session.destroy();
    }
  };
}

/** The status comes in trailers, or in the head of an answer that has nothing else. */
function onStatus(stream: ClientHttp2Stream, tell: (status: string, message: string) => void): void {
  let fields: Record<string, unknown> = {};
  for (const event of ["response", "trailers"] as const)
    stream.on(event, (headers: object) => {
      fields = { ...fields, ...headers };
    });
  stream.resume();
  stream.on("close", () => tell(textOf(fields["grpc-status"] ?? fields[":status"]), textOf(fields["grpc-message"])));
}

const textOf = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" ? String(value) : "";

/** Not compressed, and how long it is. */
function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
