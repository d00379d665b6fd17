/**
 * What a proxy in Node usually is: http.createServer in front of undici's dispatch. A contender only.
 *
 *   node contenders/node-undici-proxy.ts ADDRESS PORT APP_PORT LIMIT
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { Pool, type Dispatcher } from "undici";

const [address = "", port = "", appPort = "", limit = ""] = process.argv.slice(2);
const pool = new Pool(`http://127.0.0.1:${appPort}`, {
  connections: Number(limit) > 0 ? Number(limit) : null,
  pipelining: 1,
  headersTimeout: 300_000,
  bodyTimeout: 300_000,
});
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

function forwardedHeaders(request: IncomingMessage): string[] {
  const headers: string[] = [];
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index]!;
    if (!hopByHop.has(name.toLowerCase())) headers.push(name, request.rawHeaders[index + 1]!);
  }
  headers.push("X-Forwarded-For", request.socket.remoteAddress ?? "", "X-Forwarded-Proto", "http");
  return headers;
}

function relay(request: IncomingMessage, response: ServerResponse): void {
  const { method = "GET", url = "/", headers } = request;
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  const options: Dispatcher.DispatchOptions = {
    method,
    path: url,
    headers: forwardedHeaders(request),
    body: hasBody ? request : null,
  };
  let abort: ((reason: Error) => void) | undefined;
  response.once("close", () => {
    if (!response.writableFinished) abort?.(new Error("the client is gone"));
  });
  pool.dispatch(options, {
    onRequestStart: (controller) => {
      abort = (reason) => controller.abort(reason);
      if (response.destroyed) abort(new Error("the client went while it waited"));
    },
    onResponseStart: (_controller, status, fields) => {
      for (const name of hopByHop) delete fields[name];
      response.writeHead(status, fields);
    },
    onResponseData: (controller, chunk) => {
      if (response.write(chunk)) return;
      controller.pause();
      response.once("drain", () => controller.resume());
    },
    onResponseEnd: () => void response.end(),
    onResponseError: (_controller, error) => {
      if (response.headersSent) response.destroy(error);
      else response.writeHead(502).end(`${error.message}\n`);
    },
  });
}

const server = createServer(
  { keepAlive: true, keepAliveTimeout: 300_000, requestTimeout: 0, headersTimeout: 60_000, noDelay: true },
  relay,
);
server.on("upgrade", (request: IncomingMessage, client: Socket, head: Buffer) => {
  const app = connect(Number(appPort), "127.0.0.1", () => {
    const lines = request.rawHeaders.flatMap((name, index, all) =>
      index % 2 === 0 ? [`${name}: ${all[index + 1]}`] : [],
    );
    app.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    app.write(head);
    app.setNoDelay(true);
    client.setNoDelay(true);
    client.pipe(app).pipe(client);
  });
  app.on("error", () => client.destroy());
  client.on("error", () => app.destroy());
});
server.listen(Number(port), address, 1024);
