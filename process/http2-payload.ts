/** Payloads of HTTP/2 frames (RFC 9113 6.5, 6.9), for both ends of the sidecars' streams. */

/** Of SETTINGS: identifier and value of each. */
export function settings(...values: (readonly [number, number])[]): Buffer {
  const payload = Buffer.allocUnsafe(6 * values.length);
  for (const [index, [name, value]] of values.entries()) {
    payload.writeUInt16BE(name, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  }
  return payload;
}

/** Of WINDOW_UPDATE, RST_STREAM and the like. */
export function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
