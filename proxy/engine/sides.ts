/** The two halves of an exchange: the client's connection and the call to the upstream, each HTTP/1.1 or HTTP/2. */
import type { Duplex, Readable } from "node:stream";
import type { RequestHead } from "../exchange.ts";

/** What the client sent and where the answer goes. Field lists are flat: name, value, name, value. */
export interface ClientSide {
  readonly head: RequestHead;
  readonly http2: boolean;
  /** Undefined when the request has no body. */
  readonly body: Readable | undefined;
  /** Valid once the body has ended. */
  requestTrailers(): readonly string[];
  /** The whole request, body included, was received. */
  readonly requestComplete: boolean;
  /** The client broke off its request; the body's end is none. */
  readonly requestBroken: boolean;
  /** The token of `Upgrade` when the connection can be handed over. */
  readonly upgrade: string | undefined;
  /** A 1xx answer other than 101. */
  inform(status: number, reason: string, fields: string[]): void;
  /** `headOnly`: neither body nor trailers follow. */
  respond(status: number, reason: string, fields: string[], headOnly: boolean): void;
  /** Sends a head that still waits for its first body bytes. */
  flush(): void;
  /** False: wait for `onDrain`. */
  write(chunk: Buffer): boolean;
  onDrain(listener: () => void): void;
  /** `trailers`: flat. */
  finish(body: string | undefined, trailers: readonly string[]): void;
  /** Sends 101 with `fields` and hands over the connection with what the client sent already. */
  takeOver(fields: string[], reason: string): { socket: Duplex; head: Buffer };
  /** Ends the connection (HTTP/2: the stream) so that the client sees that the response is not whole. */
  break(): void;
}

export interface ClientEvents {
  /** Everything was handed to the system. */
  onFinished: () => void;
  /** The client went before that. */
  onGone: () => void;
}

/** One request on its way to an upstream. */
export interface UpstreamCall {
  /** False: wait for `onDrain`. */
  write(chunk: Buffer): boolean;
  finish(trailers: readonly string[]): void;
  /** The connection (HTTP/2: the stream) is ended; no event follows. */
  abort(): void;
}

export interface UpstreamEvents {
  /** Connected: the body may be sent now. Not called for a request without one. */
  onReady: () => void;
  onDrain: () => void;
  onInform: (status: number, reason: string, fields: readonly string[]) => void;
  onResponse: (response: UpstreamResponse) => void;
  onUpgrade: (reason: string, fields: readonly string[], socket: Duplex, head: Buffer) => void;
  /** Before a response. `reached`: something of the request may have been seen. */
  onFailure: (message: string, reached: boolean, cause: Error) => void;
}

export interface UpstreamResponse {
  status: number;
  reason: string;
  fields: readonly string[];
  body: Readable;
  /** HTTP/2 ended the stream with the head. A gRPC client takes the head for trailers then, so it must stay so. */
  headOnly: boolean;
  /** Once `body` has ended: it was not cut off. A stream of node:http2 may end without a word after a reset. */
  whole: () => boolean;
  /** Valid once `body` has ended. */
  trailers: () => readonly string[];
}

export interface CallOptions {
  host: string;
  port: number;
  method: string;
  target: string;
  authority: string;
  fields: string[];
  body: boolean;
}

/** Pairs out of a flat list. */
export function pairs(fields: readonly string[]): [string, string][] {
  const out: [string, string][] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) out.push([fields[at]!, fields[at + 1]!]);
  return out;
}

/** Go's words for a failed call, which Knative's users know from its 502 bodies (data-plane 1.17). */
export function failureText(error: NodeJS.ErrnoException, host: string, port: number): string {
  const to = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  if (error.code === "ECONNRESET")
    return error.message === "socket hang up" ? "EOF" : `read tcp ${to}: read: connection reset by peer`;
  if (error.code?.startsWith("HPE_") === true)
    return `net/http: HTTP/1.x transport connection broken: malformed HTTP response (${error.message})`;
  const words = systemErrors.get(error.code ?? "");
  return words === undefined ? error.message : `${words.operation} tcp ${to}: ${words.reason}`;
}

const systemErrors = new Map([
  ["ECONNREFUSED", { operation: "dial", reason: "connect: connection refused" }],
  ["ETIMEDOUT", { operation: "dial", reason: "i/o timeout" }],
  ["EHOSTUNREACH", { operation: "dial", reason: "connect: no route to host" }],
  ["ENETUNREACH", { operation: "dial", reason: "connect: network is unreachable" }],
  ["EPIPE", { operation: "write", reason: "write: broken pipe" }],
]);
