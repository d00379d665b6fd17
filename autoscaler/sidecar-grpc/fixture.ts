/** For tests: a sidecar's side of a connection, frame by frame, so that it can also do what no sidecar does. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { frameHeadBytes, frameType, preface, setting } from "./plain-connection.ts";
import { decodePlainFields, encodePlainFields } from "./plain-fields.ts";

export interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(frameHeadBytes);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function grpcMessage(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

export const plainSettings = (...more: (readonly [number, number])[]): Buffer => {
  const payload = Buffer.concat(
    [[setting.headerTableSize, 0] as const, ...more].map(([name, value]) => {
      const entry = Buffer.alloc(6);
      entry.writeUInt16BE(name, 0);
      entry.writeUInt32BE(value, 2);
      return entry;
    }),
  );
  return frame(frameType.settings, 0, 0, payload);
};

export const headers = (stream: number, path: string, flags = 0x4): Buffer =>
  frame(
    frameType.headers,
    flags,
    stream,
    encodePlainFields([
      [":method", "POST"],
      [":path", path],
    ]),
  );

export const data = (stream: number, message: Uint8Array, flags = 0): Buffer =>
  frame(frameType.data, flags, stream, grpcMessage(message));

export class RawSidecar {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  ended = false;
  #received = Buffer.alloc(0);
  #news = Promise.withResolvers<void>();

  constructor(port: number) {
    this.socket = connect({ host: "127.0.0.1", port, noDelay: true });
    this.socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      for (;;) {
        const length = this.#received.length < frameHeadBytes ? Infinity : this.#received.readUIntBE(0, 3);
        if (this.#received.length < frameHeadBytes + length) break;
        const bytes = this.#received.subarray(0, frameHeadBytes + length);
        this.#received = this.#received.subarray(frameHeadBytes + length);
        const payload = bytes.subarray(frameHeadBytes);
        this.frames.push({ type: bytes[3]!, flags: bytes[4]!, stream: bytes.readUInt32BE(5), payload });
      }
      this.#tell();
    });
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => {
      this.ended = true;
      this.#tell();
    });
  }

  static async open(port: number, path: string): Promise<RawSidecar> {
    const sidecar = new RawSidecar(port);
    await once(sidecar.socket, "connect");
    sidecar.write(preface, plainSettings(), headers(1, path));
    return sidecar;
  }

  write(...bytes: Buffer[]): void {
    this.socket.write(Buffer.concat(bytes));
  }

  /** Messages of one stream. */
  messages(stream = 1): Buffer[] {
    return this.frames
      .filter((each) => each.type === frameType.data && each.stream === stream)
      .map(({ payload }) => payload.subarray(5));
  }

  /** The gRPC status that a stream was ended with. */
  status(stream = 1): number | undefined {
    for (const each of this.frames) {
      const status =
        each.type === frameType.headers && each.stream === stream
          ? decodePlainFields(each.payload).get("grpc-status")
          : undefined;
      if (status !== undefined) return Number(status);
    }
    return undefined;
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#news.promise;
  }

  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }
}
