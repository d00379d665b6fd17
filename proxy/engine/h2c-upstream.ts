/** Calls to an upstream that speaks HTTP/2 without TLS and without asking first, on node:http2. */
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import type { Upstream, UpstreamTls } from "../exchange.ts";
import { FieldList } from "../headers.ts";
import { requestFields } from "../hop-by-hop.ts";
import { noBody } from "../http1/framing.ts";
import { http2, http2Code } from "./builtins.ts";
import { framingOf, objectOf } from "./http2-client-side.ts";
import { isLent } from "./read-buffer.ts";
import { addressText, failureText, none, type OutgoingCall, type StartCall, type UpstreamCall } from "./sides.ts";

const idleMs = 90_000;
const connectTimeoutMs = 10_000;
/** Assumed until the upstream's SETTINGS arrive, as Knative's transport does, and where it names no limit. */
const streamsBeforeSettings = 100;
const streamsWithoutLimit = 1000;
const endStreamFlag = 0x1;

interface Connection {
  session: ClientHttp2Session;
  streams: number;
  limit: number;
  connected: boolean;
  /** Why it ended, for streams that hear only that it did. */
  error: NodeJS.ErrnoException | undefined;
}

export interface H2cPool {
  call: StartCall;
  close(): void;
}

export function createH2cPool(): H2cPool {
  const byAddress = new Map<string, Set<Connection>>();

  const open = ({ host, port, tls }: Upstream): Connection => {
    const address = addressText(host, port);
    const key = tls === undefined ? address : `${address} ${tls.id}`;
    let connections = byAddress.get(key);
    if (connections === undefined) byAddress.set(key, (connections = new Set()));
    for (const connection of connections) if (connection.streams < connection.limit) return connection;

    const session = http2().connect(`${schemeOf(tls)}://${address}`, {
      ...tls?.connectOptions(),
      settings: { enablePush: false, initialWindowSize: 1024 * 1024 },
      // The sum of what its streams may buffer; each stream is held back by its client's pace.
      maxSessionMemory: 1000,
    });
    const connection: Connection = {
      session,
      streams: 0,
      limit: streamsBeforeSettings,
      connected: false,
      error: undefined,
    };
    const among = connections;
    among.add(connection);
    const forget = (): void => {
      among.delete(connection);
      if (among.size === 0 && byAddress.get(key) === among) byAddress.delete(key);
    };
    const dialTimer = setTimeout(() => {
      session.destroy(Object.assign(new Error("dial timed out"), { code: "ETIMEDOUT" }));
    }, connectTimeoutMs);
    session.on("connect", () => {
      clearTimeout(dialTimer);
      connection.connected = true;
      session.setTimeout(idleMs, () => {
        if (connection.streams === 0) session.close();
      });
    });
    session.on("remoteSettings", (settings) => {
      connection.limit = Math.min(settings.maxConcurrentStreams ?? streamsWithoutLimit, streamsWithoutLimit);
    });
    session.on("error", (error: NodeJS.ErrnoException) => {
      connection.error = error;
      forget();
    });
    session.on("goaway", forget);
    session.on("close", () => {
      clearTimeout(dialTimer);
      forget();
    });
    session.unref();
    return connection;
  };

  return {
    call: (call, upstream) => new H2cCall(open, call, upstream),
    close() {
      for (const connections of byAddress.values()) for (const { session } of connections) session.destroy();
      byAddress.clear();
    },
  };
}

const schemeOf = (tls: UpstreamTls | undefined): "http" | "https" => (tls === undefined ? "http" : "https");

class H2cCall implements UpstreamCall {
  /** Told when the connection is there, which a new stream's may not be. */
  readonly ready = false;
  readonly #call: OutgoingCall;
  readonly #upstream: Upstream;
  #stream: ClientHttp2Stream | undefined;
  #trailers: readonly string[] = none;
  #requestTrailers: readonly string[] = none;
  #full = false;
  #settled = false;
  /** Of the response: it was told, and how it ended. */
  #responded = false;
  #over = false;

