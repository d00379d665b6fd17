/** Finds the frame boundaries of one direction of a WebSocket (RFC 6455 5.2) without touching its bytes. */
export class WebSocketFrames {
  /** Payload bytes of the current frame still to come. */
  #payloadLeft = 0;
  /** The start of a frame header that is not whole yet; at most 14 bytes. */
  #header: number[] = [];

  /** A frame may be put in between now. */
  get atBoundary(): boolean {
    return this.#payloadLeft === 0 && this.#header.length === 0;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadLeft > 0) {
        const step = Math.min(this.#payloadLeft, chunk.length - at);
        this.#payloadLeft -= step;
        at += step;
        continue;
      }
      this.#header.push(chunk[at]!);
      at += 1;
      const payload = payloadBytes(this.#header);
      if (payload === undefined) continue;
      this.#header = [];
      this.#payloadLeft = payload;
    }
  }

  /** Where in `chunk` the current frame ends: bytes from there on belong to later frames. `chunk.length` if not in it. */
  endOfFrame(chunk: Buffer): number {
    for (let at = 0; at < chunk.length;) {
      if (this.atBoundary) return at;
      const step = this.#payloadLeft > 0 ? Math.min(this.#payloadLeft, chunk.length - at) : 1;
      this.push(chunk.subarray(at, at + step));
      at += step;
    }
    return chunk.length;
  }
}

/** Undefined while the header is not whole. */
function payloadBytes(header: readonly number[]): number | undefined {
  const second = header[1];
  if (second === undefined) return undefined;
  const short = second & 0x7f;
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
  const masked = (second & 0x80) !== 0 ? 4 : 0;
  if (header.length < 2 + extended + masked) return undefined;
  if (extended === 0) return short;
  let length = 0;
  for (let at = 2; at < 2 + extended; at += 1) length = length * 256 + header[at]!;
  return length;
}

/** From a server: FIN, close, unmasked, status 1001 "going away". */
export const goingAwayFrame = Buffer.from([0x88, 0x02, 0x03, 0xe9]);
