/**
 * The server of both proxies: HTTP/1.x and HTTP/2 on one port, told apart by the first bytes (or by ALPN over TLS).
 * HTTP/1.x stands on node:net, HTTP/2 on node:http2; layers know only exchange.ts.
 */
import type { Http2Server, ServerHttp2Session } from "node:http2";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Server as TlsServer, TLSSocket } from "node:tls";
import { listen as bind } from "../process/listen.ts";
import { UpstreamError, type Exchange, type ProxyServer, type ProxyServerOptions } from "./exchange.ts";
import { http2, tls } from "./engine/builtins.ts";
import { Deadlines } from "./engine/deadlines.ts";
import { createH2cPool } from "./engine/h2c-upstream.ts";
import type { ConnectionOwner } from "./engine/connection-owner.ts";
import { Http1Connection } from "./engine/http1-connection.ts";
import { createHttp1Pool } from "./engine/http1-pool.ts";
import { framingOf, Http2ClientSide, Http2RequestHead } from "./engine/http2-client-side.ts";
import { RelayedExchange, type ExchangeOwner, type Peer } from "./engine/relayed-exchange.ts";
import { errorHeader, plainText } from "./plain-text.ts";

const handshakeTimeoutMs = 10_000;
const maxHeaderBytes = 1024 * 1024;
/** As Knative's queue-proxy announces them (data-plane 1.5). */
const http2Settings = { maxConcurrentStreams: 250, initialWindowSize: 1024 * 1024, maxHeaderListSize: 1_048_896 };
const endStreamFlag = 0x1;
const connectRefused = "client sent unsupported CONNECT request\n";