  constructor(open: (upstream: Upstream) => Connection, call: OutgoingCall, upstream: Upstream) {
    this.#call = call;
    this.#upstream = upstream;
    let error: Error | undefined;
    // A session that is just closing refuses new streams; the next one is new.
    for (let attempt = 0; attempt < 3 && this.#stream === undefined; attempt += 1) {
      const connection = open(upstream);
      try {
        this.#start(connection);
      } catch (thrown) {
        error = thrown as Error;
        if (!isSessionGone(error)) break;
        connection.limit = 0;
      }
    }
    if (this.#stream === undefined) queueMicrotask(() => this.#fail(error ?? new Error("no connection"), false));
  }

  write(chunk: Buffer, start: number, end: number): void {
    const stream = this.#stream!;
    if (stream.destroyed || stream.writableEnded) return;
    const view = chunk.subarray(start, end);
    if (!stream.write(isLent(chunk) ? Buffer.from(view) : view)) this.#full = true;
  }

  flush(): boolean {
    return !this.#full || this.#stream!.destroyed;
  }

  finish(trailers: readonly string[]): void {
    this.#requestTrailers = trailers;
    if (!this.#stream!.destroyed) this.#stream!.end();
  }

  hold(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  abort(): void {
    this.#settled = true;
    this.#over = true;
    const stream = this.#stream;
    stream?.close(http2Code.cancel);
    // Unread data would keep it from closing.
    stream?.resume();
  }

  #start(connection: Connection): void {
    const call = this.#call;
    const { host, port, tls } = this.#upstream;
    const { head, peerAddress } = call;
    const body = call.body.is !== "none";
    const fallbackHost = addressText(host, port);
    const fields = requestFields(head, {
      protocol: "h2c",
      peerAddress,
      body: call.body,
      upgrade: undefined,
      fallbackHost,
    });
    const stream = connection.session.request(
      [
        ":method",
        head.method,
        ":scheme",
        schemeOf(tls),
        ":authority",
        head.host === "" ? fallbackHost : head.host,
        ":path",
        head.target,
        ...fields,
      ],
      { endStream: !body, waitForTrailers: body },
    );
    this.#stream = stream;
    connection.streams += 1;
    connection.session.ref();
    stream.on("close", () => {
      connection.streams -= 1;
      if (connection.streams === 0) connection.session.unref();
      const reached = connection.connected;
      this.#fail(connection.error ?? new Error(`stream closed with code ${stream.rstCode}`), reached);
      this.#broke();
    });
    stream.on("error", (error: NodeJS.ErrnoException) => {
      const refused = stream.rstCode === http2Code.refusedStream;
      // A stream that never left tells why in its cause; the session tells it only afterwards.
      const cause = error.code === "ERR_HTTP2_STREAM_CANCEL" ? (error.cause as Error | undefined) : undefined;
      this.#fail(connection.error ?? cause ?? error, connection.connected && !refused);
      this.#broke();
    });
    stream.on("drain", () => {
      this.#full = false;
      call.upstreamDrained();
    });
    stream.on("wantTrailers", () => {
      stream.sendTrailers(
        objectOf(this.#requestTrailers.map((part, at) => (at % 2 === 0 ? part.toLowerCase() : part))),
      );
    });
    stream.on("headers", (fields: Record<string, unknown>, _flags: number, raw?: string[]) => {
      if (!this.#settled) call.upstreamInformed(Number(fields[":status"]), "", withoutPseudo(raw ?? []));
    });
    stream.on("trailers", (_fields: unknown, _flags: number, raw?: string[]) => {
      this.#trailers = raw ?? none;
    });
    stream.on("response", (headers: Record<string, unknown>, flags: number, raw?: string[]) => {
      if (this.#settled) return;
      this.#settled = true;
      this.#respond(stream, Number(headers[":status"]), withoutPseudo(raw ?? []), (flags & endStreamFlag) !== 0);
    });
    if (!body) return;
    if (connection.connected) queueMicrotask(() => this.#ready());
    else connection.session.once("connect", () => this.#ready());
  }

  #respond(stream: ClientHttp2Stream, status: number, fields: FieldList, headOnly: boolean): void {
    const call = this.#call;
    const bodyless = call.head.method === "HEAD" || status === 204 || status === 304;
    this.#responded = true;
    stream.on("data", (chunk: Buffer) => {
      if (this.#over) return;
      if (!bodyless) call.upstreamBody(chunk, 0, chunk.length, chunk.length);
      call.upstreamPaused();
    });
    stream.on("end", () => {
      if (this.#over) return;
      // It may end without a word after a reset. The code is not set yet when a stream ends well.
      if ((stream.rstCode ?? http2Code.noError) !== http2Code.noError) {
        this.#broke();
        return;
      }
      this.#over = true;
      call.upstreamEnded(bodyless ? none : this.#trailers);
    });
    call.upstreamResponded(status, "", fields, bodyless ? noBody : framingOf(fields, false), headOnly);
    if (!this.#over) call.upstreamPaused();
  }

  /** A response that is not whole stays so. */
  #broke(): void {
    if (!this.#responded || this.#over) return;
    this.#over = true;
    this.#call.upstreamBroke();
  }

  #ready(): void {
    if (!this.#settled) this.#call.upstreamReady();
  }

  #fail(error: Error, reached: boolean): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#call.upstreamFailed(failureText(error, this.#upstream.host, this.#upstream.port), reached, error);
  }
}

function withoutPseudo(raw: readonly string[]): FieldList {
  const out: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) if (!raw[at]!.startsWith(":")) out.push(raw[at]!, raw[at + 1]!);
  return new FieldList(out);
}

function isSessionGone(error: NodeJS.ErrnoException): boolean {
  return (
    error.code === "ERR_HTTP2_INVALID_SESSION" ||
    error.code === "ERR_HTTP2_GOAWAY_SESSION" ||
    error.code === "ERR_HTTP2_OUT_OF_STREAMS"
  );
}
