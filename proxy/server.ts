/**
 * The server of both proxies: HTTP/1.x and HTTP/2 on one port, told apart by the first bytes (or by ALPN over TLS).
 * This engine stands on node:http and node:http2; layers know only exchange.ts.
 */
import type { Http2Server, ServerHttp2Session } from "node:http2";
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Server as TlsServer, TLSSocket } from "node:tls";
import { listen as bind } from "../process/listen.ts";
import { UpstreamError, type Exchange, type ProxyServer, type ProxyServerOptions } from "./exchange.ts";
import { http, http2, tls } from "./engine/builtins.ts";
import { createH2cPool } from "./engine/h2c-upstream.ts";
import { headText, Http1ClientSide } from "./engine/http1-client-side.ts";
import { createHttp1Pool } from "./engine/http1-upstream.ts";
import { Http2ClientSide } from "./engine/http2-client-side.ts";
import { RelayedExchange, type Peer, type StartCall } from "./engine/relayed-exchange.ts";
import type { ClientEvents, ClientSide } from "./engine/sides.ts";
import { HeaderList } from "./headers.ts";
import { upgradeToken } from "./hop-by-hop.ts";
import { plainText } from "./plain-text.ts";

const headersTimeoutMs = 60_000;
const handshakeTimeoutMs = 10_000;
const maxHeaderBytes = 1024 * 1024;
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** As Knative's queue-proxy announces them (data-plane 1.5). */
const http2Settings = { maxConcurrentStreams: 250, initialWindowSize: 1024 * 1024, maxHeaderListSize: 1_048_896 };
const endStreamFlag = 0x1;
const connectRefused = "client sent unsupported CONNECT request\n";

