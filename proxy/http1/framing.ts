/**
 * Where a message's body ends: RFC 9112 section 6, without its leniencies. Whatever two recipients could read in two
 * ways is refused, because the one behind us may read it the other way.
 */
import { kind } from "./field-kind.ts";
import type { HeadFields } from "./head-fields.ts";
import { isToken, listElements, trimmed } from "./octets.ts";
import type { RefusalCode } from "./refusal.ts";

export type Framing =
  /** No body at all, whatever the fields announce. */
  | { readonly is: "none" }
  /** Exactly that many octets, 0 included: the message said so. */
  | { readonly is: "length"; readonly bytes: number }
  | { readonly is: "chunked" }
  /** Until the connection ends; responses only. */
  | { readonly is: "until-close" }
  /** No longer HTTP: after 101, or 2xx to CONNECT. */
  | { readonly is: "tunnel" };

export const noBody: Framing = { is: "none" };
export const chunked: Framing = { is: "chunked" };
export const untilClose: Framing = { is: "until-close" };
export const tunnel: Framing = { is: "tunnel" };
const emptyBody: Framing = { is: "length", bytes: 0 };

/** The values of a head's framing fields; undefined where there is none. Repeated fields are joined by commas. */
export interface FramingFields {
  contentLength: string | undefined;
  transferEncoding: string | undefined;
}

/** `kinds`: what `fields.kinds()` says. */
export function framingFields(fields: HeadFields, kinds: number): FramingFields {
  return {
    contentLength: (kinds & kind.contentLength) === 0 ? undefined : fields.joined(kind.contentLength),
    transferEncoding: (kinds & kind.transferEncoding) === 0 ? undefined : fields.joined(kind.transferEncoding),
  };
}

/** A plain number that both sides can count exactly. Leading zeros are gone from what is passed on. */
const decimal = /^[0-9]{1,16}$/;

export function requestFraming(method: string, minorVersion: 0 | 1, fields: FramingFields): Framing | RefusalCode {
  const announced = announcedFraming(minorVersion, fields);
  if (typeof announced === "string") return announced;
  // Whether the octets behind a CONNECT are its body or the tunnel's depends on the reader.
  if (method === "CONNECT" && hasBody(announced)) return "body-not-allowed";
  return announced ?? noBody;
}

/**
 * `method`: of the request that is answered. `upgradeAsked`: it asked for a switch of protocols.
 */
export function responseFraming(
  status: number,
  method: string,
  upgradeAsked: boolean,
  minorVersion: 0 | 1,
  fields: FramingFields,
): Framing | RefusalCode {
  const announced = announcedFraming(minorVersion, fields);
  if (typeof announced === "string") return announced;
  if (status < 200) {
    if (hasBody(announced)) return "body-not-allowed";
    if (status !== 101) return noBody;
    return upgradeAsked ? tunnel : "unasked-upgrade";
  }
  if (method === "CONNECT" && status < 300) return hasBody(announced) ? "body-not-allowed" : tunnel;
  if (method === "HEAD" || status === 204 || status === 304) return noBody;
  return announced ?? untilClose;
}

/** A body is announced that is longer than nothing. */
export function hasBody(framing: Framing | undefined): boolean {
  return framing !== undefined && (framing.is === "chunked" || (framing.is === "length" && framing.bytes > 0));
}

/** What the two fields say, apart from any status or method. Undefined when there are none. */
export function announcedFraming(minorVersion: 0 | 1, fields: FramingFields): Framing | undefined | RefusalCode {
  const { contentLength, transferEncoding } = fields;
  if (transferEncoding !== undefined) {
    if (minorVersion === 0) return "coding-in-1.0";
    if (contentLength !== undefined) return "length-and-coding";
    return transferEncoding.toLowerCase() === "chunked" ? chunked : badCoding(transferEncoding);
  }
  return contentLength === undefined ? undefined : lengthFraming(contentLength);
}

function lengthFraming(value: string): Framing | RefusalCode {
  let first = value;
  if (value.includes(",")) {
    // One sender's repetition, joined by some hop before us: harmless as long as all are the same.
    const values = value.split(",").map(trimmed);
    first = values[0]!;
    for (const other of values) {
      if (!decimal.test(other)) return "bad-length";
      if (other !== first) return "many-lengths";
    }
  }
  if (!decimal.test(first)) return "bad-length";
  const bytes = Number(first);
  if (bytes === 0) return emptyBody;
  return Number.isSafeInteger(bytes) ? { is: "length", bytes } : "bad-length";
}

function badCoding(value: string): RefusalCode {
  const codings = listElements(value).map((coding) => coding.toLowerCase());
  // An empty element is as good a disguise as any.
  if (codings.length !== value.split(",").length || !codings.every(isToken)) return "bad-coding";
  const firstChunked = codings.indexOf("chunked");
  return firstChunked === codings.length - 1 ? "unknown-coding" : "chunked-not-last";
}
