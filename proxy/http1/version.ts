/** HTTP-version (RFC 9112 2.3). */

const prefix = "HTTP/1.";

/**
 * `HTTP/1.0` or `HTTP/1.1`, exactly, in `buffer[at, end)`. Another version of that form is one we do not speak, all
 * else is malformed.
 */
export function versionAt(buffer: Uint8Array, at: number, end: number): 0 | 1 | "bad-version" | "unsupported-version" {
  if (end - at !== 8 || !isDigit(buffer[end - 1]!)) return "bad-version";
  const last = buffer[end - 1]! - 0x30;
  let index = 0;
  while (index < 7 && buffer[at + index] === prefix.charCodeAt(index)) index += 1;
  if (index === 7 && last <= 1) return last as 0 | 1;
  if (index < 5 || !isDigit(buffer[at + 5]!) || buffer[at + 6] !== 0x2e) return "bad-version";
  return "unsupported-version";
}

function isDigit(octet: number): boolean {
  return octet >= 0x30 && octet <= 0x39;
}
