/** A client that speaks HTTP/1.x, on node:http. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex, Readable } from "node:stream";
import { HeaderList, type RequestHead } from "../exchange.ts";
import { hasBody, upgradeToken } from "../hop-by-hop.ts";
import { http } from "./builtins.ts";
import { pairs, type ClientEvents, type ClientSide } from "./sides.ts";

/** What an unread request body may cost after our answer before the connection is given up instead (bytes). */
const discardLimitBytes = 256 * 1024;
/** How long the rest of a request is still read and dropped, so that the answer is not lost to a reset. */
const lingerMs = 1000;

class Http1RequestHead implements RequestHead {
  readonly method: string;
  target: string;
  readonly httpVersion: "1.0" | "1.1";
  readonly headers: HeaderList;

  constructor(request: IncomingMessage) {
    this.method = request.method ?? "GET";
    this.target = request.url ?? "/";
    this.httpVersion = request.httpVersionMinor === 0 ? "1.0" : "1.1";
    this.headers = HeaderList.from(request.rawHeaders);
  }

  get host(): string {
    return this.headers.get("host") ?? "";
  }

  set host(value: string) {
    this.headers.set("Host", value);
  }
}

export class Http1ClientSide implements ClientSide {
  readonly head: RequestHead;
  readonly http2 = false;
  readonly body: Readable | undefined;
  readonly upgrade: string | undefined;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #socket: Socket;
  /** Received behind the head of an upgrade request. */
  readonly #early: Buffer;
  readonly #closing: () => boolean;
  #headSent = false;
  /** The response has a Content-Length. */
  #sized = false;
  #finished = false;
  #continued = false;
  /** The connection is closed after the answer, with a part of the request still to come. */
  #lingering = false;

  /** `early` is given with node's `upgrade` event, whose response is made here. `closing`: no further request wanted. */
  constructor(
    request: IncomingMessage,
    response: ServerResponse | undefined,
    early: Buffer | undefined,
    events: ClientEvents,
    closing: () => boolean,
  ) {
    this.#request = request;
    this.#socket = request.socket;
    this.#early = early ?? Buffer.alloc(0);
    this.#closing = closing;
    this.head = new Http1RequestHead(request);
    if (early !== undefined) this.upgrade = upgradeToken(this.head.method, this.head.headers);
    this.body = hasBody(this.head.headers) ? request : undefined;
    this.#response = response ?? detachedResponse(request, this.#socket);
    this.#response.on("finish", () => {
      if (this.#finished) return;
      this.#finished = true;
      this.#linger();
      events.onFinished();
    });
    this.#response.on("close", () => {
      if (this.#finished) return;
      this.#finished = true;
      events.onGone();
    });
    // An error of either stream is followed by its close.
    this.#response.on("error", () => {});
    request.on("error", () => {});
  }

  get requestComplete(): boolean {
    return this.body === undefined || this.#request.complete;
  }

  get requestBroken(): boolean {
    return this.#request.destroyed && !this.#request.complete;
  }

  requestTrailers(): readonly string[] {
    return this.#request.rawTrailers;
  }

  inform(status: number, reason: string, fields: string[]): void {
    // HTTP/1.0 knows no interim answers; a pipelined request that is not yet first in line has no socket.
    const socket = this.#response.socket;
    if (this.head.httpVersion === "1.0" || socket === null || this.#headSent) return;
    if (status === 100) this.#continued = true;
    socket.write(headText(status, reason, fields), "latin1");
  }

  respond(status: number, reason: string, fields: string[]): void {
    const response = this.#response;
    if (this.#closing()) response.shouldKeepAlive = false;
    if (!this.requestComplete && !this.#discardable()) {
      response.shouldKeepAlive = false;
      this.#lingering = true;
      // What node:http calls once the answer is out. Closing with unread bytes would reset the connection and may take
      // the answer with it: only our side is ended, see #linger.
      this.#socket.destroySoon = () => this.#socket.end();
    }
    this.#headSent = true;
    this.#sized = fields.some(
      (name, at) => at % 2 === 0 && name.length === 14 && name.toLowerCase() === "content-length",
    );
    if (reason === "") response.writeHead(status, fields);
    else response.writeHead(status, reason, fields);
  }

  flush(): void {
    if (!this.#finished && !this.#response.writableEnded) this.#response.flushHeaders();
  }

  write(chunk: Buffer): boolean {
    return this.#response.write(chunk);
  }

  onDrain(listener: () => void): void {
    this.#response.on("drain", listener);
  }

  finish(body: string | undefined, trailers: readonly string[]): void {
    if (trailers.length > 0 && this.#response.chunkedEncoding) this.#response.addTrailers(pairs(trailers));
    if (body === undefined) this.#response.end();
    else this.#response.end(body, "utf8");
  }

  takeOver(fields: string[], reason: string): { socket: Duplex; head: Buffer } {
    this.#finished = true;
    this.#response.detachSocket(this.#socket);
    this.#socket.write(headText(101, reason === "" ? "Switching Protocols" : reason, fields), "latin1");
    return { socket: this.#socket, head: this.#early };
  }

  break(): void {
    this.#finished = true;
    // An end alone would pass for the end of a body without length or chunks.
    const delimitedByClose = this.#headSent && !this.#sized && !this.#response.chunkedEncoding;
    if (delimitedByClose && typeof this.#socket.resetAndDestroy === "function") this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** The rest of the body is small enough to be read and dropped, which keeps the connection. */
  #discardable(): boolean {
    // Without our 100 nobody knows whether a body or the next request comes.
    if (!this.#continued && this.head.headers.has("expect")) return false;
    const length = this.head.headers.get("content-length");
    return length !== undefined && Number(length) <= discardLimitBytes;
  }

  #linger(): void {
    if (!this.#lingering) return;
    const socket = this.#socket;
    this.#request.resume();
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    timer.unref();
    socket.once("close", () => clearTimeout(timer));
  }
}

/** After node's `upgrade` event a connection has no response object; a refusal by the app still needs one. */
function detachedResponse(request: IncomingMessage, socket: Socket): ServerResponse {
  const response = new http.ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.on("finish", () => {
    response.detachSocket(socket);
    socket.end();
  });
  // The http server no longer reads this socket, so nothing else sees the client go.
  socket.on("close", () => response.destroy());
  socket.on("error", () => socket.destroy());
  return response;
}

/** Start line and fields; every value came through a parser that refuses line breaks. */
export function headText(status: number, reason: string, fields: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let at = 0; at + 1 < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`;
  return `${text}\r\n`;
}
