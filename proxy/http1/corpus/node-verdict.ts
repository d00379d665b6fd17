/** What Node's own strict parser (llhttp, behind node:http) makes of the same octets. No socket, no port: a pipe in memory. */
import http, { type ClientRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { Duplex } from "node:stream";

export interface NodeMessage {
  /** `GET /` or `200`. */
  start: string;
  reason: string;
  version: string;
  fields: readonly string[];
  content: string;
  trailers: readonly string[];
  complete: boolean;
  /** Whether Node would keep the connection; not known for responses. */
  keepAlive: boolean | undefined;
  tunnel: boolean;
}

export interface NodeVerdict {
  messages: NodeMessage[];
  /** llhttp's code when it refused. */
  error: string | undefined;
}

const limits = { maxHeaderSize: 2 * 1024 * 1024, insecureHTTPParser: false, highWaterMark: 1 << 24 };

class MemorySocket extends Duplex {
  constructor() {
    super({ allowHalfOpen: true, read: () => {}, write: (_chunk, _encoding, done) => done() });
    this.on("error", () => {});
  }

  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }
}

let seen: NodeVerdict = { messages: [], error: undefined };
let incoming: (() => void)[] = [];

const server = http.createServer({
  ...limits,
  requireHostHeader: false,
  keepAliveTimeout: 0,
  shouldUpgradeCallback: () => false,
});
const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
  const message = messageOf(request, `${request.method} ${request.url}`);
  message.keepAlive = response.shouldKeepAlive;
  collect(request, message);
};
server.on("request", onRequest);
server.on("checkContinue", onRequest);
server.on("checkExpectation", onRequest);
server.on("connect", (request: IncomingMessage) => {
  const message = messageOf(request, `${request.method} ${request.url}`);
  message.tunnel = true;
  message.complete = true;
  seen.messages.push(message);
});
server.on("clientError", (error: NodeJS.ErrnoException) => {
  seen.error ??= error.code ?? error.message;
});

/** Synchronous; what Node leaves for later ticks piles up, so let the loop turn every now and then. */
export function nodeRequests(pieces: readonly Buffer[]): NodeVerdict {
  const verdict: NodeVerdict = { messages: [], error: undefined };
  seen = verdict;
  incoming = [];
  const socket = new MemorySocket();
  server.emit("connection", socket);
  for (const piece of pieces) if (verdict.error === undefined) socket.emit("data", piece);
  for (const finish of incoming) finish();
  socket.destroy();
  return verdict;
}

/** The answer to one request, which the connection's end follows when `ends`. */
export async function nodeResponse(
  pieces: readonly Buffer[],
  request: { method: string; upgrade: boolean },
  ends: boolean,
): Promise<NodeVerdict> {
  const verdict: NodeVerdict = { messages: [], error: undefined };
  const finishes: (() => void)[] = [];
  const socket = new MemorySocket();
  const outgoing: ClientRequest = http.request({
    ...limits,
    createConnection: () => socket,
    method: request.method,
    path: request.method === "CONNECT" ? "a:80" : "/",
    ...(request.upgrade && { headers: { Connection: "Upgrade", Upgrade: "x" } }),
  });
  outgoing.on("error", (error: NodeJS.ErrnoException) => (verdict.error ??= error.code ?? error.message));
  outgoing.on("information", (info) => {
    verdict.messages.push({
      start: String(info.statusCode),
      reason: info.statusMessage,
      version: info.httpVersion,
      fields: info.rawHeaders,
      content: "",
      trailers: [],
      complete: true,
      keepAlive: undefined,
      tunnel: false,
    });
  });
  outgoing.on("response", (response) => {
    const message = messageOf(response, String(response.statusCode));
    verdict.messages.push(message);
    response.on("error", () => {});
    finishes.push(() => fill(response, message));
  });
  const onTunnel = (response: IncomingMessage): void => {
    const message = messageOf(response, String(response.statusCode));
    message.tunnel = true;
    message.complete = true;
    verdict.messages.push(message);
  };
  outgoing.on("connect", onTunnel);
  if (request.upgrade) outgoing.on("upgrade", onTunnel);
  outgoing.end();
  await new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)));
  for (const piece of pieces) socket.emit("data", piece);
  if (ends) socket.emit("end");
  for (const finish of finishes) finish();
  outgoing.destroy();
  socket.destroy();
  return verdict;
}

function messageOf(message: IncomingMessage, start: string): NodeMessage {
  return {
    start,
    reason: message.statusMessage ?? "",
    version: message.httpVersion,
    fields: message.rawHeaders,
    content: "",
    trailers: [],
    complete: false,
    keepAlive: undefined,
    tunnel: false,
  };
}

function collect(request: IncomingMessage, message: NodeMessage): void {
  request.on("error", () => {});
  seen.messages.push(message);
  incoming.push(() => fill(request, message));
}

function fill(from: IncomingMessage, message: NodeMessage): void {
  message.content = (from.read() as Buffer | null)?.toString("latin1") ?? "";
  message.complete = from.complete;
  message.trailers = from.rawTrailers;
}
