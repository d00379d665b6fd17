/** Writes the head of a message. Whatever goes in is checked: nothing can put a line into it that is not meant. */
import type { Framing } from "./framing.ts";
import { checkField, type HeadFields } from "./head-fields.ts";
import { consistsOf, isToken, targetOctet, valueOctet } from "./octets.ts";

/**
 * One head, from its start line to {@link end}. The text is latin1: write it to a socket with that encoding. All methods
 * throw a TypeError on what cannot be sent.
 */
export class HeadWriter {
  #text: string;

  private constructor(startLine: string) {
    this.#text = startLine;
  }

  static request(method: string, target: string): HeadWriter {
    if (!isToken(method)) throw new TypeError(`not a method: ${JSON.stringify(method)}`);
    if (target === "" || !consistsOf(targetOctet, target))
      throw new TypeError(`not a request target: ${JSON.stringify(target)}`);
    return new HeadWriter(`${method} ${target} HTTP/1.1\r\n`);
  }

  static response(status: number, reason: string): HeadWriter {
    if (!Number.isInteger(status) || status < 100 || status > 999) throw new TypeError(`not a status: ${status}`);
    if (!consistsOf(valueOctet, reason)) throw new TypeError(`not a reason phrase: ${JSON.stringify(reason)}`);
    return new HeadWriter(`HTTP/1.1 ${status} ${reason}\r\n`);
  }

  /** The fields of a received head as edited, without those of the kinds `without`. */
  fields(fields: HeadFields, without = 0): this {
    this.#text += fields.lines(without);
    return this;
  }

  field(name: string, value: string): this {
    checkField(name, value);
    this.#text += `${name}: ${value}\r\n`;
    return this;
  }

  /** Name, value, name, value, … */
  list(fields: readonly string[]): this {
    for (let at = 0; at + 1 < fields.length; at += 2) this.field(fields[at]!, fields[at + 1]!);
    return this;
  }

  /** The field that announces the body, anew: Content-Length in canonical form, or `chunked`. None for other framings. */
  framing(framing: Framing): this {
    if (framing.is === "length") this.#text += `Content-Length: ${framing.bytes}\r\n`;
    else if (framing.is === "chunked") this.#text += "Transfer-Encoding: chunked\r\n";
    return this;
  }

  /** The whole head with its empty line. */
  end(): string {
    return `${this.#text}\r\n`;
  }
}
