/**
 * Finds the lines of a head and the parts of its field lines, octet by octet, strictly by RFC 9112: lines end in CRLF
 * and nothing else, field names are tokens right before their colon, values hold no control octets, lines are not
 * folded. Every octet is looked at once, however the bytes arrive.
 */
import { kind, kindOf } from "./field-kind.ts";
import { carriageReturn, colon, lineFeed, octets, space, tab, tokenOctet, valueOctet } from "./octets.ts";
import type { RefusalCode } from "./refusal.ts";

export interface HeadLimits {
  /** The whole head, its empty line included. As upstream's 1 MiB. */
  readonly headBytes: number;
  /** The start line without its CRLF. */
  readonly lineBytes: number;
  readonly fields: number;
}

export const defaultHeadLimits: HeadLimits = { headBytes: 1024 * 1024, lineBytes: 64 * 1024, fields: 1000 };

/** Numbers kept per field: start and end of the name, start and end of the value (without white space), kind bits. */
export const stride = 5;
/** A kind bit: the line is not exactly `name: value`, so it is not copied as it came. */
export const looseBit: number = 1 << 20;

/** What `run` came to when not the end of the head, whose offset is positive. */
export const needsMore = -1;
export const atStartLine = -2;
export const isRefused = -3;

const beforeStart = 0;
const afterEmptyLineCr = 1;
const inStartLine = 2;
const afterStartLineCr = 3;
const atLineStart = 4;
const inName = 5;
const beforeValue = 6;
const inValue = 7;
const afterValueCr = 8;
const afterLastCr = 9;

export class HeadLexer {
  /** {@link stride} numbers per field; offsets count from the head's first octet. */
  marks: number[] = [];
  /** The start line, without CRLF. */
  lineStart = 0;
  lineEnd = 0;
  refusal: RefusalCode = "control-octet";
  #state = beforeStart;
  /** The next octet to look at. */
  #at = 0;
  #nameStart = 0;
  #nameEnd = 0;
  #valueStart = 0;
  #fields = 0;

  /**
   * `leadingLine`: one empty line may come first (RFC 9112 2.2, for clients that end a body with one more CRLF).
   * `startLine` false: only field lines follow, as in a trailer section.
   */
  reset(options: { leadingLine: boolean; startLine: boolean }): void {
    this.marks = [];
    this.lineStart = 0;
    this.lineEnd = 0;
    this.#state = options.startLine ? (options.leadingLine ? beforeStart : inStartLine) : atLineStart;
    this.#at = 0;
    this.#fields = 0;
  }

