/**
 * The seam of the request path: what a layer (probes, timeouts, breaker, routing) sees of one request. Layers see the
 * head and decide; the engine behind `createProxyServer` owns the bytes. Nothing outside proxy/ knows which engine.
 */
import type { ConnectionOptions } from "node:tls";
import type { ListenAddress } from "../process/listen.ts";
import type { Logger } from "../process/logger.ts";
import type { HeaderList } from "./headers.ts";

export { HeaderList } from "./headers.ts";

export interface RequestHead {
  readonly method: string;
  /** As received, in origin form; never normalised. */
  target: string;
  readonly httpVersion: "1.0" | "1.1" | "2.0";
  /** Lower-case names when HTTP/2 brought them. Holds `Host`, made from `:authority` for HTTP/2. */
  readonly headers: HeaderList;
  /** The `Host` field; assigning it changes the field. */
  host: string;
}

/**
 * - `completed`: the whole response went to the client, be it the upstream's or ours
 * - `client-gone`: the client went away first
 * - `failed`: we broke it off half-way (a time limit, an upstream that broke off)
 */
export type ExchangeEnd = "completed" | "client-gone" | "failed";

/** Under which status an exchange is counted and logged. */
export type ResultStatus = (exchange: Exchange, end: ExchangeEnd) => number;

/** How an upstream has to prove who it is. */
export interface UpstreamTls {
  /** Those with the same one share connections. */
  readonly id: string;
  /** Asked for each new connection: what is trusted may change. */
  connectOptions(): ConnectionOptions;
}

/** Where a request goes. The protocol is the caller's choice; it does not follow from the client's. */
export interface Upstream {
  /** An IP address. */
  host: string;
  port: number;
  protocol: "http1" | "h2c";
  /** Absent: in plain text. */
  tls?: UpstreamTls | undefined;
}

/** One request being served. */
export interface Exchange {
  readonly head: RequestHead;
  /** Of the TCP peer, IPv4 never in its IPv6-mapped form. */
  readonly peerAddress: string;
  readonly peerPort: number;
  /** Came over TLS. */
  readonly secure: boolean;
  /** performance.now() at arrival. */
  readonly startedMs: number;
  /** performance.now() when bytes last went towards the client (after an upgrade: in either direction). */
  readonly lastActivityMs: number;
  /** The final status line was sent (101 counts, 1xx does not). */
  readonly responseStarted: boolean;
  /** 101 was sent: from here bytes are copied both ways until one side ends. */
  readonly upgraded: boolean;
  readonly clientGone: boolean;
  /** Over, in whatever way. */
  readonly ended: boolean;
  /** Of the final response; 0 before it. */
  readonly status: number;
  /** Body bytes so far, both ways. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Calls back exactly once, at once when it is over already. */
  onEnd(listener: (end: ExchangeEnd) => void): void;
  /** At once when it has started already. */
  onResponseStart(listener: () => void): void;
  /** Our own answer. Ignored when a response has begun or the exchange is over. */
  answer(status: number, body: string, headers?: Readonly<Record<string, string>>): void;
  /**
   * Sends the request (head as edited by layers) and relays the response. Resolves at the end of the exchange,
   * however it ended. Rejects with {@link UpstreamError} while nothing of a response was sent: the caller may then
   * forward again (when `retriable`) or answer.
   */
  forward(upstream: Upstream): Promise<void>;
  /** {@link forward} without its promise, for those who serve many: `failed` is what it would reject with. */
  relay(upstream: Upstream, failed: (error: UpstreamError) => void): void;
  /**
   * Ends it now: our answer if nothing was sent, else the connection (HTTP/2: the stream) is visibly broken.
   * What runs towards the upstream is aborted.
   */
  fail(status: number, body: string): void;
  /** Asks both sides of an upgraded connection to finish: a WebSocket gets a close frame (1001), others an end. */
  closeUpgraded(): void;
}

/** The upstream gave no response. `message` is fit for the body of a 502. */
export class UpstreamError extends Error {
  override readonly name = "UpstreamError";
  /** Nothing of the request reached the upstream, so it can be sent to another. */
  readonly retriable: boolean;

  constructor(message: string, options: { retriable: boolean; cause?: unknown }) {
    super(message, { cause: options.cause });
    this.retriable = options.retriable;
  }
}

/** Decides about one request. A throw or rejection is answered with 502 (UpstreamError) or 500. */
export type Handler = (exchange: Exchange) => void | Promise<void>;

/** What proxy/ needs of a logger; pino's fits. */
export type ProxyLog = Pick<Logger, "debug" | "info" | "warn" | "error">;

/** Made by `createProxyServer` of server.ts. */
export interface ProxyServerOptions {
  handler: Handler;
  log: ProxyLog;
  /** Serve TLS (ALPN h2, http/1.1) instead of plain text. `select` is asked per connection by SNI. */
  tls?: {
    minVersion?: "TLSv1.2" | "TLSv1.3";
    maxVersion?: "TLSv1.2" | "TLSv1.3";
    /** OpenSSL's names, joined by colons. */
    ciphers?: string;
    ecdhCurve?: string;
    select: (servername: string | undefined) => { cert: string | Buffer; key: string | Buffer } | undefined;
  };
  /** Bytes of a request body that an HTTP/2 client may send before they are read. Default 1 MiB, Knative's. */
  http2WindowBytes?: number;
  /** Idle upstream connections kept per address. Default 1000. */
  maxIdleUpstreams?: number;
}

export interface ProxyServer {
  /** Binds every address; resolves with the bound ports, in order, 0 for an optional address that could not be had. */
  listen(addresses: readonly ListenAddress[]): Promise<number[]>;
  /**
   * Serves on, but every answer over HTTP/1.x ends its connection. A client whose idle connection is closed may just
   * have sent a request on it, which it must not repeat unless it is idempotent; called some time before
   * {@link ProxyServer.close}, this leaves no such connections to those who send requests often. HTTP/2 needs no such
   * time: GOAWAY says which streams were not processed.
   */
  retire(): void;
  /**
   * Stops accepting, ends idle connections, lets what is in flight finish and closes each connection after its
   * current request; after `graceMs` breaks off the rest.
   */
  close(graceMs: number): Promise<void>;
  /** `tls.select` has a new answer for clients that name no server: those are not asked for per connection. */
  renewCertificate(): void;
  /** Exchanges that have begun and not ended. */
  readonly inFlight: number;
}
