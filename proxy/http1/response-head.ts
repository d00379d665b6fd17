/** The head of a response from the app: RFC 9112 sections 4 and 5. */
import { noOptions, parseConnection, type ConnectionOptions } from "./connection-options.ts";
import { kind } from "./field-kind.ts";
import { announcedFraming, framingFields, hasBody, responseFraming, type Framing } from "./framing.ts";
import { HeadFields } from "./head-fields.ts";
import { defaultHeadLimits, type HeadLimits } from "./head-lexer.ts";
import { HeadSection } from "./head-section.ts";
import { space } from "./octets.ts";
import { responseRefusal, type Refusal, type RefusalCode } from "./refusal.ts";
import { versionAt } from "./version.ts";

export interface ParsedResponse {
  readonly is: "response";
  /** 100 to 999; past 599 it is passed on as it came. */
  readonly status: number;
  /** 1xx but not 101: another response to the same request follows. */
  readonly interim: boolean;
  /** Often empty. */
  readonly reason: string;
  readonly minorVersion: 0 | 1;
  readonly fields: HeadFields;
  readonly connection: ConnectionOptions;
  /** The connection can carry another request once the body is over. */
  readonly keepAlive: boolean;
  /** Of a 101: the protocols switched to, as listed. */
  readonly upgrade: string | undefined;
  readonly framing: Framing;
  /** The Content-Length, also where no body follows (HEAD, 304). */
  readonly announcedBytes: number | undefined;
}

/** What has to be known of the request that is answered. */
export interface AnsweredRequest {
  readonly method: string;
  /** It asked for a switch of protocols. */
  readonly upgrade: boolean;
}

/** One per upstream connection. */
export class ResponseHeadReader {
  /** After a head: octets of the last given buffer that it took. */
  consumed = 0;
  readonly #section: HeadSection;
  #status = 0;
  #minorVersion: 0 | 1 = 1;
  #reasonStart = 0;
  #reasonEnd = 0;
  readonly #parseLine = (buffer: Buffer, start: number, end: number, base: number): RefusalCode | undefined =>
    this.#statusLine(buffer, start, end, base);

  constructor(limits: HeadLimits = defaultHeadLimits) {
    this.#section = new HeadSection({ limits, leadingLine: false, startLine: true });
  }

  /** Octets of a head have come that is not whole yet. */
  get begun(): boolean {
    return this.#section.begun;
  }

  /**
   * Reads on in `chunk[from, …)`. Undefined: all of it was taken and more is needed. After an interim head the next
   * octets are another head, else its body. After a refusal the reader is spent.
   */
  read(chunk: Buffer, from: number, request: AnsweredRequest): ParsedResponse | Refusal | undefined {
    const section = this.#section;
    const whole = section.read(chunk, from, this.#parseLine);
    this.consumed = section.consumed;
    if (whole) {
      const head = this.#head(section.text, new HeadFields(section.text, section.marks), request);
      return typeof head === "string" ? responseRefusal(head) : head;
    }
    return section.refusal === undefined ? undefined : responseRefusal(section.refusal);
  }

  /** `HTTP/1.1 200 OK`. The space before an empty reason is often left out. */
  #statusLine(buffer: Buffer, start: number, end: number, base: number): RefusalCode | undefined {
    const minorVersion = versionAt(buffer, start, Math.min(start + 8, end));
    if (typeof minorVersion === "string") return minorVersion;
    const at = start + 9;
    if (end < at + 3 || buffer[at - 1] !== space) return "bad-status-line";
    let status = 0;
    for (let index = 0; index < 3; index += 1) {
      const digit = buffer[at + index]! - 0x30;
      if (digit < 0 || digit > 9) return "bad-status-line";
      status = status * 10 + digit;
    }
    if (status < 100 || (end > at + 3 && buffer[at + 3] !== space)) return "bad-status-line";
    this.#minorVersion = minorVersion;
    this.#status = status;
    this.#reasonStart = Math.min(at + 4, end) - base;
    this.#reasonEnd = end - base;
    return undefined;
  }

  #head(text: string, fields: HeadFields, request: AnsweredRequest): ParsedResponse | RefusalCode {
    const status = this.#status;
    const minorVersion = this.#minorVersion;
    const kinds = fields.kinds();
    let connection = noOptions;
    if ((kinds & kind.connection) !== 0) {
      const parsed = parseConnection(fields.joined(kind.connection)!);
      if (parsed === undefined) return "bad-connection";
      connection = parsed;
    }
    // HTTP/1.0 knows no 1xx; and a connection that closes behind one has no room for the answer itself.
    if (status < 200 && (minorVersion === 0 || connection.close)) return "bad-interim";
    const announcing = framingFields(fields, kinds);
    const framing = responseFraming(status, request.method, request.upgrade, minorVersion, announcing);
    if (typeof framing === "string") return framing;
    const announced = announcedFraming(minorVersion, announcing);
    // An app that announces a body where none can be may well send it: nothing behind it is read as a response.
    const mayTrail = status === 204 && typeof announced === "object" && hasBody(announced);
    const delimited = framing.is !== "until-close" && framing.is !== "tunnel";
    let upgrade: string | undefined;
    if (status === 101) {
      upgrade = connection.upgrade ? fields.joined(kind.upgrade) : undefined;
      if (upgrade === undefined || upgrade === "") return "bad-upgrade";
    }
    return {
      is: "response",
      status,
      interim: status < 200 && status !== 101,
      reason: text.slice(this.#reasonStart, this.#reasonEnd),
      minorVersion,
      fields,
      connection,
      keepAlive: delimited && !mayTrail && !connection.close && (minorVersion === 1 || connection.keepAlive),
      upgrade,
      framing,
      announcedBytes: typeof announced === "object" && announced.is === "length" ? announced.bytes : undefined,
    };
  }
}
