/** `host [":" port]` of a Host field or a request target (RFC 9110 4.2, 7.2; RFC 3986 3.2). */
import { consistsOf, hostOctet } from "./octets.ts";

const maxHostLength = 255;
const ipLiteral = /^\[[0-9A-Fa-f:.]{2,45}\]$/;
const port = /^[0-9]{0,5}$/;
const brokenEscape = /%(?![0-9A-Fa-f]{2})/;

/** The host may be empty: that is what a client sends whose target has no authority. No user info, no scheme. */
export function isAuthority(text: string): boolean {
  const at = portAt(text);
  if (at < text.length) {
    const digits = text.slice(at + 1);
    if (!port.test(digits) || Number(digits) > 65_535 || at === 0) return false;
  }
  return isHost(at === text.length ? text : text.slice(0, at));
}

/** Both name the same host and port, when `scheme` says which port is meant where none is given. */
export function sameAuthority(one: string, other: string, scheme: "http" | "https"): boolean {
  if (one === other) return true;
  return normal(one, scheme) === normal(other, scheme);
}

function normal(authority: string, scheme: "http" | "https"): string {
  const at = portAt(authority);
  const digits = authority.slice(at + 1);
  return `${authority.slice(0, at).toLowerCase()}:${digits === "" ? (scheme === "http" ? 80 : 443) : Number(digits)}`;
}

/** Of the colon before the port; the length where there is none. */
function portAt(text: string): number {
  const at = text.indexOf(":", text.startsWith("[") ? text.indexOf("]") + 1 : 0);
  return at < 0 ? text.length : at;
}

function isHost(host: string): boolean {
  if (host.length > maxHostLength) return false;
  if (host.startsWith("[")) return ipLiteral.test(host);
  return consistsOf(hostOctet, host) && !(host.includes("%") && brokenEscape.test(host));
}
