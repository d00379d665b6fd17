/**
 * The two halves of an exchange: the client's connection and the call to the upstream, each HTTP/1.x or HTTP/2. Bodies
 * are pushed: a source tells the exchange what came, and after each read that it has told all of it; the exchange then
 * holds the source back if the other side is full.
 */
import type { Duplex } from "node:stream";
import type { HeaderList, RequestHead, Upstream } from "../exchange.ts";
import type { Framing } from "../http1/framing.ts";
import type { Refusal } from "../http1/refusal.ts";

/** What the client sent and where the answer goes. Speaks for one exchange at a time. */
export interface ClientSide {
  readonly http2: boolean;
  /** Chunks with their framing and trailers can be passed on as they came. */
  readonly takesChunks: boolean;
  /** The whole request, body included, was received. */
  readonly requestComplete: boolean;
  /** The body is wanted from now on; `asContent`: without the framing of chunks. */
  readBody(asContent: boolean): void;
  hold(): void;
  resume(): void;
  /** Nobody wants the rest of the body. */
  dropBody(): void;
  /** A 1xx answer other than 101. */
  inform(status: number, reason: string, fields: HeaderList): void;
  /**
   * The head is sent with what follows it or at the next `flush`. `body`: `none` where a response has none,
   * `until-close` where its length is not known. `headOnly`: neither body nor trailers follow.
   */
  respond(status: number, reason: string, fields: HeaderList, body: Framing, headOnly: boolean): void;
  /** A response of our own. Throws TypeError on fields that cannot be sent. */
  reply(status: number, fields: readonly string[], body: string): void;
  /** `chunk[start, end)`, which is the caller's again when this returns. */
  write(chunk: Buffer, start: number, end: number): void;
  /** False: it is full, `clientDrained` follows. */
  flush(): boolean;
  /** `trailers`: flat. */
  finish(trailers: readonly string[]): void;
  /** Sends 101 and hands over the connection with what the client sent already. */
  takeOver(reason: string, protocol: string, fields: HeaderList): { socket: Duplex; head: Buffer };
  /** Ends the connection (HTTP/2: the stream) so that the client sees that the response is not whole. */
  break(): void;
}

/** The exchange, as the client's side knows it. */
export interface ClientEvents {
  /** `contentBytes`: how many of them are content and not framing. */
  requestBody(chunk: Buffer, start: number, end: number, contentBytes: number): void;
  requestPaused(): void;
  requestEnded(trailers: readonly string[]): void;
  /** The rest of the request is malformed or will never come, but an answer may still be read. */
  requestBroken(refusal: Refusal): void;
  clientDrained(): void;
  /** The whole response was handed to the system. */
  clientFinished(): void;
  /** The client went before that. */
  clientLeft(): void;
}

/** One request on its way to an upstream. */
export interface UpstreamCall {
  /** Connected: the body may be sent. If not, `upstreamReady` follows. */
  readonly ready: boolean;
  write(chunk: Buffer, start: number, end: number): void;
  /** False: it is full, `upstreamDrained` follows. */
  flush(): boolean;
  finish(trailers: readonly string[]): void;
  /** Of the response. */
  hold(): void;
  resume(): void;
  /** The connection (HTTP/2: the stream) is ended; no event follows. */
  abort(): void;
}

/** The exchange, as the upstream's side knows it. */
export interface OutgoingCall {
  readonly head: RequestHead;
  readonly peerAddress: string;
  /** As the client sends it. */
  readonly body: Framing;
  /** The token of an Upgrade that can be granted. */
  readonly upgrade: string | undefined;
  /** The response's body is wanted without the framing of chunks. */
  readonly wantsContent: boolean;
  upstreamReady(): void;
  upstreamDrained(): void;
  /** Another connection serves the call from here on; nothing of the first one's was told. */
  upstreamMoved(call: UpstreamCall): void;
  upstreamInformed(status: number, reason: string, fields: HeaderList): void;
  upstreamResponded(status: number, reason: string, fields: HeaderList, body: Framing, headOnly: boolean): void;
  upstreamBody(chunk: Buffer, start: number, end: number, contentBytes: number): void;
  upstreamPaused(): void;
  /** The response is whole. */
  upstreamEnded(trailers: readonly string[]): void;
  /** The response broke off. */
  upstreamBroke(): void;
  upstreamUpgraded(reason: string, protocol: string, fields: HeaderList, socket: Duplex, head: Buffer): void;
  /** Before a response. `reached`: something of the request may have been seen. */
  upstreamFailed(message: string, reached: boolean, cause: Error): void;
}

export type StartCall = (call: OutgoingCall, upstream: Upstream) => UpstreamCall;

export const none: readonly string[] = [];

export function addressText(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Go's words for a failed call, which Knative's users know from its 502 bodies (data-plane 1.17). */
export function failureText(error: NodeJS.ErrnoException, host: string, port: number): string {
  const to = addressText(host, port);
  if (error.code === "ECONNRESET")
    return error.message === "socket hang up" ? "EOF" : `read tcp ${to}: read: connection reset by peer`;
  const words = systemErrors.get(error.code ?? "");
  return words === undefined ? error.message : `${words.operation} tcp ${to}: ${words.reason}`;
}

export function hangUp(): Error {
  return Object.assign(new Error("socket hang up"), { code: "ECONNRESET" });
}

const systemErrors = new Map([
  ["ECONNREFUSED", { operation: "dial", reason: "connect: connection refused" }],
  ["ETIMEDOUT", { operation: "dial", reason: "i/o timeout" }],
  ["EHOSTUNREACH", { operation: "dial", reason: "connect: no route to host" }],
  ["ENETUNREACH", { operation: "dial", reason: "connect: network is unreachable" }],
  ["EPIPE", { operation: "write", reason: "write: broken pipe" }],
]);
