/**
 * Classes of octets in a message head. Text is latin1 throughout: one character is one octet, so obs-text (RFC 9110
 * 5.5) passes unread and unchanged.
 */

export const tab = 0x09;
export const lineFeed = 0x0a;
export const carriageReturn = 0x0d;
export const space = 0x20;
export const colon = 0x3a;

/** tchar: method, field name, transfer coding, connection option. */
export const tokenOctet = 1;
/** Field value, reason phrase: visible, obs-text, SP, HTAB. Never another control octet, DEL included. */
export const valueOctet = 2;
/**
 * Request target: visible ASCII. RFC 3986 allows less, but paths are passed on verbatim and what browsers leave unescaped
 * (`|`, `{`) has to pass. Not `#`: a fragment never goes over the wire, and servers differ on it.
 */
export const targetOctet = 4;
/** reg-name without the comma (RFC 3986 3.2.2), which is how a merged duplicate Host looks. */
export const hostOctet = 8;
/** Chunk extension value in quotes: qdtext, so neither `"` nor `\`. */
export const quotedOctet = 16;

export const octets: Uint8Array = classify();

function classify(): Uint8Array {
  const table = new Uint8Array(256);
  const mark = (text: string, bit: number): void => {
    for (let at = 0; at < text.length; at += 1) table[text.charCodeAt(at)]! |= bit;
  };
  const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  mark(`${alphanumeric}!#$%&'*+-.^_\`|~`, tokenOctet);
  mark(`${alphanumeric}-._~%!$&'()*+;=`, hostOctet);
  for (let octet = 0x20; octet < 0x100; octet += 1) if (octet !== 0x7f) table[octet]! |= valueOctet;
  table[tab]! |= valueOctet;
  for (let octet = 0; octet < 0x100; octet += 1) {
    if ((table[octet]! & valueOctet) === 0) continue;
    if (octet > space && octet < 0x7f && octet !== 0x23) table[octet]! |= targetOctet;
    if (octet !== 0x22 && octet !== 0x5c) table[octet]! |= quotedOctet;
  }
  return table;
}

/** ASCII lower case per octet. */
export const lowered: Uint8Array = Uint8Array.from({ length: 256 }, (_, octet) =>
  octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet,
);

/** Value of a hexadecimal digit, 16 for any other octet. */
export const hexDigits: Uint8Array = Uint8Array.from({ length: 256 }, (_, octet) => {
  const digit = Number.parseInt(String.fromCharCode(octet), 16);
  return Number.isNaN(digit) ? 16 : digit;
});

/** Every character belongs to the class. A character past latin1 never does: written as latin1 it would be another. */
export function consistsOf(octetClass: number, text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code > 0xff || (octets[code]! & octetClass) === 0) return false;
  }
  return true;
}

export function isToken(text: string): boolean {
  return text.length > 0 && consistsOf(tokenOctet, text);
}

/** Without the white space around it: SP and HTAB, not what `trim` takes for space (0xA0, say). */
export function trimmed(text: string): string {
  return text.replace(/^[\t ]+|[\t ]+$/g, "");
}

/** A list by commas (RFC 9110 5.6.1), elements without their white space, empty elements left out. */
export function listElements(value: string): string[] {
  const elements: string[] = [];
  for (const part of value.split(",")) {
    const element = trimmed(part);
    if (element !== "") elements.push(element);
  }
  return elements;
}
