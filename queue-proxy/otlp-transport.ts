/** How an OTLP request gets to a collector over gRPC, on the sidecar's own client. */
import { grpcPaths, type SendBatch, type Signal } from "../process/otlp/transport.ts";
import type { OpenGrpcStream } from "./grpc-stream.ts";

/** OTLP over gRPC, one call on a connection of its own per batch. TLS for an endpoint that says `https`. */
export function sendOverGrpc(endpoint: string, signal: Signal, open: OpenGrpcStream): SendBatch {
  const url = new URL(
    /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint === "" ? "localhost:4317" : endpoint}`,
  );
  const secure = url.protocol === "https:";
  const target = {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    secure,
    localAddress: undefined,
    path: grpcPaths[signal],
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