export function createProxyServer(options: ProxyServerOptions): ProxyServer {
  const { handler, log } = options;
  const http1Pool = createHttp1Pool(options.maxIdleUpstreams ?? 1000);
  const h2cPool = createH2cPool();
  const startCall: StartCall = (protocol, call, events) =>
    protocol === "h2c" ? h2cPool.call(call, events) : http1Pool.call(call, events);
  const servers: Server[] = [];
  const tlsServers: TlsServer[] = [];
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  /** HTTP/1 connections and how many exchanges each has; node:http only tracks those of its own listeners. */
  const busy = new Map<Socket, number>();
  /** Connected, no byte yet. */
  const silent = new Set<Socket>();
  let inFlight = 0;
  let closing = false;

  const serve = (makeClient: (events: ClientEvents) => ClientSide, socket: Socket): void => {
    const exchange = new RelayedExchange(makeClient, peerOf(socket), startCall);
    inFlight += 1;
    const occupy = (change: number): void => {
      const count = busy.get(socket);
      if (count !== undefined) busy.set(socket, count + change);
    };
    occupy(1);
    exchange.onEnd(() => {
      inFlight -= 1;
      occupy(-1);
      // The end of the response is still to be written to the connection.
      if (closing) setImmediate(endIdle);
    });
    if (exchange.head.method === "CONNECT") {
      exchange.answer(502, connectRefused, plainText);
      return;
    }
    try {
      const outcome = handler(exchange);
      if (outcome !== undefined) outcome.catch((error: unknown) => answerError(exchange, error));
    } catch (error) {
      answerError(exchange, error);
    }
  };
  const endIdle = (): void => {
    for (const [socket, count] of busy) if (count === 0) socket.end();
  };
  const answerError = (exchange: Exchange, error: unknown): void => {
    const upstream = error instanceof UpstreamError;
    if (!exchange.ended) log.error({ err: error, status: upstream ? 502 : 500 }, "error reverse proxying request");
    if (exchange.responseStarted) exchange.fail(502, "");
    else exchange.answer(upstream ? 502 : 500, `${upstream ? error.message : "Internal Server Error"}\n`, plainText);
  };

  const http1 = http.createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      requestTimeout: 0,
      // An idle client connection is never closed from here: that is how a request gets lost.
      keepAliveTimeout: 0,
      insecureHTTPParser: false,
      noDelay: true,
      shouldUpgradeCallback: (request) =>
        upgradeToken(request.method ?? "", HeaderList.from(request.rawHeaders)) !== undefined,
    },
    (request, response) =>
      serve((events) => new Http1ClientSide(request, response, undefined, events, () => closing), request.socket),
  );
  // The app answers an `Expect: 100-continue` itself.
  for (const event of ["checkContinue", "checkExpectation"] as const)
    http1.on(event, (request, response) =>
      serve((events) => new Http1ClientSide(request, response, undefined, events, () => closing), request.socket),
    );
  http1.on("upgrade", (request, socket, early) =>
    serve((events) => new Http1ClientSide(request, undefined, early, events, () => closing), socket as Socket),
  );
  http1.on("connect", (_request, socket: Duplex) => {
    const fields = ["Content-Type", plainText["Content-Type"], "Content-Length", String(connectRefused.length)];
    socket.end(headText(502, "Bad Gateway", [...fields, "Connection", "close"]) + connectRefused);
  });
  http1.setTimeout(0);

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
      const body = (flags & endStreamFlag) === 0;
      serve((events) => new Http2ClientSide(stream, rawHeaders, !body, events), socket);
    });
    server.on("sessionError", (error) => log.debug({ err: error }, "an HTTP/2 connection failed"));
    return server;
  };

  const accept = (socket: Socket): void => {
    track(socket);
    sniff(socket);
  };
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    // Node's servers listen for errors once a connection is theirs; until then nobody does.
    socket.on("error", () => socket.destroy());
  };
  const sniff = (socket: Socket): void => {
    silent.add(socket);
    socket.setTimeout(headersTimeoutMs, () => socket.destroy());
    let seen: Buffer | undefined;
    const settle = (): void => {
      silent.delete(socket);
      socket.off("data", onData);
      socket.off("end", onEnd);
    };
    const onEnd = (): void => {
      settle();
      socket.end();
    };
    const onData = (chunk: Buffer): void => {
      seen = seen === undefined ? chunk : Buffer.concat([seen, chunk]);
      const length = Math.min(seen.length, preface.length);
      const maybeHttp2 = seen.compare(preface, 0, length, 0, length) === 0;
      if (maybeHttp2 && length < preface.length) return;
      settle();
      socket.pause();
      socket.setTimeout(0);
      socket.removeAllListeners("timeout");
      socket.unshift(seen);
      hand(socket, maybeHttp2);
    };
    socket.on("data", onData);
    socket.on("end", onEnd);
    socket.once("close", () => silent.delete(socket));
  };
  const hand = (socket: Socket, isHttp2: boolean): void => {
    if (isHttp2) (http2Server ??= createHttp2Server()).emit("connection", socket);
    else {
      busy.set(socket, 0);
      socket.once("close", () => busy.delete(socket));
      http1.emit("connection", socket);
      socket.resume();
    }
  };

  const createServer = (): Server => {
    // A client that ends its side early still gets its answer from node:http's own rules.
    const certificates = options.tls;
    if (certificates === undefined) return createTcpServer({ allowHalfOpen: true, noDelay: true }, accept);
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
      if (socket.alpnProtocol === "h2") hand(socket, true);
      else sniff(socket);
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
    async close(graceMs) {
      closing = true;
      const closed = Promise.all(
        servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
      );
      for (const socket of silent) socket.destroy();
      for (const session of sessions) session.close();
      endIdle();
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearTimeout(timer);
      http1.close();
      http1Pool.close();
      h2cPool.close();
    },
  };
}

function peerOf(socket: Socket): Peer {
  const address = socket.remoteAddress ?? "";
  return {
    address: address.startsWith("::ffff:") ? address.slice(7) : address,
    port: socket.remotePort ?? 0,
    // Not `in`: the stand-in for a socket that node:http2 hands out has the property always.
    secure: Boolean((socket as Partial<TLSSocket>).encrypted),
  };
}
