/**
 * The fields of a received head, edited and written again. They stay where they are in the head's text until someone
 * asks: a proxy looks at a few, changes fewer, and passes the rest on as runs of whole lines.
 */
import { framingKinds, kind, kindOfName } from "./field-kind.ts";
import { looseBit, stride } from "./head-lexer.ts";
import { consistsOf, isToken, lowered, valueOctet } from "./octets.ts";

const deletedBit = 1 << 21;
const replacedBit = 1 << 22;

/** Has the methods of HeaderList, with the same meaning. Names compare without regard to case. */
export class HeadFields {
  readonly #text: string;
  readonly #marks: number[];
  #replaced: Map<number, string> | undefined;
  /** Name, value, … behind those that were received. */
  #added: string[] | undefined;

  /** `marks` as HeadLexer makes them; they become this object's own. */
  constructor(text: string, marks: number[]) {
    this.#text = text;
    this.#marks = marks;
  }

  /** The first value. */
  get(name: string): string | undefined {
    const at = this.#find(name, 0);
    if (at >= 0) return this.#value(at);
    const added = this.#findAdded(name, 0);
    return added < 0 ? undefined : this.#added![added + 1];
  }

  /** Every value in order. */
  all(name: string): string[] {
    const values: string[] = [];
    for (let at = this.#find(name, 0); at >= 0; at = this.#find(name, at + stride)) values.push(this.#value(at));
    for (let at = this.#findAdded(name, 0); at >= 0; at = this.#findAdded(name, at + 2))
      values.push(this.#added![at + 1]!);
    return values;
  }

  has(name: string): boolean {
    return this.#find(name, 0) >= 0 || this.#findAdded(name, 0) >= 0;
  }

  /** Keeps the place and the spelling of the first field of that name; further ones go. Throws TypeError on what cannot be sent. */
  set(name: string, value: string): void {
    checkField(name, value);
    const at = this.#find(name, 0);
    const added = this.#findAdded(name, 0);
    if (at < 0 && added < 0) {
      (this.#added ??= []).push(name, value);
      return;
    }
    if (at < 0) this.#added![added + 1] = value;
    else {
      (this.#replaced ??= new Map()).set(at, value);
      this.#marks[at + 4]! |= replacedBit;
      this.#delete(name, at + stride);
    }
    this.#deleteAdded(name, at < 0 ? added + 2 : 0);
  }

  /** Throws TypeError on what cannot be sent. */
  append(name: string, value: string): void {
    checkField(name, value);
    (this.#added ??= []).push(name, value);
  }

  delete(name: string): void {
    this.#delete(name, 0);
    this.#deleteAdded(name, 0);
  }

  /**
   * Deletes what the Connection fields name, and so ends at this hop; not Host nor what frames the body, whose removal a
   * client could otherwise ask for.
   */
  deleteNamed(names: readonly string[]): void {
    for (const name of names) if ((kindOfName(name) & (kind.host | framingKinds)) === 0) this.delete(name);
  }

  /** Name, value, name, value, … in order, as a new list. */
  raw(): string[] {
    const list: string[] = [];
    const marks = this.#marks;
    for (let at = 0; at < marks.length; at += stride)
      if ((marks[at + 4]! & deletedBit) === 0) list.push(this.#text.slice(marks[at], marks[at + 1]), this.#value(at));
    if (this.#added !== undefined) list.push(...this.#added);
    return list;
  }

  /** Which {@link kind}s there are, as one number. */
  kinds(): number {
    let kinds = 0;
    const marks = this.#marks;
    for (let at = 4; at < marks.length; at += stride) if ((marks[at]! & deletedBit) === 0) kinds |= marks[at]!;
    if (this.#added !== undefined)
      for (let at = 0; at < this.#added.length; at += 2) kinds |= kindOfName(this.#added[at]!);
    return kinds;
  }

  /** All values of one {@link kind}, joined by commas as RFC 9110 5.2 has it. */
  joined(wanted: number): string | undefined {
    let all: string | undefined;
    const marks = this.#marks;
    for (let at = 0; at < marks.length; at += stride) {
      if ((marks[at + 4]! & wanted) === 0 || (marks[at + 4]! & deletedBit) !== 0) continue;
      all = all === undefined ? this.#value(at) : `${all}, ${this.#value(at)}`;
    }
    const added = this.#added;
    if (added === undefined) return all;
    for (let at = 0; at < added.length; at += 2)
      if ((kindOfName(added[at]!) & wanted) !== 0)
        all = all === undefined ? added[at + 1]! : `${all}, ${added[at + 1]}`;
    return all;
  }

  /** How many fields of one {@link kind}. */
  count(wanted: number): number {
    let count = 0;
    const marks = this.#marks;
    for (let at = 4; at < marks.length; at += stride)
      if ((marks[at]! & wanted) !== 0 && (marks[at]! & deletedBit) === 0) count += 1;
    const added = this.#added;
    if (added !== undefined)
      for (let at = 0; at < added.length; at += 2) if ((kindOfName(added[at]!) & wanted) !== 0) count += 1;
    return count;
  }

  /**
   * The field lines, each with its CRLF, without those of the {@link kind}s `without`. Lines that were received as
   * `name: value` and not changed are copied in runs; all others are spelt anew.
   */
  lines(without = 0): string {
    const marks = this.#marks;
    const text = this.#text;
    const skipped = without | deletedBit;
    let out = "";
    let runStart = -1;
    let runEnd = 0;
    for (let at = 0; at < marks.length; at += stride) {
      const bits = marks[at + 4]!;
      if ((bits & (skipped | looseBit | replacedBit)) === 0) {
        if (runStart < 0) runStart = marks[at]!;
        runEnd = marks[at + 3]! + 2;
        continue;
      }
      if (runStart >= 0) {
        out += text.slice(runStart, runEnd);
        runStart = -1;
      }
      if ((bits & skipped) === 0) out += `${text.slice(marks[at], marks[at + 1])}: ${this.#value(at)}\r\n`;
    }
    if (runStart >= 0) out += text.slice(runStart, runEnd);
    const added = this.#added;
    if (added !== undefined)
      for (let at = 0; at < added.length; at += 2)
        if (without === 0 || (kindOfName(added[at]!) & without) === 0) out += `${added[at]}: ${added[at + 1]}\r\n`;
    return out;
  }

  #value(at: number): string {
    const marks = this.#marks;
    return (marks[at + 4]! & replacedBit) === 0
      ? this.#text.slice(marks[at + 2], marks[at + 3])
      : this.#replaced!.get(at)!;
  }

  #delete(name: string, from: number): void {
    for (let at = this.#find(name, from); at >= 0; at = this.#find(name, at)) this.#marks[at + 4]! |= deletedBit;
  }

  #deleteAdded(name: string, from: number): void {
    for (let at = this.#findAdded(name, from); at >= 0; at = this.#findAdded(name, at)) this.#added!.splice(at, 2);
  }

  #find(name: string, from: number): number {
    const marks = this.#marks;
    const text = this.#text;
    const { length } = name;
    for (let at = from; at < marks.length; at += stride) {
      const start = marks[at]!;
      if (marks[at + 1]! - start !== length || (marks[at + 4]! & deletedBit) !== 0) continue;
      let index = 0;
      while (index < length && lowered[text.charCodeAt(start + index)] === lowered[name.charCodeAt(index)]) index += 1;
      if (index === length) return at;
    }
    return -1;
  }

  #findAdded(name: string, from: number): number {
    const added = this.#added;
    if (added === undefined) return -1;
    for (let at = from; at < added.length; at += 2)
      if (added[at]!.length === name.length && added[at]!.toLowerCase() === name.toLowerCase()) return at;
    return -1;
  }
}

/** Never lets a line break through, or a character that becomes one when it is cut to an octet. */
export function checkField(name: string, value: string): void {
  if (!isToken(name)) throw new TypeError(`not a field name: ${JSON.stringify(name)}`);
  if (!consistsOf(valueOctet, value)) throw new TypeError(`not a value for ${name}: ${JSON.stringify(value)}`);
}
