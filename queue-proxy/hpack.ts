/**
 * Header compression (RFC 7541) for a client that has announced a dynamic table of size 0: literals out, static indexes
 * and literals in. Only what a gRPC call answers with is looked up in the static table.
 */

/** Of a header block; a gRPC answer has some 200. */
export const maxHeaderBlockBytes = 64 * 1024;

/** Each field as a literal that is never indexed into anything. Values are ASCII. */
export function encodeFields(fields: readonly (readonly [string, string])[]): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    parts.push(Buffer.from([0]));
    for (const text of [name, value]) {
      const bytes = Buffer.from(text, "latin1");
      parts.push(encodeInteger(bytes.length), bytes);
    }
  }
  return Buffer.concat(parts);
}

/** With a 7-bit prefix whose first bit (Huffman) is 0. */
function encodeInteger(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Values of `:status` at the static indexes 8 to 14. */
const statuses = ["200", "204", "206", "304", "400", "404", "500"];
const staticFields = 61;

/**
 * The fields of one block, the first of a name winning. Names from the static table that no gRPC call needs come as
 * their index. Throws on anything malformed: the connection is then of no further use.
 */
export function decodeFields(block: Buffer): Map<string, string> {
  const fields = new Map<string, string>();
  const reader = new BlockReader(block);
  while (!reader.atEnd) {
    const first = reader.peek();
    if (first >= 0x80) {
      const index = reader.integer(7);
      const name = staticName(index);
      if (!fields.has(name)) fields.set(name, statuses[index - 8] ?? "");
      continue;
    }
    // A change of the dynamic table's size.
    if (first >= 0x20 && first < 0x40) {
      if (reader.integer(5) !== 0) throw new Error("HPACK: a dynamic table that was refused");
      continue;
    }
    const index = reader.integer(first >= 0x40 ? 6 : 4);
    const name = index === 0 ? reader.text() : staticName(index);
    const value = reader.text();
    if (!fields.has(name)) fields.set(name, value);
  }
  return fields;
}

function staticName(index: number): string {
  if (index < 1 || index > staticFields) throw new Error(`HPACK: no field has index ${index}`);
  if (index >= 8 && index <= 14) return ":status";
  return index === 31 ? "content-type" : String(index);
}

class BlockReader {
  readonly #block: Buffer;
  #at = 0;

  constructor(block: Buffer) {
    this.#block = block;
  }

  get atEnd(): boolean {
    return this.#at >= this.#block.length;
  }

  peek(): number {
    const byte = this.#block[this.#at];
    if (byte === undefined) throw new Error("HPACK: the block ends inside a field");
    return byte;
  }

  integer(prefixBits: number): number {
    const limit = 2 ** prefixBits - 1;
    let value = this.peek() & limit;
    this.#at += 1;
    if (value < limit) return value;
    for (let factor = 1; factor <= 128 ** 3; factor *= 128) {
      const byte = this.peek();
      this.#at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new Error("HPACK: a number with too many digits");
  }

  text(): string {
    const huffman = this.peek() >= 0x80;
    const length = this.integer(7);
    const bytes = this.#block.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new Error("HPACK: the block ends inside a text");
    this.#at += length;
    return huffman ? decodeHuffman(bytes) : bytes.toString("latin1");
  }
}

/**
 * Bits of the code of each symbol, 0 to 256 (RFC 7541 appendix B), as letters from "a" for 5. The codes themselves
 * follow: they count up within a length.
 */
const codeBits =
  "isxxxxxxxtzxxzxxxxxxxxzxxxxxxxxxbffhibdgffdgdbbbaaabbbbbbbcdkbhfibccccccccccccccccccccccdcdioijbkaba" +
  "babbbaccbbbabcbaabccccckgjixprpprrrsrssssststtrstssssqrsrsstrqprrssqsrrtqrssqqrqsrssprrrsrrsvvporsru" +
  "vvvwwvtuoqvwwvwtqqvvxwwwptpqrqqsrruuttvsvwvvwwwwwxwwwwwvz";

/** Code with a 1 before it, so that its length counts → symbol. */
let decoding: Map<number, number> | undefined;

function decodingTable(): Map<number, number> {
  const table = new Map<number, number>();
  let code = 0;
  for (let bits = 5; bits <= 30; bits += 1) {
    for (let symbol = 0; symbol <= 256; symbol += 1) {
      if (codeBits.charCodeAt(symbol) - 97 + 5 !== bits) continue;
      table.set(2 ** bits + code, symbol);
      code += 1;
    }
    code *= 2;
  }
  return table;
}

function decodeHuffman(bytes: Buffer): string {
  decoding ??= decodingTable();
  let out = "";
  let code = 1;
  for (const byte of bytes)
    for (let bit = 7; bit >= 0; bit -= 1) {
      code = code * 2 + ((byte >> bit) & 1);
      if (code >= 2 ** 31) throw new Error("HPACK: a code that nothing has");
      const symbol = decoding.get(code);
      if (symbol === undefined) continue;
      if (symbol === 256) throw new Error("HPACK: a text that holds its own end");
      out += String.fromCharCode(symbol);
      code = 1;
    }
  // What is left are up to 7 ones.
  if (code >= 256 || ((code + 1) & code) !== 0) throw new Error("HPACK: a text that ends inside a code");
  return out;
}
