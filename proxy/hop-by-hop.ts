/** Which fields travel end to end (RFC 9110 7.6.1), and what a proxy adds on the way (data-plane 1.8). */
import type { RequestHead } from "./exchange.ts";
import type { HeaderList } from "./headers.ts";

/** Never passed on as they came; some are rebuilt. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** The protocol a request asks to switch to, when it is one that is spliced: not HTTP/2, and without a body. */
export function upgradeToken(method: string, headers: HeaderList): string | undefined {
  if (!headers.has("upgrade") || method !== "GET") return undefined;
  if (!connectionTokens(headers.all("connection")).has("upgrade")) return undefined;
  const token = headers.get("upgrade")!.trim();
  if (token === "" || token.toLowerCase() === "h2c" || hasBody(headers)) return undefined;
  return token;
}

/** RFC 9112 6.3 for a request whose framing the parser has accepted. */
export function hasBody(headers: HeaderList): boolean {
  if (headers.has("transfer-encoding")) return true;
  const length = headers.get("content-length");
  return length !== undefined && length.trim() !== "0";
}

/** Sent without a body, these announce `Content-Length: 0`: servers wait for a length otherwise. */
const bodyExpected = new Set(["POST", "PUT", "PATCH"]);

/**
 * The fields of the request towards the upstream, flat. `body`: the client sends one. The peer's address is appended
 * to X-Forwarded-For, as both proxies of Knative do.
 */
export function requestFields(
  head: RequestHead,
  peerAddress: string,
  options: { body: boolean; upgrade: string | undefined; protocol: "http1" | "h2c"; fallbackHost: string },
): string[] {
  const raw = head.headers.raw();
  const http2 = options.protocol === "h2c";
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
    if (hopByHop.has(lower)) {
      if (lower === "te" && /(?:^|,)\s*trailers\s*(?:[;,]|$)/i.test(value)) trailers = true;
      if (lower === "trailer") trailer = value;
      continue;
    }
    if (lower === "x-forwarded-for") {
      forwardedFor = forwardedFor === "" ? value : `${forwardedFor}, ${value}`;
      continue;
    }
    if (named.has(lower) && lower !== "host" && lower !== "content-length") continue;
    if (lower === "host") {
      if (http2 || host) continue;
      host = true;
    } else if (lower === "content-length") {
      // Repeated equal lengths pass the parser; one is enough for the next hop.
      if (!options.body || sized) continue;
      sized = true;
    }
    out.push(http2 ? lower : name, value);
  }
  if (!http2 && !host) out.push("Host", options.fallbackHost);
  out.push(
    http2 ? "x-forwarded-for" : "X-Forwarded-For",
    forwardedFor === "" ? peerAddress : `${forwardedFor}, ${peerAddress}`,
  );
  if (trailers) out.push(http2 ? "te" : "TE", "trailers");
  if (options.body && !sized && !http2) out.push("Transfer-Encoding", "chunked");
  if (trailer !== "" && options.body && (http2 || !sized)) out.push(http2 ? "trailer" : "Trailer", trailer);
  if (!options.body && bodyExpected.has(head.method)) out.push(http2 ? "content-length" : "Content-Length", "0");
  if (options.upgrade !== undefined) out.push("Connection", "Upgrade", "Upgrade", options.upgrade);
  return out;
}

/** The fields of a response towards the client, flat. `trailer`: the announcement may stay (the body is chunked). */
export function responseFields(raw: readonly string[], options: { http2: boolean; trailer: boolean }): string[] {
  let named: Set<string> | undefined;
  for (let at = 0; at < raw.length; at += 2)
    if (raw[at]!.length === 10 && raw[at]!.toLowerCase() === "connection")
      named = connectionTokens([raw[at + 1]!], named);
  const out: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!;
    const lower = name.toLowerCase();
    if (hopByHop.has(lower) && !(lower === "trailer" && options.trailer)) continue;
    if (named?.has(lower) === true && lower !== "content-length") continue;
    out.push(options.http2 ? lower : name, raw[at + 1]!);
  }
  return out;
}

/** Lower-case names that the Connection fields list. */
function connectionTokens(values: readonly string[], into = new Set<string>()): Set<string> {
  for (const value of values) for (const token of value.split(",")) into.add(token.trim().toLowerCase());
  return into;
}
