/** Calls to an upstream that speaks HTTP/2 without TLS and without asking first, on node:http2. */
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { http2, http2Code } from "./builtins.ts";
import { failureText, type CallOptions, type UpstreamCall, type UpstreamEvents } from "./sides.ts";
import { objectOf } from "./http2-client-side.ts";

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
  call(options: CallOptions, events: UpstreamEvents): UpstreamCall;
  close(): void;
}

export function createH2cPool(): H2cPool {
  const byAddress = new Map<string, Set<Connection>>();

  const open = (host: string, port: number): Connection => {
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    let connections = byAddress.get(address);
    if (connections === undefined) byAddress.set(address, (connections = new Set()));
    for (const connection of connections) if (connection.streams < connection.limit) return connection;

    const session = http2().connect(`http://${address}`, {
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
      if (among.size === 0 && byAddress.get(address) === among) byAddress.delete(address);
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
    call: (options, events) => new H2cCall(open, options, events),
    close() {
      for (const connections of byAddress.values()) for (const { session } of connections) session.destroy();
      byAddress.clear();
    },
  };
}

class H2cCall implements UpstreamCall {
  readonly #options: CallOptions;
  readonly #events: UpstreamEvents;
  #stream: ClientHttp2Stream | undefined;
  #trailers: readonly string[] = [];
  #requestTrailers: readonly string[] = [];
  #settled = false;

  constructor(open: (host: string, port: number) => Connection, options: CallOptions, events: UpstreamEvents) {
    this.#options = options;
    this.#events = events;
    let error: Error | undefined;
    // A session that is just closing refuses new streams; the next one is new.
    for (let attempt = 0; attempt < 3 && this.#stream === undefined; attempt += 1) {
      const connection = open(options.host, options.port);
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

  write(chunk: Buffer): boolean {
    const stream = this.#stream!;
    return stream.destroyed || stream.writableEnded || stream.write(chunk);
  }

  finish(trailers: readonly string[]): void {
    this.#requestTrailers = trailers;
    if (!this.#stream!.destroyed) this.#stream!.end();
  }

  abort(): void {
    this.#settled = true;
    this.#stream?.close(http2Code.cancel);
  }

  #start(connection: Connection): void {
    const { method, target, authority, fields, body } = this.#options;
    const stream = connection.session.request(
      [":method", method, ":scheme", "http", ":authority", authority, ":path", target, ...fields],
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
    });
    stream.on("error", (error: NodeJS.ErrnoException) => {
      const refused = stream.rstCode === http2Code.refusedStream;
      this.#fail(connection.error ?? error, connection.connected && !refused);
    });
    stream.on("drain", this.#events.onDrain);
    stream.on("wantTrailers", () => {
      stream.sendTrailers(
        objectOf(this.#requestTrailers.map((part, at) => (at % 2 === 0 ? part.toLowerCase() : part))),
      );
    });
    stream.on("headers", (fields: Record<string, unknown>, _flags: number, raw?: string[]) => {
      if (!this.#settled) this.#events.onInform(Number(fields[":status"]), "", withoutPseudo(raw ?? []));
    });
    stream.on("trailers", (_fields: unknown, _flags: number, raw?: string[]) => {
      this.#trailers = raw ?? [];
    });
    stream.on("response", (headers: Record<string, unknown>, flags: number, raw?: string[]) => {
      if (this.#settled) return;
      this.#settled = true;
      this.#events.onResponse({
        status: Number(headers[":status"]),
        reason: "",
        fields: withoutPseudo(raw ?? []),
        body: stream,
        headOnly: (flags & endStreamFlag) !== 0,
        // Not set yet when a stream ends well.
        whole: () => (stream.rstCode ?? http2Code.noError) === http2Code.noError,
        trailers: () => this.#trailers,
      });
    });
    if (!body) return;
    if (connection.connected) queueMicrotask(() => this.#ready());
    else connection.session.once("connect", () => this.#ready());
  }

  #ready(): void {
    if (!this.#settled) this.#events.onReady();
  }

  #fail(error: Error, reached: boolean): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#events.onFailure(failureText(error, this.#options.host, this.#options.port), reached, error);
  }
}

function withoutPseudo(raw: readonly string[]): string[] {
  const out: string[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) if (!raw[at]!.startsWith(":")) out.push(raw[at]!, raw[at + 1]!);
  return out;
}

function isSessionGone(error: NodeJS.ErrnoException): boolean {
  return (
    error.code === "ERR_HTTP2_INVALID_SESSION" ||
    error.code === "ERR_HTTP2_GOAWAY_SESSION" ||
    error.code === "ERR_HTTP2_OUT_OF_STREAMS"
  );
}
