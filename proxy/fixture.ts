import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, Server } from "node:http";
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type Server as TcpServer,
  type Socket,
} from "node:net";
import { silentLogger } from "../process/logger.ts";
import type { Handler, Upstream } from "./exchange.ts";
import { createProxyServer } from "./server.ts";

/** Real proxies and apps on free ports of the loopback address, for tests. */
export const loopback = { host: "127.0.0.1", port: 0, reusePort: false, optional: false };
export interface Closable {
  teardown(fn: () => unknown): unknown;
}

export async function startProxy(t: Closable, handler: Handler): Promise<number> {
  const server = createProxyServer({ handler, log: silentLogger });
  const [port] = await server.listen([loopback]);
  t.teardown(() => server.close(0));
  return port!;
}

export async function startServer(t: Closable, server: TcpServer): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    if (server instanceof Server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

export const startApp = (t: Closable, listener: (...args: Parameters<RequestListener>) => unknown): Promise<number> =>
  startServer(
    t,
    createServer((incoming, outgoing) => void listener(incoming, outgoing)),
  );

/** A TCP app that is told each connection and the bytes it has sent so far. */
export function startRawApp(t: Closable, onBytes: (socket: Socket, received: string) => void): Promise<number> {
  const server = createTcpServer((socket) => {
    let received = "";
    socket.on("error", () => {});
    socket.on("data", (chunk) => onBytes(socket, (received += chunk.toString("latin1"))));
  });
  return startServer(t, server);
}

export const to = (port: number, protocol: Upstream["protocol"] = "http1"): Upstream => ({
  host: "127.0.0.1",
  port,
  protocol,
});

/** Sends raw bytes, resolves with everything that came until the other side closed. */
export async function raw(port: number, text: string, onData?: (received: string) => void): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let received = "";
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    onData?.(received);
  });
  socket.on("error", () => (received += "[reset]"));
  socket.write(text);
  await new Promise((resolve) => socket.once("close", resolve));
  return received;
}

export async function textOf(message: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of message) text += String(chunk);
  return text;
}

export const get = (path: string, extra = ""): string =>
  `GET ${path} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n${extra}\r\n`;
