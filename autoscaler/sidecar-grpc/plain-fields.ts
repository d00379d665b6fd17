/**
 * Header fields as sidecars send them: every field a literal, nothing indexed, nothing compressed (RFC 7541 6.2.2 with
 * a name of its own and no Huffman coding). Needs no state of its connection.
 */

/** Of one field's name or value; a path has some 30. */
const maxTextBytes = 1024;

/** Throws on any other representation. */
export function decodePlainFields(block: Buffer): Map<string, string> {
  const fields = new Map<string, string>();
  let at = 0;
  const text = (): string => {
    let length = block[at] ?? 0x80;
    if (length >= 0x80) throw new Error("HPACK: not a plain text");
    at += 1;
    if (length === 0x7f) {
      const [low, high = 0] = [block[at] ?? 0, (block[at] ?? 0) >= 0x80 ? block[at + 1] : 0];
      at += low >= 0x80 ? 2 : 1;
      if (high >= 0x80) throw new Error("HPACK: a text that is too long");
      length += (low & 0x7f) + high * 128;
    }
    if (length > maxTextBytes || at + length > block.length) throw new Error("HPACK: a text that does not end");
    at += length;
    return block.toString("latin1", at - length, at);
  };
  while (at < block.length) {
    if (block[at] !== 0) throw new Error("HPACK: not a plain field");
    at += 1;
    const name = text();
    const value = text();
    if (!fields.has(name)) fields.set(name, value);
  }
  return fields;
}

export function encodePlainFields(fields: Iterable<readonly [string, string]>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) {
    parts.push(Buffer.of(0));
    for (const text of [name, value]) {
      const bytes = Buffer.from(text.slice(0, maxTextBytes), "latin1");
      const rest = bytes.length - 0x7f;
      const length = rest < 0 ? [bytes.length] : rest < 128 ? [0x7f, rest] : [0x7f, (rest & 0x7f) | 0x80, rest >> 7];
      parts.push(Buffer.from(length), bytes);
    }
  }
  return Buffer.concat(parts);
}
