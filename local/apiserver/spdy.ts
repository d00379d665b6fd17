/**
 * The server's side of SPDY/3.1 as kubectl speaks it for exec and port-forward: the client opens streams, each is a
 * pipe of bytes in both directions. No flow control per stream: a stream that is not read holds up its connection.
 */
import { once } from "node:events";
import { Duplex } from "node:stream";
import { constants, createDeflate, createInflate, type Deflate, type Inflate } from "node:zlib";
import { spdyDictionary } from "./spdy-dictionary.ts";

const types = { synStream: 1, synReply: 2, reset: 3, settings: 4, ping: 6, goAway: 7, headers: 8, window: 9 } as const;
const finFlag = 1;
const version = 3;
const cancelStatus = 5;
const mostFrameBytes = 4 * 1024 * 1024;
const mostHeaderBytes = 64 * 1024;
const mostDataBytes = 32 * 1024;
/** What a stream holds unread before its connection waits. */
const mostUnreadBytes = 1024 * 1024;
const mostStreams = 1000;

export interface SpdyConnection {
  /** Resolves when the connection is over; never rejects. */
  closed: Promise<void>;
  /** Ends every stream and the transport. */
  end: () => void;
}

/** Calls back for each stream that the client opens, after it was accepted. */
export function serveSpdy(transport: Duplex, onStream: (stream: SpdyStream) => void): SpdyConnection {
  const streams = new Map<number, SpdyStream>();
  const inflate = createInflate({ dictionary: spdyDictionary, flush: constants.Z_SYNC_FLUSH });
  const deflate = createDeflate({ dictionary: spdyDictionary, flush: constants.Z_SYNC_FLUSH });

  async function send(...parts: Uint8Array[]): Promise<void> {
    if (!transport.writable) return;
    let isFull = false;
    for (const part of parts) isFull = !transport.write(part);
    if (isFull) await Promise.race([once(transport, "drain"), once(transport, "close")]).catch(() => {});
  }
  const sendControl = (type: number, flags: number, body: Buffer): Promise<void> =>
    send(controlHead(type, flags, body.length), body);

  async function open(id: number, flags: number, block: Buffer): Promise<void> {
    if (streams.size >= mostStreams) throw new Error("too many streams");
    const headers = readHeaders(await passed(inflate, block));
    const stream = new SpdyStream(id, headers, {
      data: (bytes) => send(dataHead(id, 0, bytes.length), bytes),
      finish: () => send(dataHead(id, finFlag, 0)),
      reset: () => void sendControl(types.reset, 0, words(id, cancelStatus)),
      forget: () => streams.delete(id),
    });
    streams.set(id, stream);
    const noHeaders = await passed(deflate, words(0));
    await sendControl(types.synReply, 0, Buffer.concat([words(id), noHeaders]));
    onStream(stream);
    if ((flags & finFlag) !== 0) stream.receiveEnd();
  }

  async function control(type: number, flags: number, body: Buffer): Promise<void> {
    const id = (): number => body.readUInt32BE(0) & 0x7fffffff;
    switch (type) {
      case types.synStream:
        return open(id(), flags, body.subarray(10));
      case types.headers:
        // Nothing is done with them, but later blocks go on from them.
        await passed(inflate, body.subarray(4));
        break;
      case types.reset:
        streams.get(id())?.destroy();
        break;
      case types.ping:
        await sendControl(types.ping, 0, body);
        break;
      default:
        break;
    }
    if (type === types.headers && (flags & finFlag) !== 0) streams.get(id())?.receiveEnd();
  }

  async function read(): Promise<void> {
    let bytes: Buffer = Buffer.alloc(0);
    for await (const chunk of transport as AsyncIterable<Buffer>) {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      while (bytes.length >= 8) {
        const length = bytes.readUIntBE(5, 3);
        if (length > mostFrameBytes) throw new Error("the frame is too long");
        if (bytes.length < 8 + length) break;
        const isControl = (bytes[0]! & 0x80) !== 0;
        const [flags, body] = [bytes[4]!, bytes.subarray(8, 8 + length)];
        if (isControl) {
          if ((bytes.readUInt16BE(0) & 0x7fff) !== version) throw new Error("not a SPDY/3 frame");
          await control(bytes.readUInt16BE(2), flags, body);
        } else {
          const stream = streams.get(bytes.readUInt32BE(0) & 0x7fffffff);
          if (length > 0) await stream?.receive(Buffer.from(body));
          if ((flags & finFlag) !== 0) stream?.receiveEnd();
        }
        bytes = bytes.subarray(8 + length);
      }
    }
  }

  const end = (): void => {
    for (const stream of streams.values()) stream.destroy();
    transport.end();
  };
  const closed = read()
    .catch(() => {}) // whatever it was, the connection is over
    .finally(() => {
      for (const stream of streams.values()) stream.destroy();
      inflate.close();
      deflate.close();
      transport.destroy();
    });
  return { closed, end };
}

