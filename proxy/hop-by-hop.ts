/** Which fields travel end to end (RFC 9110 7.6.1), and what a proxy adds on the way (data-plane 1.8). */
import type { RequestHead } from "./exchange.ts";
import type { HeaderList } from "./headers.ts";
import { parseConnection } from "./http1/connection-options.ts";
import { hopByHop as hopByHopKinds, kind, framingKinds, kindOfName } from "./http1/field-kind.ts";
import type { Framing } from "./http1/framing.ts";
import { HeadFields } from "./http1/head-fields.ts";
import { HeadWriter } from "./http1/head-writer.ts";
import { consistsOf, isToken, targetOctet } from "./http1/octets.ts";

/** RFC 9112 6.3 for a request whose framing the parser has accepted. */
export function hasBody(headers: HeaderList): boolean {
  if (headers.has("transfer-encoding")) return true;
  const length = headers.get("content-length");
  return length !== undefined && !/^0*$/.test(length.trim());
}

/** Sent without a body, these announce `Content-Length: 0`: servers wait for a length otherwise. */
const bodyExpected = (method: string): boolean => method === "POST" || method === "PUT" || method === "PATCH";
const acceptsTrailers = /(?:^|,)\s*trailers\s*(?:[;,]|$)/i;

/** What the Connection fields name must not take these with it. */
const notNamed = kind.host | framingKinds | kind.xForwardedFor;

export interface RequestOptions {
  /** Of the TCP peer: appended to X-Forwarded-For, as both proxies of Knative do. */
  peerAddress: string;
  /** How the body goes out: `until-close` is a body of unknown length that the sender puts into chunks. */
  body: Framing;
  upgrade: string | undefined;
  /** Where there is no Host. */
  fallbackHost: string;
}

