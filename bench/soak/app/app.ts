/**
 * The app under load: echoes. HTTP/1.1 and WebSocket, or with `PROTOCOL=h2c` HTTP/2 without TLS, where an echo of the
 * messages is a gRPC answer too. An app that ends as it should: it finishes what it has begun.
 */
import { createHash } from "node:crypto";
import { createServer as createHttp1Server, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";

const port = Number(process.env["PORT"] ?? 8080);
const revision = process.env["K_REVISION"] ?? "";
const webSocketGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** `/echo?ms=5`: how long the answer takes. */
const delayMs = (target: string): number => Number(/[?&]ms=(\d+)/.exec(target)?.[1] ?? 0);

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  await pause(delayMs(request.url ?? ""));
  const body = Buffer.concat(chunks);
  response.writeHead(200, { "x-token": request.headers["x-token"] ?? "", "x-revision": revision });
  response.end(request.method === "POST" ? body : `${request.url}`);
}

function upgrade(request: IncomingMessage, socket: Duplex, early: Buffer): void {
  const key = request.headers["sec-websocket-key"] ?? "";
  const accept = createHash("sha1").update(`${key}${webSocketGuid}`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let pending = early;
  const take = (chunk: Buffer): void => {
    pending = Buffer.concat([pending, chunk]);
    for (let frame = firstFrame(pending); frame !== undefined; frame = firstFrame(pending)) {
      pending = pending.subarray(frame.bytes);
      // Unmasked, and as long as what came: all messages here are short.
      socket.write(Buffer.from([0x80 | frame.opcode, frame.payload.length]));
      socket.write(frame.payload);
      if (frame.opcode === 8) socket.end();
    }
  };
  socket.on("data", take);
  socket.on("end", () => socket.end());
  socket.on("error", () => socket.destroy());
  take(Buffer.alloc(0));
}

/** A masked frame of less than 126 bytes. */
function firstFrame(bytes: Buffer): { opcode: number; payload: Buffer; bytes: number } | undefined {
  const length = (bytes[1] ?? 0) & 0x7f;
  if (bytes.length < 6 + length) return undefined;
  const mask = bytes.subarray(2, 6);
  const payload = Buffer.from(bytes.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at & 3]!));
  return { opcode: bytes[0]! & 0x0f, payload, bytes: 6 + length };
}

function serveHttp1(): void {
  const server: Server = createHttp1Server((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.on("upgrade", upgrade);
  server.listen(port);
  process.on("SIGTERM", () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  });
}

function serveHttp2(): void {
  const sessions = new Set<ServerHttp2Session>();
  const server = createHttp2Server();
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    const grpc = headers["content-type"] === "application/grpc";
    const fields = { ":status": 200, "x-token": headers["x-token"] ?? "", "x-revision": revision };
    stream.respond(grpc ? { ...fields, "content-type": "application/grpc" } : fields, { waitForTrailers: grpc });
    if (grpc) stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    if (headers[":method"] === "POST") stream.pipe(stream);
    else void pause(delayMs(headers[":path"] ?? "")).then(() => stream.end(headers[":path"]));
  });
  server.listen(port);
  process.on("SIGTERM", () => {
    server.close(() => process.exit(0));
    for (const session of sessions) session.close();
  });
}

if (process.env["PROTOCOL"] === "h2c") serveHttp2();
else serveHttp1();
