/**
 * Finds the end of a message's body in the octets that pass, and checks their framing by RFC 9112 section 7.1. Nothing
 * is decoded or changed: what belongs to the body is passed on as it came. So chunk sizes, extensions and trailers, which
 * the next recipient reads for itself, have to be beyond doubt.
 */
import type { Framing } from "./framing.ts";
import { notInTrailers } from "./field-kind.ts";
import { HeadFields } from "./head-fields.ts";
import { HeadSection } from "./head-section.ts";
import { carriageReturn, hexDigits, lineFeed, octets, quotedOctet, tokenOctet, valueOctet } from "./octets.ts";
import { requestRefusal, responseRefusal, type Refusal, type RefusalCode } from "./refusal.ts";

export interface BodyLimits {
  /** Of one chunk. Below 2^31, where a recipient with a 32-bit number would start to read something else. */
  readonly chunkBytes: number;
  /** Digits of a chunk size, leading zeros included. */
  readonly sizeDigits: number;
  /** All chunk extensions of a body together. */
  readonly extensionBytes: number;
  readonly trailerBytes: number;
  readonly trailers: number;
}

export const defaultBodyLimits: BodyLimits = {
  chunkBytes: 0x7fff_ffff,
  sizeDigits: 16,
  extensionBytes: 16 * 1024,
  trailerBytes: 64 * 1024,
  trailers: 100,
};

/** Told of each run of content in the given buffer. */
export type ContentListener = (start: number, end: number) => void;

const over = 0;
const inLength = 1;
const untilEnd = 2;
const beforeSize = 3;
const inSize = 4;
const beforeExtensionName = 5;
const inExtensionName = 6;
const beforeExtensionValue = 7;
const inExtensionValue = 8;
const inQuoted = 9;
const afterBackslash = 10;
const afterQuoted = 11;
const afterSizeCr = 12;
const inData = 13;
const afterData = 14;
const afterDataCr = 15;
const beforeTrailers = 16;
const afterLastCr = 17;
const inTrailers = 18;

/** Reused for every message of one direction of a connection. */
export class BodyReader {
  /** Content so far, without chunk framing. */
  contentBytes = 0;
  /** After the end of a chunked body that has a trailer section. */
  trailers: HeadFields | undefined;
  refusal: Refusal | undefined;
  readonly #limits: BodyLimits;
  readonly #refusalOf: (code: RefusalCode) => Refusal;
  #state = over;
  /** Octets left of the body or of the chunk. */
  #left = 0;
  #digits = 0;
  #extensionBytes = 0;
  #trailers: HeadSection | undefined;

  constructor(direction: "request" | "response", limits: BodyLimits = defaultBodyLimits) {
    this.#limits = limits;
    this.#refusalOf = direction === "request" ? requestRefusal : responseRefusal;
  }

  get ended(): boolean {
    return this.#state === over;
  }

  /** At the body's first octet. A body of nothing has ended at once. */
  start(framing: Framing): void {
    this.contentBytes = 0;
    this.trailers = undefined;
    this.refusal = undefined;
    this.#trailers = undefined;
    this.#extensionBytes = 0;
    this.#left = 0;
    switch (framing.is) {
      case "length":
        this.#left = framing.bytes;
        this.#state = framing.bytes === 0 ? over : inLength;
        break;
      case "chunked":
        this.#state = beforeSize;
        break;
      case "until-close":
        this.#state = untilEnd;
        break;
      case "none":
      case "tunnel":
        this.#state = over;
        break;
    }
  }

