/**
 * Header fields in order of arrival, as they were spelled. Names compare without regard to case. A request has some
 * ten fields, so a scan over one flat array is cheaper than any index.
 */
export class HeaderList {
  /** Name, value, name, value, … */
  readonly #fields: string[];

  private constructor(fields: string[]) {
    this.#fields = fields;
  }

  /** Takes a copy of node's `rawHeaders`. */
  static from(rawHeaders: readonly string[]): HeaderList {
    return new HeaderList(rawHeaders.slice());
  }

  static of(fields: Readonly<Record<string, string>>): HeaderList {
    return new HeaderList(Object.entries(fields).flat());
  }

  /** The first value; a repeated field has others, see {@link all}. */
  get(name: string): string | undefined {
    const at = this.#find(name, 0);
    return at < 0 ? undefined : this.#fields[at + 1];
  }

  /** Every value in order. */
  all(name: string): string[] {
    const values: string[] = [];
    for (let at = this.#find(name, 0); at >= 0; at = this.#find(name, at + 2)) values.push(this.#fields[at + 1]!);
    return values;
  }

  has(name: string): boolean {
    return this.#find(name, 0) >= 0;
  }

  /** Keeps the place and the spelling of the first field of that name; further ones go. */
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

  /** The flat list itself, in the form node:http and node:http2 take: name, value, name, value. Do not change it. */
  raw(): string[] {
    return this.#fields;
  }

  #deleteFrom(name: string, from: number): void {
    for (let at = this.#find(name, from); at >= 0; at = this.#find(name, at)) this.#fields.splice(at, 2);
  }

  #find(name: string, from: number): number {
    const fields = this.#fields;
    const { length } = name;
    let lower: string | undefined;
    for (let at = from; at < fields.length; at += 2) {
      const candidate = fields[at]!;
      if (candidate.length !== length) continue;
      if (candidate === name) return at;
      lower ??= name.toLowerCase();
      if (candidate.toLowerCase() === lower) return at;
    }
    return -1;
  }
}
