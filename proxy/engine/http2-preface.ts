const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** Whether a connection that begins with `bytes` speaks HTTP/2 (RFC 9113 3.4); undefined: too few to tell. */
export function speaksHttp2(bytes: Buffer): boolean | undefined {
  if (bytes[0] !== preface[0]) return false;
  const length = Math.min(bytes.length, preface.length);
  if (bytes.compare(preface, 0, length, 0, length) !== 0) return false;
  return length === preface.length ? true : undefined;
}
