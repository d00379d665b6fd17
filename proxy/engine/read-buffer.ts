/**
 * What all upstream connections read into. A read is looked at, and passed on or copied, before the next one begins, so
 * one buffer is enough for any number of connections, idle ones included, and no read allocates.
 */
export const readBuffer: Buffer = Buffer.allocUnsafeSlow(64 * 1024);

/** The octets of `chunk` are only there until the reading function returns. */
export function isLent(chunk: Buffer): boolean {
  return chunk.buffer === readBuffer.buffer;
}
