/** A client that speaks HTTP/2, on node:http2: one stream is one exchange. */
import type { ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { FieldList } from "../headers.ts";
import type { HeaderList, RequestHead } from "../exchange.ts";
import { responseFields } from "../hop-by-hop.ts";
import { noBody, untilClose, type Framing } from "../http1/framing.ts";
import { http2Code } from "./builtins.ts";
import { isLent } from "./read-buffer.ts";
import { none, type ClientEvents, type ClientSide } from "./sides.ts";

/** How long the rest of a request is still read and dropped after its answer. */
const lingerMs = 1000;

export class Http2RequestHead implements RequestHead {
  readonly method: string;
  target: string;
  readonly httpVersion = "2.0";
  readonly headers: HeaderList;

  constructor(rawHeaders: readonly string[]) {
    let method = "GET";
    let target = "/";
    let authority: string | undefined;
    const fields: string[] = [];
    const cookies: string[] = [];
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const name = rawHeaders[at]!;
      const value = rawHeaders[at + 1]!;
      if (name === ":method") method = value;
      else if (name === ":path") target = value;
      else if (name === ":authority") authority = value;
      // HTTP/2 may split the field (RFC 9113 8.2.3); towards HTTP/1.1 it must be one.
      else if (name === "cookie") cookies.push(value);
      else if (!name.startsWith(":")) fields.push(name, value);
    }
    if (cookies.length > 0) fields.push("cookie", cookies.join("; "));
    this.method = method;
    this.target = target;
    this.headers = new FieldList(fields);
    if (authority !== undefined) {
      this.headers.delete("host");
      fields.unshift("host", authority);
    }
  }

  get host(): string {
    return this.headers.get("host") ?? "";
  }

  set host(value: string) {
    this.headers.set("host", value);
  }
}

/** What a body of HTTP/2 is to others: nghttp2 has seen to it that a length that is announced is kept. */
export function framingOf(fields: HeaderList, endStream: boolean): Framing {
  if (endStream) return noBody;
  const length = fields.get("content-length");
  if (length === undefined || !/^\d{1,15}$/.test(length)) return untilClose;
  return { is: "length", bytes: Number(length) };
}

export class Http2ClientSide implements ClientSide {
  readonly http2 = true;
  readonly takesChunks = false;
  readonly #stream: ServerHttp2Stream;
  readonly #method: string;
  /** The request has a body. */
  readonly #bodied: boolean;
  #exchange: ClientEvents | undefined;
  #trailers: readonly string[] = none;
  #responseTrailers: readonly string[] = none;
  #finished = false;
  #full = false;
  /** The whole response was written. */
  #ended = false;

  constructor(stream: ServerHttp2Stream, method: string, endStream: boolean) {
    this.#stream = stream;
    this.#method = method;
    this.#bodied = !endStream;
  }

  /** Before anything is asked of it. */
  attach(exchange: ClientEvents): void {
    this.#exchange = exchange;
    const stream = this.#stream;
    stream.on("trailers", (_fields: unknown, _flags: number, raw?: string[]) => {
      this.#trailers = raw ?? none;
    });
    stream.on("wantTrailers", () => {
      stream.sendTrailers(trailersOf(this.#responseTrailers));
    });
    stream.on("drain", () => {
      this.#full = false;
      exchange.clientDrained();
    });
    stream.on("close", () => {
      if (this.#finished) return;
      this.#finished = true;
      // RST_STREAM with NO_ERROR after a whole answer is how HTTP/2 refuses the rest of a body.
      if (this.#ended && stream.writableFinished && stream.rstCode === http2Code.noError) exchange.clientFinished();
      else exchange.clientLeft();
    });
    stream.on("finish", () => {
      // Node also ends the writing side of a stream that the client resets.
      if (this.#finished || !this.#ended) return;
      this.#finished = true;
      exchange.clientFinished();
      this.#refuseRest();
    });
    stream.on("error", () => {});
  }

  get requestComplete(): boolean {
    return !this.#bodied || this.#stream.readableEnded;
  }

  readBody(): void {
    const stream = this.#stream;
    const exchange = this.#exchange!;
    stream.on("data", (chunk: Buffer) => {
      exchange.requestBody(chunk, 0, chunk.length, chunk.length);
      exchange.requestPaused();
    });
    stream.on("end", () => {
      // Half a request must not look like a whole one; `close` follows.
      if (!stream.aborted && stream.rstCode === http2Code.noError) exchange.requestEnded(this.#trailers);
    });
    exchange.requestPaused();
  }

  hold(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  dropBody(): void {
    this.#stream.resume();
  }

  inform(status: number, _reason: string, fields: HeaderList): void {
    if (!this.#usable() || this.#stream.headersSent) return;
    const list = responseFields(fields, { http2: true, trailer: false });
    this.#stream.additionalHeaders(objectOf([":status", String(status), ...list]));
  }

  respond(status: number, _reason: string, fields: HeaderList, body: Framing, headOnly: boolean): void {
    const bodyless = headOnly || body.is === "none";
    this.#respond(
      status,
      responseFields(fields, { http2: true, trailer: !bodyless && body.is !== "length" }),
      bodyless,
    );
  }

  reply(status: number, fields: readonly string[], body: string): void {
    const length = Buffer.byteLength(body);
    const list = fields.map((part, at) => (at % 2 === 0 ? part.toLowerCase() : part));
    this.#respond(status, [...list, "content-length", String(length)], length === 0 || this.#method === "HEAD");
    this.#ended = true;
    if (this.#usable() && !this.#stream.writableEnded) this.#stream.end(body, "utf8");
  }

  write(chunk: Buffer, start: number, end: number): void {
    if (!this.#usable() || this.#stream.writableEnded) return;
    const view = chunk.subarray(start, end);
    if (!this.#stream.write(isLent(chunk) ? Buffer.from(view) : view)) this.#full = true;
  }

  flush(): boolean {
    return !this.#full || !this.#usable();
  }

  finish(trailers: readonly string[]): void {
    this.#responseTrailers = trailers;
    this.#ended = true;
    if (this.#usable() && !this.#stream.writableEnded) this.#stream.end();
  }

  takeOver(): { socket: Duplex; head: Buffer } {
    throw new Error("an HTTP/2 stream cannot be upgraded");
  }

  break(): void {
    this.#finished = true;
    // close() would end the stream before it resets it, and the client would take the rest for the whole.
    this.#stream.destroy(new Error("the response was broken off"));
  }

  #respond(status: number, fields: string[], bodyless: boolean): void {
    if (!this.#usable()) return;
    this.#stream.respond(
      [":status", String(status), ...fields],
      bodyless ? { endStream: true } : { waitForTrailers: true },
    );
  }

  /**
   * After a whole answer nobody wants the rest of the request (RFC 9113 8.1). Most often it is no more than its end,
   * which is on its way. A reset at once would overtake the trailers: nghttp2 sends it before all else.
   */
  #refuseRest(): void {
    if (this.requestComplete) return;
    const stream = this.#stream;
    stream.resume();
    const timer = setTimeout(() => stream.close(http2Code.noError), lingerMs).unref();
    stream.once("close", () => clearTimeout(timer));
  }

  #usable(): boolean {
    return !this.#stream.destroyed && !this.#stream.closed;
  }
}

function trailersOf(fields: readonly string[]): Record<string, string | string[]> {
  return objectOf(fields.map((part, at) => (at % 2 === 0 ? part.toLowerCase() : part)));
}

/** For the calls of node:http2 that take no flat list. */
export function objectOf(fields: readonly string[]): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {};
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at]!;
    const before = out[name];
    const value = fields[at + 1]!;
    out[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return out;
}