  /**
   * How many octets of `chunk[from, …)` belong to the body; fewer than there are only at its end. 0 with `refusal` set
   * when the framing is broken: then none of this buffer may be passed on, and the other side has to be broken off.
   */
  read(chunk: Buffer, from = 0, onContent?: ContentListener): number {
    const end = chunk.length;
    let at = from;
    let state = this.#state;
    while (at < end) {
      switch (state) {
        case over:
          this.#state = state;
          return at - from;
        case inLength:
        case inData: {
          const taken = Math.min(this.#left, end - at);
          onContent?.(at, at + taken);
          this.contentBytes += taken;
          this.#left -= taken;
          at += taken;
          if (this.#left === 0) state = state === inData ? afterData : over;
          break;
        }
        case untilEnd:
          onContent?.(at, end);
          this.contentBytes += end - at;
          at = end;
          break;
        case beforeSize:
          this.#left = 0;
          this.#digits = 0;
          if (hexDigits[chunk[at]!] === 16) return this.#refuse("bad-chunk-size");
          state = inSize;
          break;
        case inSize: {
          const digit = hexDigits[chunk[at]!]!;
          if (digit === 16) {
            const next = chunk[at]!;
            if (next === carriageReturn) state = afterSizeCr;
            else if (next === 0x3b) {
              state = beforeExtensionName;
              this.#extensionBytes += 1;
            } else return this.#refuse(next === lineFeed ? "bare-lf" : "bad-chunk-size");
            at += 1;
            break;
          }
          this.#digits += 1;
          this.#left = this.#left * 16 + digit;
          if (this.#digits > this.#limits.sizeDigits || this.#left > this.#limits.chunkBytes)
            return this.#refuse("chunk-too-large");
          at += 1;
          break;
        }
        case afterSizeCr:
          if (chunk[at] !== lineFeed) return this.#refuse("bare-cr");
          at += 1;
          state = this.#left === 0 ? beforeTrailers : inData;
          break;
        case afterData:
          if (chunk[at] !== carriageReturn) return this.#refuse("bad-chunk-end");
          at += 1;
          state = afterDataCr;
          break;
        case afterDataCr:
          if (chunk[at] !== lineFeed) return this.#refuse("bad-chunk-end");
          at += 1;
          state = beforeSize;
          break;
        case beforeTrailers:
          if (chunk[at] === carriageReturn) {
            at += 1;
            state = afterLastCr;
            break;
          }
          this.#trailers ??= this.#trailerSection();
          state = inTrailers;
          break;
        case afterLastCr:
          if (chunk[at] !== lineFeed) return this.#refuse("bare-cr");
          at += 1;
          state = over;
          break;
        case inTrailers: {
          const section = this.#trailers!;
          const whole = section.read(chunk, at, undefined);
          if (section.refusal !== undefined) return this.#refuse(section.refusal);
          at += section.consumed;
          if (!whole) break;
          this.#trailers = undefined;
          const fields = new HeadFields(section.text, section.marks);
          // Whoever merges trailers into the head would be told another length, host or hop by them.
          if ((fields.kinds() & notInTrailers) !== 0) return this.#refuse("forbidden-trailer");
          this.trailers = fields;
          state = over;
          break;
        }
        default: {
          const next = extensionState(state, chunk[at]!);
          if (next < 0) return this.#refuse(chunk[at] === lineFeed ? "bare-lf" : "bad-chunk-extension");
          state = next;
          at += 1;
          if (state === afterSizeCr) break;
          this.#extensionBytes += 1;
          if (this.#extensionBytes > this.#limits.extensionBytes) return this.#refuse("chunk-extensions-too-large");
        }
      }
    }
    this.#state = state;
    return at - from;
  }

  /** The connection's end. A refusal when the body was not over: what came of it is not whole. */
  end(): Refusal | undefined {
    if (this.#state === untilEnd) this.#state = over;
    if (this.#state !== over && this.refusal === undefined) this.refusal = this.#refusalOf("cut-short");
    return this.refusal;
  }

  #trailerSection(): HeadSection {
    const limits = { headBytes: this.#limits.trailerBytes, lineBytes: 0, fields: this.#limits.trailers };
    return new HeadSection({ limits, leadingLine: false, startLine: false });
  }

  #refuse(code: RefusalCode): number {
    this.refusal = this.#refusalOf(code);
    return 0;
  }
}

/**
 * `*( ";" name [ "=" ( token / quoted-string ) ] )`, without white space: RFC 9112 7.1.1 has it generated nowhere, and
 * recipients differ on it. Negative: no such octet there.
 */
function extensionState(state: number, octet: number): number {
  switch (state) {
    case beforeExtensionName:
      return (octets[octet]! & tokenOctet) === 0 ? -1 : inExtensionName;
    case inExtensionName:
      if ((octets[octet]! & tokenOctet) !== 0) return inExtensionName;
      return octet === 0x3d ? beforeExtensionValue : afterExtension(octet);
    case beforeExtensionValue:
      if (octet === 0x22) return inQuoted;
      return (octets[octet]! & tokenOctet) === 0 ? -1 : inExtensionValue;
    case inExtensionValue:
      return (octets[octet]! & tokenOctet) === 0 ? afterExtension(octet) : inExtensionValue;
    case inQuoted:
      if (octet === 0x22) return afterQuoted;
      if (octet === 0x5c) return afterBackslash;
      return (octets[octet]! & quotedOctet) === 0 ? -1 : inQuoted;
    case afterBackslash:
      return (octets[octet]! & valueOctet) === 0 ? -1 : inQuoted;
    default:
      return afterExtension(octet);
  }
}

function afterExtension(octet: number): number {
  if (octet === carriageReturn) return afterSizeCr;
  return octet === 0x3b ? beforeExtensionName : -1;
}
