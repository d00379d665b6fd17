/** The head of a request: RFC 9112 sections 3 and 5, RFC 9110 7.2. */
import { isAuthority, sameAuthority } from "./authority.ts";
import { noOptions, parseConnection, type ConnectionOptions } from "./connection-options.ts";
import { kind } from "./field-kind.ts";
import { framingFields, hasBody, requestFraming, type Framing } from "./framing.ts";
import { HeadFields } from "./head-fields.ts";
import { defaultHeadLimits, type HeadLimits } from "./head-lexer.ts";
import { HeadSection } from "./head-section.ts";
import { octets, space, targetOctet, tokenOctet } from "./octets.ts";
import { requestRefusal, type Refusal, type RefusalCode } from "./refusal.ts";
import { versionAt } from "./version.ts";

export interface ParsedRequest {
  readonly is: "request";
  /** A token as received. Never a misspelt HEAD or CONNECT. */
  readonly method: string;
  /** As received, octet for octet. */
  readonly target: string;
  readonly targetForm: "origin" | "absolute" | "authority" | "asterisk";
  /** Path and query for the next hop: the target itself unless it has the absolute form. */
  readonly originTarget: string;
  readonly minorVersion: 0 | 1;
  readonly fields: HeadFields;
  /** The one valid Host, which agrees with an absolute target; empty when HTTP/1.0 came without. */
  readonly host: string;
  readonly connection: ConnectionOptions;
  /** The client wants the connection kept after this exchange. False for CONNECT. */
  readonly keepAlive: boolean;
  /** Of a valid Upgrade whose Connection names it, in HTTP/1.1 and without a body. Protocols as listed. */
  readonly upgrade: string | undefined;
  /** `other`: an expectation that is not known (RFC 9110 10.1.1 lets a server answer 417). */
  readonly expects: "nothing" | "continue" | "other";
  readonly framing: Framing;
}

/** RFC 9110 9.1: 501 is for methods longer than any that is known. */
const maxMethodLength = 40;

/** One per client connection. */
export class RequestHeadReader {
  /** After a head: octets of the last given buffer that it took. */
  consumed = 0;
  readonly #section: HeadSection;
  #methodEnd = 0;
  #targetEnd = 0;
  #minorVersion: 0 | 1 = 1;
  readonly #parseLine = (buffer: Buffer, start: number, end: number, base: number): RefusalCode | undefined =>
    this.#requestLine(buffer, start, end, base);
  #lineStart = 0;

  constructor(limits: HeadLimits = defaultHeadLimits) {
    this.#section = new HeadSection({ limits, leadingLine: true, startLine: true });
  }

  /** Octets of a head have come that is not whole yet. */
  get begun(): boolean {
    return this.#section.begun;
  }

  /**
   * Reads on in `chunk[from, …)`. Undefined: all of it was taken and more is needed. After a head, the next octets are
   * its body. After a refusal the reader is spent.
   */
  read(chunk: Buffer, from = 0): ParsedRequest | Refusal | undefined {
    const section = this.#section;
    const whole = section.read(chunk, from, this.#parseLine);
    this.consumed = section.consumed;
    if (whole) {
      const head = this.#head(section.text, new HeadFields(section.text, section.marks));
      return typeof head === "string" ? requestRefusal(head) : head;
    }
    return section.refusal === undefined ? undefined : requestRefusal(section.refusal);
  }

  #requestLine(buffer: Buffer, start: number, end: number, base: number): RefusalCode | undefined {
    let at = start;
    while (at < end && (octets[buffer[at]!]! & tokenOctet) !== 0) at += 1;
    if (at === start || buffer[at] !== space) return "bad-method";
    if (at - start > maxMethodLength) return "unknown-method";
    const methodEnd = at;
    at += 1;
    while (at < end && (octets[buffer[at]!]! & targetOctet) !== 0) at += 1;
    if (at === end) return "no-version";
    if (buffer[at] !== space || at === methodEnd + 1) return "bad-target";
    const targetEnd = at;
    at += 1;
    const code = versionAt(buffer, at, end);
    if (typeof code === "string") return code;
    this.#minorVersion = code;
    this.#lineStart = start - base;
    this.#methodEnd = methodEnd - base;
    this.#targetEnd = targetEnd - base;
    return undefined;
  }

