/** A client that speaks HTTP/2, on node:http2: one stream is one exchange. */
import type { ServerHttp2Stream } from "node:http2";
import type { Duplex, Readable } from "node:stream";
import { HeaderList, type RequestHead } from "../exchange.ts";
import { http2Code } from "./builtins.ts";
import type { ClientEvents, ClientSide } from "./sides.ts";

class Http2RequestHead implements RequestHead {
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
    this.headers = HeaderList.from(fields);
    if (authority !== undefined) {
      this.headers.delete("host");
      this.headers.raw().unshift("host", authority);
    }
  }

  get host(): string {
    return this.headers.get("host") ?? "";
  }

  set host(value: string) {
    this.headers.set("host", value);
  }
}

export class Http2ClientSide implements ClientSide {
  readonly head: RequestHead;
  readonly http2 = true;
  readonly body: Readable | undefined;
  readonly upgrade = undefined;
  readonly #stream: ServerHttp2Stream;
  #trailers: readonly string[] = [];
  #responseTrailers: readonly string[] = [];
  #finished = false;
  /** The whole response was written. */
  #ended = false;

  constructor(stream: ServerHttp2Stream, rawHeaders: readonly string[], endStream: boolean, events: ClientEvents) {
    this.#stream = stream;
    this.head = new Http2RequestHead(rawHeaders);
    this.body = endStream ? undefined : stream;
    stream.on("trailers", (_fields: unknown, _flags: number, raw?: string[]) => {
      this.#trailers = raw ?? [];
    });
    stream.on("wantTrailers", () => {
      stream.sendTrailers(trailersOf(this.#responseTrailers));
    });
    stream.on("close", () => {
      if (this.#finished) return;
      this.#finished = true;
      // RST_STREAM with NO_ERROR after a whole answer is how HTTP/2 refuses the rest of a body.
      if (this.#ended && stream.writableFinished && stream.rstCode === http2Code.noError) events.onFinished();
      else events.onGone();
    });
    stream.on("finish", () => {
      // Node also ends the writing side of a stream that the client resets.
      if (this.#finished || !this.#ended) return;
      this.#finished = true;
      events.onFinished();
      if (!this.requestComplete) stream.close(http2Code.noError);
    });
    stream.on("error", () => {});
  }

  get requestComplete(): boolean {
    return this.body === undefined || this.#stream.readableEnded;
  }

  get requestBroken(): boolean {
    return this.#stream.aborted || this.#stream.rstCode !== http2Code.noError;
  }

  requestTrailers(): readonly string[] {
    return this.#trailers;
  }

  inform(status: number, _reason: string, fields: string[]): void {
    if (!this.#usable() || this.#stream.headersSent) return;
    this.#stream.additionalHeaders(objectOf([":status", String(status), ...fields]));
  }

  respond(status: number, _reason: string, fields: string[], headOnly: boolean): void {
    if (!this.#usable()) return;
    const bodyless = headOnly || this.head.method === "HEAD" || status === 204 || status === 304;
    this.#stream.respond(
      [":status", String(status), ...fields],
      bodyless ? { endStream: true } : { waitForTrailers: true },
    );
  }

  flush(): void {
    // respond() has sent the head.
  }

  write(chunk: Buffer): boolean {
    return !this.#usable() || this.#stream.writableEnded || this.#stream.write(chunk);
  }

  onDrain(listener: () => void): void {
    this.#stream.on("drain", listener);
  }

  finish(body: string | undefined, trailers: readonly string[]): void {
    this.#responseTrailers = trailers;
    this.#ended = true;
    if (!this.#usable() || this.#stream.writableEnded) return;
    if (body === undefined) this.#stream.end();
    else this.#stream.end(body, "utf8");
  }

  takeOver(): { socket: Duplex; head: Buffer } {
    throw new Error("an HTTP/2 stream cannot be upgraded");
  }

  break(): void {
    this.#finished = true;
    // close() would end the stream before it resets it, and the client would take the rest for the whole.
    this.#stream.destroy(new Error("the response was broken off"));
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