  /**
   * Goes on over `buffer[base, end)`, where `base` is the head's first octet and everything looked at before is still
   * in place. Returns the offset (from `base`) behind the empty line, {@link needsMore}, {@link atStartLine} (once:
   * look at it, then call again) or {@link isRefused}.
   */
  run(buffer: Uint8Array, base: number, end: number, limits: HeadLimits): number {
    const headEnd = base + limits.headBytes;
    const stop = end < headEnd ? end : headEnd;
    let at = base + this.#at;
    let state = this.#state;
    while (at < stop) {
      switch (state) {
        case beforeStart:
          if (buffer[at] === carriageReturn) {
            at += 1;
            state = afterEmptyLineCr;
            break;
          }
          this.lineStart = at - base;
          state = inStartLine;
          break;
        case afterEmptyLineCr:
          if (buffer[at] !== lineFeed) return this.#refuse("bare-cr");
          at += 1;
          this.lineStart = at - base;
          state = inStartLine;
          break;
        case inStartLine: {
          const lineLimit = base + this.lineStart + limits.lineBytes;
          const lineStop = stop < lineLimit ? stop : lineLimit;
          while (at < lineStop && (octets[buffer[at]!]! & valueOctet) !== 0) at += 1;
          if (at === stop) break;
          if (buffer[at] === carriageReturn) {
            this.lineEnd = at - base;
            at += 1;
            state = afterStartLineCr;
          } else if (at === lineLimit) return this.#refuse("line-too-long");
          else return this.#refuse(misplaced(buffer[at]!));
          break;
        }
        case afterStartLineCr:
          if (buffer[at] !== lineFeed) return this.#refuse("bare-cr");
          this.#state = atLineStart;
          this.#at = at + 1 - base;
          return atStartLine;
        case atLineStart: {
          const octet = buffer[at]!;
          if (octet === carriageReturn) {
            at += 1;
            state = afterLastCr;
            break;
          }
          if (octet === space || octet === tab) return this.#refuse("folded-line");
          this.#nameStart = at - base;
          state = inName;
          break;
        }
        case inName: {
          while (at < stop && (octets[buffer[at]!]! & tokenOctet) !== 0) at += 1;
          if (at === stop) break;
          if (buffer[at] !== colon) return this.#refuse(badName(buffer[at]!));
          this.#nameEnd = at - base;
          if (this.#nameEnd === this.#nameStart) return this.#refuse("bad-field-name");
          this.#fields += 1;
          if (this.#fields > limits.fields) return this.#refuse("too-many-fields");
          at += 1;
          state = beforeValue;
          break;
        }
        case beforeValue: {
          while (at < stop && (buffer[at] === space || buffer[at] === tab)) at += 1;
          if (at === stop) break;
          this.#valueStart = at - base;
          state = inValue;
          break;
        }
        case inValue: {
          while (at < stop && (octets[buffer[at]!]! & valueOctet) !== 0) at += 1;
          if (at === stop) break;
          if (buffer[at] !== carriageReturn) return this.#refuse(misplaced(buffer[at]!));
          at += 1;
          state = afterValueCr;
          break;
        }
        case afterValueCr: {
          if (buffer[at] !== lineFeed) return this.#refuse("bare-cr");
          const nameStart = this.#nameStart;
          const nameEnd = this.#nameEnd;
          const valueStart = this.#valueStart;
          const lineEnd = at - 1 - base;
          let valueEnd = lineEnd;
          while (valueEnd > valueStart && isBlank(buffer[base + valueEnd - 1]!)) valueEnd -= 1;
          let bits = kindOf(buffer, base + nameStart, base + nameEnd);
          if (bits === kind.misspeltFraming) return this.#refuse("misspelt-framing");
          if (valueEnd !== lineEnd || valueStart !== nameEnd + 2 || buffer[base + nameEnd + 1] !== space)
            bits |= looseBit;
          // Some parsers skip a tab before `chunked` and some do not: the oldest of the disguises.
          if ((bits & kind.transferEncoding) !== 0 && bits !== kind.transferEncoding)
            if (hasTab(buffer, base + nameEnd, base + valueStart) || hasTab(buffer, base + valueEnd, base + lineEnd))
              return this.#refuse("bad-coding");
          this.marks.push(nameStart, nameEnd, valueStart, valueEnd, bits);
          at += 1;
          state = atLineStart;
          break;
        }
        case afterLastCr:
          if (buffer[at] !== lineFeed) return this.#refuse("bare-cr");
          return at + 1 - base;
      }
    }
    if (at === headEnd) return this.#refuse("head-too-large");
    this.#state = state;
    this.#at = at - base;
    return needsMore;
  }

  #refuse(code: RefusalCode): number {
    this.refusal = code;
    return isRefused;
  }
}

function isBlank(octet: number): boolean {
  return octet === space || octet === tab;
}

function hasTab(buffer: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (buffer[at] === tab) return true;
  return false;
}

function misplaced(octet: number): RefusalCode {
  return octet === lineFeed ? "bare-lf" : "control-octet";
}

function badName(octet: number): RefusalCode {
  if (isBlank(octet)) return "space-before-colon";
  if (octet === lineFeed) return "bare-lf";
  if (octet === carriageReturn) return "line-without-colon";
  return "bad-field-name";
}