  #head(text: string, fields: HeadFields): ParsedRequest | RefusalCode {
    const minorVersion = this.#minorVersion;
    const method = text.slice(this.#lineStart, this.#methodEnd);
    if (method.length !== 3 && isMisspelt(method)) return "unknown-method";
    const target = text.slice(this.#methodEnd + 1, this.#targetEnd);
    const kinds = fields.kinds();

    let host = "";
    if ((kinds & kind.host) === 0) {
      if (minorVersion === 1) return "no-host";
    } else {
      if (fields.count(kind.host) !== 1) return "many-hosts";
      host = fields.joined(kind.host)!;
      if (!isAuthority(host)) return "bad-host";
    }

    let targetForm: ParsedRequest["targetForm"] = "origin";
    let originTarget = target;
    if (method === "CONNECT") {
      targetForm = "authority";
      if (!/[^:]:[0-9]+$/.test(target) || !isAuthority(target)) return "bad-target";
      if ((kinds & kind.host) !== 0 && !sameAuthority(host, target, "https")) return "host-mismatch";
    } else if (target === "*") {
      targetForm = "asterisk";
      if (method !== "OPTIONS") return "bad-target";
    } else if (target.charCodeAt(0) !== 0x2f) {
      targetForm = "absolute";
      const parts = absoluteTarget.exec(target);
      if (parts === null || !isAuthority(parts[2]!) || /^(?::|$)/.test(parts[2]!)) return "bad-target";
      // RFC 9112 3.2.2 has the target win. Routing by one and serving by the other is how hosts get mixed up.
      const scheme = parts[1]!.toLowerCase() as "http" | "https";
      if ((kinds & kind.host) !== 0 && !sameAuthority(host, parts[2]!, scheme)) return "host-mismatch";
      host = parts[2]!;
      const rest = parts[3]!;
      if (rest.startsWith("/")) originTarget = rest;
      else originTarget = rest === "" && method === "OPTIONS" ? "*" : `/${rest}`;
    }

    let connection = noOptions;
    if ((kinds & kind.connection) !== 0) {
      const parsed = parseConnection(fields.joined(kind.connection)!);
      if (parsed === undefined) return "bad-connection";
      connection = parsed;
    }
    const framing = requestFraming(method, minorVersion, framingFields(fields, kinds));
    if (typeof framing === "string") return framing;

    let upgrade: string | undefined;
    if ((kinds & kind.upgrade) !== 0 && connection.upgrade && minorVersion === 1 && !hasBody(framing)) {
      upgrade = fields.joined(kind.upgrade)!;
      if (!upgradeList.test(upgrade)) return "bad-upgrade";
    }
    let expects: ParsedRequest["expects"] = "nothing";
    if ((kinds & kind.expect) !== 0 && minorVersion === 1)
      expects = fields.joined(kind.expect)!.toLowerCase() === "100-continue" ? "continue" : "other";
    return {
      is: "request",
      method,
      target,
      targetForm,
      originTarget,
      minorVersion,
      fields,
      host,
      connection,
      keepAlive: !connection.close && (minorVersion === 1 || connection.keepAlive) && method !== "CONNECT",
      upgrade,
      expects,
      framing,
    };
  }
}

/** Scheme, authority, the rest. User info is refused with the authority (RFC 9110 4.2.4). */
const absoluteTarget = /^(https?):\/\/([^/?]*)(.*)$/i;
/** protocol-name ["/" protocol-version], a list. */
const upgradeList =
  /^[!#$%&'*+\-.^_`|~\w]+(?:\/[!#$%&'*+\-.^_`|~\w]+)?(?:[\t ]*,[\t ]*[!#$%&'*+\-.^_`|~\w]+(?:\/[!#$%&'*+\-.^_`|~\w]+)?)*$/;

/** A server that ignores case answers a `head` without the body that its length announces: the next response's octets. */
function isMisspelt(method: string): boolean {
  if (method.length === 4) return method !== "HEAD" && method.toUpperCase() === "HEAD";
  return method.length === 7 && method !== "CONNECT" && method.toUpperCase() === "CONNECT";
}