/** The head of the request towards an HTTP/1.1 upstream. Throws TypeError on what cannot be sent. */
export function requestText(head: RequestHead, options: RequestOptions): string {
  const { headers } = head;
  if (!(headers instanceof HeadFields))
    return HeadWriter.request(head.method, head.target)
      .list(requestFields(head, { ...options, protocol: "http1" }))
      .end();
  const { body, upgrade } = options;
  const kinds = headers.kinds();
  let without = hopByHopKinds | kind.xForwardedFor;
  const before = (kinds & kind.xForwardedFor) === 0 ? "" : headers.joined(kind.xForwardedFor)!;
  let tail = `X-Forwarded-For: ${before === "" ? "" : `${before}, `}${options.peerAddress}\r\n`;
  if ((kinds & kind.te) !== 0 && acceptsTrailers.test(headers.joined(kind.te)!)) tail += "TE: trailers\r\n";
  if (body.is === "chunked" || body.is === "until-close") {
    tail += "Transfer-Encoding: chunked\r\n";
    if ((kinds & kind.trailer) !== 0) tail += `Trailer: ${headers.joined(kind.trailer)}\r\n`;
    without |= kind.contentLength;
  } else if (body.is !== "length") {
    without |= kind.contentLength;
    if (bodyExpected(head.method)) tail += "Content-Length: 0\r\n";
  } else if (!isCanonicalLength(headers, kinds)) {
    without |= kind.contentLength;
    tail += `Content-Length: ${body.bytes}\r\n`;
  }
  if ((kinds & kind.host) === 0) tail += `Host: ${options.fallbackHost}\r\n`;
  if (upgrade !== undefined) tail += `Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  if ((kinds & kind.connection) !== 0) deleteNamed(headers);
  return `${startLine(head)}${headers.lines(without)}${tail}\r\n`;
}

/** Layers may have changed the target. */
function startLine({ method, target }: RequestHead): string {
  if (!isToken(method) || target === "" || !consistsOf(targetOctet, target)) HeadWriter.request(method, target);
  return `${method} ${target} HTTP/1.1\r\n`;
}

function deleteNamed(headers: HeadFields): void {
  const options = parseConnection(headers.joined(kind.connection)!);
  if (options === undefined) return;
  for (const name of options.names) if ((kindOfName(name) & notNamed) === 0) headers.delete(name);
}

/** One field, without a leading zero: it can stay where it is. */
function isCanonicalLength(headers: HeadFields, kinds: number): boolean {
  if ((kinds & kind.contentLength) === 0 || headers.count(kind.contentLength) !== 1) return false;
  const value = headers.joined(kind.contentLength)!;
  return (value.length === 1 || value.charCodeAt(0) !== 0x30) && !value.includes(",");
}

/** The fields of the request towards the upstream, flat. */
export function requestFields(head: RequestHead, options: RequestOptions & { protocol: "http1" | "h2c" }): string[] {
  const raw = head.headers.raw();
  const http2 = options.protocol === "h2c";
  const { body } = options;
  const bodied = body.is !== "none";
  const named = connectionTokens(head.headers.all("connection"));
  const out: string[] = [];
  let forwardedFor = "";
  let sized = false;
  let trailers = false;
  let trailer = "";
  let host = false;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!;
    const value = raw[at + 1]!;
    const lower = name.toLowerCase();
    const kinds = kindOfName(lower);
    if ((kinds & hopByHopKinds) !== 0) {
      if (kinds === kind.te && acceptsTrailers.test(value)) trailers = true;
      if (kinds === kind.trailer) trailer = value;
      continue;
    }
    if (kinds === kind.xForwardedFor) {
      forwardedFor = forwardedFor === "" ? value : `${forwardedFor}, ${value}`;
      continue;
    }
    if ((kinds & notNamed) === 0 && named.has(lower)) continue;
    if (kinds === kind.host) {
      if (http2 || host) continue;
      host = true;
    } else if (kinds === kind.contentLength) {
      // Repeated equal lengths pass the parser; one is enough for the next hop.
      if (body.is !== "length" || sized) continue;
      sized = true;
      out.push(http2 ? lower : name, String(body.bytes));
      continue;
    }
    out.push(http2 ? lower : name, value);
  }
  if (!http2 && !host) out.push("Host", options.fallbackHost);
  out.push(
    http2 ? "x-forwarded-for" : "X-Forwarded-For",
    forwardedFor === "" ? options.peerAddress : `${forwardedFor}, ${options.peerAddress}`,
  );
  if (trailers) out.push(http2 ? "te" : "TE", "trailers");
  if (bodied && !sized && !http2) out.push("Transfer-Encoding", "chunked");
  if (trailer !== "" && bodied && (http2 || !sized)) out.push(http2 ? "trailer" : "Trailer", trailer);
  if (!bodied && bodyExpected(head.method)) out.push(http2 ? "content-length" : "Content-Length", "0");
  if (options.upgrade !== undefined) out.push("Connection", "Upgrade", "Upgrade", options.upgrade);
  return out;
}

/** How a response goes to a client of HTTP/1.x. */
export interface ResponseOptions {
  /** As for requests; for a client of HTTP/1.0 `until-close` is what it says. */
  body: Framing;
  /** Chunks of ours or of the upstream. */
  chunked: boolean;
  /** Ours to say: `close`, or `keep-alive` to HTTP/1.0. */
  connection: string;
  /** A whole line, put in where the response has no Date. */
  dateLine: string;
}

/** The head of a response towards a client of HTTP/1.x. */
export function responseText(status: number, reason: string, headers: HeaderList, options: ResponseOptions): string {
  const { body, chunked } = options;
  let tail = headers.has("date") ? "" : options.dateLine;
  if (options.connection !== "") tail += `Connection: ${options.connection}\r\n`;
  if (chunked) tail += "Transfer-Encoding: chunked\r\n";
  if (!(headers instanceof HeadFields)) {
    const fields = responseFields(headers, { http2: false, trailer: chunked });
    return `${HeadWriter.response(status, reason).list(fields).end().slice(0, -2)}${tail}\r\n`;
  }
  const kinds = headers.kinds();
  let without = hopByHopKinds;
  if (chunked && (kinds & kind.trailer) !== 0) without &= ~kind.trailer;
  // HTTP 204 has no length (RFC 9110 8.6); a HEAD's and a 304's stay as they are.
  if (status === 204) without |= kind.contentLength;
  else if (body.is === "length" && !isCanonicalLength(headers, kinds)) {
    without |= kind.contentLength;
    tail += `Content-Length: ${body.bytes}\r\n`;
  }
  if ((kinds & kind.connection) !== 0) deleteNamed(headers);
  return `HTTP/1.1 ${status} ${reason}\r\n${headers.lines(without)}${tail}\r\n`;
}

/** The fields of a response towards the client, flat. `trailer`: the announcement may stay (trailers can follow). */
export function responseFields(headers: HeaderList, options: { http2: boolean; trailer: boolean }): string[] {
  const raw = headers.raw();
  let named: Set<string> | undefined;
  for (let at = 0; at < raw.length; at += 2)
    if (kindOfName(raw[at]!) === kind.connection) named = connectionTokens([raw[at + 1]!], named);
  const out: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!;
    const lower = name.toLowerCase();
    const kinds = kindOfName(lower);
    if ((kinds & hopByHopKinds) !== 0 && !(kinds === kind.trailer && options.trailer)) continue;
    if ((kinds & notNamed) === 0 && named?.has(lower) === true) continue;
    out.push(options.http2 ? lower : name, raw[at + 1]!);
  }
  return out;
}

/** Lower-case names that the Connection fields list. */
function connectionTokens(values: readonly string[], into = new Set<string>()): Set<string> {
  for (const value of values) for (const token of value.split(",")) into.add(token.trim().toLowerCase());
  return into;
}