export function createProxyServer(options: ProxyServerOptions): ProxyServer {
  const { handler, log } = options;
  const http1Pool = createHttp1Pool(options.maxIdleUpstreams ?? 1000);
  const h2cPool = createH2cPool();
  const servers: Server[] = [];
  const tlsServers: TlsServer[] = [];
  const sockets = new Set<Socket>();
  const connections = new Set<Http1Connection>();
  const sessions = new Set<ServerHttp2Session>();
  let inFlight = 0;
  let closing = false;
  let retiring = false;

  const exchanges: ExchangeOwner = {
    startCall: (call, upstream) =>
      upstream.protocol === "h2c" ? h2cPool.call(call, upstream) : http1Pool.call(call, upstream),
    ended: () => {
      inFlight -= 1;
    },
  };
  const serve = (exchange: Exchange): void => {
    if (exchange.head.method === "CONNECT") {
      exchange.answer(502, connectRefused, { ...plainText, [errorHeader]: "connect-refused" });
      return;
    }
    try {
      const outcome = handler(exchange);
      if (outcome !== undefined) outcome.catch((error: unknown) => answerError(exchange, error));
    } catch (error) {
      answerError(exchange, error);
    }
  };
  const answerError = (exchange: Exchange, error: unknown): void => {
    const upstream = error instanceof UpstreamError;
    if (!exchange.ended) log.error({ err: error, status: upstream ? 502 : 500 }, "error reverse proxying request");
    if (exchange.responseStarted) exchange.fail(502, "");
    else if (upstream) exchange.answer(502, `${error.message}\n`, { ...plainText, [errorHeader]: "no-answer" });
    else exchange.answer(500, "Internal Server Error\n", { ...plainText, [errorHeader]: "internal" });
  };

  const http1: ConnectionOwner<Http1Connection> = {
    deadlines: new Deadlines(),
    get closing() {
      return closing;
    },
    get retiring() {
      return retiring;
    },
    open(client, peer, head, body, upgrade) {
      inFlight += 1;
      return new RelayedExchange(exchanges, client, peer, { head, body, upgrade });
    },
    serve,
    speaksHttp2(socket, bytes) {
      socket.pause();
      socket.unshift(bytes);
      serveHttp2(socket);
    },
    gone: (connection) => connections.delete(connection),
  };
  const serveHttp1 = (socket: Socket): void => {
    if (socket.destroyed) return;
    connections.add(new Http1Connection(socket, peerOf(socket), http1));
  };

  let http2Server: Http2Server | undefined;
  const createHttp2Server = (): Http2Server => {
    const server = http2().createServer({
      settings: { ...http2Settings, initialWindowSize: options.http2WindowBytes ?? http2Settings.initialWindowSize },
      maxSendHeaderBlockLength: maxHeaderBytes,
      // The sum over a connection's streams; each is held back by the pace of its other side.
      maxSessionMemory: 1000,
    });
    server.on("session", (session: ServerHttp2Session) => {
      sessions.add(session);
      session.once("close", () => sessions.delete(session));
      if (closing) session.close();
    });
    server.on("stream", (stream, _headers, flags, rawHeaders: string[]) => {
      const socket = stream.session?.socket;
      if (socket === undefined) return;
      const endStream = (flags & endStreamFlag) !== 0;
      const head = new Http2RequestHead(rawHeaders);
      const client = new Http2ClientSide(stream, head.method, endStream);
      const request = { head, body: framingOf(head.headers, endStream), upgrade: undefined };
      const exchange = new RelayedExchange(exchanges, client, peerOf(socket), request);
      client.attach(exchange);
      inFlight += 1;
      serve(exchange);
    });
    server.on("sessionError", (error) => log.debug({ err: error }, "an HTTP/2 connection failed"));
    return server;
  };
  const serveHttp2 = (socket: Socket): void => {
    (http2Server ??= createHttp2Server()).emit("connection", socket);
  };

  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    // Whoever serves it listens, too; this is for the moments in between.
    socket.on("error", destroyThis);
  };
  const createServer = (): Server => {
    const certificates = options.tls;
    if (certificates === undefined)
      // An upgraded connection may be half closed.
      return createTcpServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
        track(socket);
        serveHttp1(socket);
      });
    const { select, ...settings } = certificates;
    const server = tls().createServer({
      noDelay: true,
      handshakeTimeout: handshakeTimeoutMs,
      ALPNProtocols: ["h2", "http/1.1"],
      minVersion: "TLSv1.3",
      ...settings,
      SNICallback: (servername, callback) => {
        const pair = select(servername);
        if (pair === undefined) callback(new Error(`no certificate for ${servername}`));
        else callback(null, tls().createSecureContext({ ...settings, ...pair }));
      },
      ...select(undefined),
    });
    tlsServers.push(server);
    server.on("secureConnection", (socket: TLSSocket) => {
      // Not before: a client that goes in the middle of the handshake would leave its connection half open for good.
      socket.allowHalfOpen = true;
      track(socket);
      if (socket.alpnProtocol === "h2") serveHttp2(socket);
      else serveHttp1(socket);
    });
    server.on("tlsClientError", (error) => log.debug({ err: error }, "a TLS handshake failed"));
    return server;
  };

  return {
    get inFlight() {
      return inFlight;
    },
    renewCertificate() {
      const certificates = options.tls;
      const pair = certificates?.select(undefined);
      if (certificates === undefined || pair === undefined) return;
      const { select: _select, ...settings } = certificates;
      for (const server of tlsServers) server.setSecureContext({ minVersion: "TLSv1.3", ...settings, ...pair });
    },
    async listen(addresses) {
      const ports: number[] = [];
      for (const address of addresses) {
        const server = createServer();
        if (!(await bind(server, address))) {
          ports.push(0);
          continue;
        }
        servers.push(server);
        ports.push((server.address() as AddressInfo).port);
      }
      return ports;
    },
    retire() {
      retiring = true;
    },
    async close(graceMs) {
      closing = true;
      retiring = true;
      const closed = Promise.all(
        servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
      );
      for (const connection of connections) connection.endIdle();
      for (const session of sessions) session.close();
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearTimeout(timer);
      http1Pool.close();
      h2cPool.close();
    },
  };
}

function destroyThis(this: Socket): void {
  this.destroy();
}

function peerOf(socket: Socket): Peer {
  const address = socket.remoteAddress ?? "";
  return {
    address: address.startsWith("::ffff:") ? address.slice(7) : address,
    port: socket.remotePort ?? 0,
    // Not `in`: the stand-in for a socket that node:http2 hands out has the property always.
    secure: (socket as Partial<TLSSocket>).encrypted === true,
  };
}
