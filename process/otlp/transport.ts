/** How an OTLP request gets to a collector. */

/** Sends one encoded request. Rejects when the collector did not take it. */
export type SendBatch = (request: Buffer, timeoutMs: number) => Promise<void>;

export type Signal = "traces" | "metrics";

const httpPaths = { traces: "/v1/traces", metrics: "/v1/metrics" } as const satisfies Record<Signal, string>;
export const grpcPaths = {
  traces: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
  metrics: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
} as const satisfies Record<Signal, string>;

/** OTLP over HTTP: an endpoint without a path gets OTLP's own. */
export function sendOverHttp(endpoint: string, signal: Signal): SendBatch {
  const url = new URL(
    endpoint === "" ? "http://localhost:4318" : /^[a-z]+:\/\//i.test(endpoint) ? endpoint : `http://${endpoint}`,
  );
  if (url.pathname === "/" || url.pathname === "") url.pathname = httpPaths[signal];
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
