/** The fields an HTTP/1 engine itself acts on, told apart once while the head is read. One bit each. */
import { lowered } from "./octets.ts";

export const kind = {
  host: 1 << 0,
  contentLength: 1 << 1,
  transferEncoding: 1 << 2,
  connection: 1 << 3,
  upgrade: 1 << 4,
  expect: 1 << 5,
  te: 1 << 6,
  trailer: 1 << 7,
  /** The other ones that end at this hop: Keep-Alive, Proxy-Connection, Proxy-Authenticate, HTTP2-Settings, … */
  otherHop: 1 << 8,
  xForwardedFor: 1 << 9,
  /** `Content_Length`, `Transfer_Encoding`: gateways that turn `-` into `_` read them as the real ones. */
  misspeltFraming: 1 << 10,
} as const;

/** What never travels on as it came (data-plane 1.8); the sender of the next hop writes its own. */
export const hopByHop: number =
  kind.connection | kind.otherHop | kind.te | kind.trailer | kind.transferEncoding | kind.upgrade;

/** What says where the body ends. */
export const framingKinds: number = kind.contentLength | kind.transferEncoding;

/** Whoever merges trailers into the head would be told another length, host or hop by these (RFC 9110 6.5.1). */
export const notInTrailers: number = hopByHop | framingKinds | kind.host | kind.expect;

const known: readonly (readonly [name: string, kind: number])[] = [
  ["host", kind.host],
  ["content-length", kind.contentLength],
  ["content_length", kind.misspeltFraming],
  ["transfer-encoding", kind.transferEncoding],
  ["transfer_encoding", kind.misspeltFraming],
  ["connection", kind.connection],
  ["upgrade", kind.upgrade],
  ["expect", kind.expect],
  ["te", kind.te],
  ["trailer", kind.trailer],
  ["keep-alive", kind.otherHop],
  ["proxy-connection", kind.otherHop],
  ["proxy-authenticate", kind.otherHop],
  ["proxy-authorization", kind.otherHop],
  ["http2-settings", kind.otherHop],
  ["x-forwarded-for", kind.xForwardedFor],
];

/** Index: length of the name. */
const byLength: { octets: Uint8Array; name: string; kind: number }[][] = Array.from({ length: 20 }, (_, length) =>
  known
    .filter(([name]) => name.length === length)
    .map(([name, kind]) => ({ octets: Uint8Array.from(Buffer.from(name)), name, kind })),
);

/** Of the name in `buffer[start, end)`, any case; 0 for an ordinary field. */
export function kindOf(buffer: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length >= byLength.length) return 0;
  const candidates = byLength[length]!;
  for (let index = 0; index < candidates.length; index += 1) {
    const { octets } = candidates[index]!;
    let at = 0;
    while (at < length && lowered[buffer[start + at]!] === octets[at]) at += 1;
    if (at === length) return candidates[index]!.kind;
  }
  return 0;
}

export function kindOfName(name: string): number {
  if (name.length >= byLength.length) return 0;
  const candidates = byLength[name.length]!;
  if (candidates.length === 0) return 0;
  const lower = name.toLowerCase();
  for (const candidate of candidates) if (candidate.name === lower) return candidate.kind;
  return 0;
}
