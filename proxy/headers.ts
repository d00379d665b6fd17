/**
 * The fields of a request head, as layers read and edit them. Names compare without regard to case, order and spelling
 * stay. There are two: the engine's HeadFields of http1/, which leaves a received head where it is until it is asked,
 * and the plain list here, for what HTTP/2 brings and for tests.
 */
import { isToken, lowered } from "./http1/octets.ts";

export interface HeaderList {
  /** The first value; a repeated field has others, see {@link all}. */
  get(name: string): string | undefined;
  /** Every value in order. */
  all(name: string): string[];
  has(name: string): boolean;
  /** Keeps the place and the spelling of the first field of that name; further ones go. */
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  delete(name: string): void;
  /** Name, value, name, value, …: the form node:http2 takes. Do not change it. */
  raw(): string[];
}

/** A request has some ten fields, so a scan over one flat array is cheaper than any index. */
export class FieldList implements HeaderList {
  /** Name, value, name, value, … */
  readonly #fields: string[];

  /** `fields` become this object's own. */
  constructor(fields: string[]) {
    this.#fields = fields;
  }

  get(name: string): string | undefined {
    const at = this.#find(name, 0);
    return at < 0 ? undefined : this.#fields[at + 1];
  }

  all(name: string): string[] {
    const values: string[] = [];
    for (let at = this.#find(name, 0); at >= 0; at = this.#find(name, at + 2)) values.push(this.#fields[at + 1]!);
    return values;
  }

  has(name: string): boolean {
    return this.#find(name, 0) >= 0;
  }

  set(name: string, value: string): void {
    const at = this.#find(name, 0);
    if (at < 0) {
      this.#fields.push(name, value);
      return;
    }
    this.#fields[at + 1] = value;
    this.#deleteFrom(name, at + 2);
  }

  append(name: string, value: string): void {
    this.#fields.push(name, value);
  }

  delete(name: string): void {
    this.#deleteFrom(name, 0);
  }

  raw(): string[] {
    return this.#fields;
  }

  #deleteFrom(name: string, from: number): void {
    for (let at = this.#find(name, from); at >= 0; at = this.#find(name, at)) this.#fields.splice(at, 2);
  }

  #find(name: string, from: number): number {
    const fields = this.#fields;
    for (let at = from; at < fields.length; at += 2) if (sameName(fields[at]!, name)) return at;
    return -1;
  }
}

export const HeaderList = {
  /** Takes a copy of node's `rawHeaders`. */
  from: (rawHeaders: readonly string[]): HeaderList => new FieldList(rawHeaders.slice()),
  of: (fields: Readonly<Record<string, string>>): HeaderList => new FieldList(Object.entries(fields).flat()),
} as const;

/** Field names are the same without regard to case. */
export function sameName(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  if (one === other) return true;
  for (let at = 0; at < one.length; at += 1)
    if (lowered[one.charCodeAt(at)] !== lowered[other.charCodeAt(at)]) return false;
  return isToken(one);
}