interface StreamOutput {
  data: (bytes: Buffer) => Promise<void>;
  finish: () => Promise<void>;
  reset: () => void;
  forget: () => void;
}

/** One stream of a connection. */
export class SpdyStream extends Duplex {
  readonly id: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly #output: StreamOutput;
  #isDone = { received: false, sent: false };
  #onRead: (() => void) | undefined;

  constructor(id: number, headers: Readonly<Record<string, string>>, output: StreamOutput) {
    super({ allowHalfOpen: true });
    this.id = id;
    this.headers = headers;
    this.#output = output;
    this.on("error", () => {}); // its user hears of it as its end
  }

  /** Resolves when more may come. */
  async receive(bytes: Buffer): Promise<void> {
    if (this.destroyed || this.#isDone.received) return;
    this.push(bytes);
    if (this.readableLength <= mostUnreadBytes) return;
    await new Promise<void>((resolve) => (this.#onRead = resolve));
  }

  receiveEnd(): void {
    if (this.#isDone.received || this.destroyed) return;
    this.#isDone.received = true;
    this.push(null);
  }

  override _read(): void {
    if (this.readableLength > mostUnreadBytes) return;
    this.#onRead?.();
    this.#onRead = undefined;
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error) => void): void {
    const sendAll = async (): Promise<void> => {
      for (let at = 0; at < chunk.length; at += mostDataBytes)
        await this.#output.data(chunk.subarray(at, at + mostDataBytes));
    };
    void sendAll().then(() => done());
  }

  override _final(done: (error?: Error) => void): void {
    this.#isDone.sent = true;
    void this.#output.finish().then(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#onRead?.();
    this.#output.forget();
    if (!this.#isDone.received || !this.#isDone.sent) this.#output.reset();
    done(error);
  }
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
  return bytes;
}

const controlHead = (type: number, flags: number, length: number): Buffer =>
  words((0x80000000 | (version << 16) | type) >>> 0, ((flags << 24) | length) >>> 0);
const dataHead = (id: number, flags: number, length: number): Buffer => words(id, ((flags << 24) | length) >>> 0);

/** What a compressor of the connection makes of the next block. */
async function passed(through: Inflate | Deflate, block: Buffer): Promise<Buffer> {
  await new Promise<void>((resolve, reject) => {
    through.once("error", reject);
    through.write(block, () => {
      through.off("error", reject);
      resolve();
    });
  });
  const parts: Buffer[] = [];
  let total = 0;
  for (let part = through.read() as Buffer | null; part !== null; part = through.read() as Buffer | null) {
    parts.push(part);
    total += part.length;
    if (total > mostHeaderBytes) throw new Error("the headers are too long");
  }
  return Buffer.concat(parts);
}

function readHeaders(block: Buffer): Record<string, string> {
  let at = 0;
  const number = (): number => block.readUInt32BE((at += 4) - 4);
  const text = (): string => {
    const length = number();
    return block.toString("utf8", at, (at += length));
  };
  const headers: Record<string, string> = {};
  for (let left = number(); left > 0; left--) {
    const name = text().toLowerCase();
    headers[name] = text();
  }
  return headers;
}
