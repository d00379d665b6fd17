/**
 * One bidirectional gRPC call on a connection of its own, spoken directly on a socket: HTTP/2 (RFC 9113) as far as one
 * client stream needs it. A library costs this process more CPU and memory than all the rest (docs/adr/0006).
 */
import { connect, type Socket } from "node:net";
import { settings, uint32 } from "../process/http2-payload.ts";
import { decodeFields, encodeFields, maxHeaderBlockBytes } from "./hpack.ts";

export interface GrpcTarget {
  host: string;
  port: number;
  /** TLS with the system's roots; plain text otherwise. */
  secure?: boolean;
  /** Where to connect from; undefined lets the system choose. */
  localAddress: string | undefined;
  /** `/package.Service/Method`. */
  path: string;
}

export interface GrpcStreamEvents {
  onMessage: (message: Buffer) => void;
  /** After `send` returned false. */
  onDrain: () => void;
  /** Once, for whatever reason, also when nobody is there. Not after `close`. */
  onEnd: (error: Error, grpcStatus?: number) => void;
}

export type OpenGrpcStream = (target: GrpcTarget, events: GrpcStreamEvents) => GrpcStream;

export interface GrpcStream {
  /** False: wait for `onDrain` before the next one. */
  send(message: Buffer): boolean;
  /** Nothing more will be sent; the other side may still answer. */
  finish(): void;
  /** Cancels the call. */
  close(): void;
}

const frameType = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
const flag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;
const setting = { headerTableSize: 1, enablePush: 2, initialWindowSize: 4, maxFrameSize: 5 } as const;
const errorCode = { noError: 0, cancel: 8 } as const;

const streamId = 1;
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** The protocol's own defaults, which nothing here asks to change for the receiving side. */
const defaultWindowBytes = 65_535;
const maxFrameBytes = 16_384;
/** Consumed bytes are given back once they are so many. */
const returnWindowBytes = 16_384;
/** Of one message towards us; a directive has 10. */
const maxMessageBytes = 64 * 1024;

/** A half-open connection would hide this pod's load: without a byte for so long it is asked, and has so long to answer. */
const pingAfterMs = 20_000;
const pingAnswerMs = 5000;

export function openGrpcStream(target: GrpcTarget, events: GrpcStreamEvents): GrpcStream {
  return new Http2Call(target, events);
}

class Http2Call implements GrpcStream {
  readonly #socket: Socket;
  readonly #events: GrpcStreamEvents;
  #open = true;
  /** What may still be sent: of the connection and of the stream. */
  #connectionWindow = defaultWindowBytes;
  #streamWindow = defaultWindowBytes;
  #initialWindow = defaultWindowBytes;
  #maxFrameBytes = maxFrameBytes;
  /** Held back by a window; a message in parts keeps its place. */
  #held: Buffer = Buffer.alloc(0);
  #full = false;
  /** Of our direction: once asked for, it goes out behind what is held back. */
  #ending: "no" | "asked" | "sent" = "no";
  /** Received, not yet a whole frame. */
  #received: Buffer = Buffer.alloc(0);
  /** Received, not yet a whole message. */
  #message: Buffer = Buffer.alloc(0);
  #headerBlock: Buffer | undefined;
  #headersEndStream = false;
  #unreturnedBytes = 0;
  #silent = true;
  readonly #pingTimer: NodeJS.Timeout;
  #pingDeadline: NodeJS.Timeout | undefined;

  constructor(target: GrpcTarget, events: GrpcStreamEvents) {
    this.#events = events;
    const { host, port, localAddress } = target;
    const options = { host, port, noDelay: true, ...(localAddress === undefined ? {} : { localAddress }) };
    const socket =
      target.secure === true
        ? process.getBuiltinModule("node:tls").connect({ ...options, servername: host, ALPNProtocols: ["h2"] })
        : connect(options);
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("drain", () => this.#drain());
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("the connection was closed")));
    this.#pingTimer = setInterval(() => this.#checkAlive(), pingAfterMs).unref();
    const fields = encodeFields([
      [":method", "POST"],
      [":scheme", target.secure === true ? "https" : "http"],
      [":path", target.path],
      [":authority", host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`],
      ["te", "trailers"],
      ["content-type", "application/grpc"],
      ["user-agent", "swell-queue-proxy"],
    ]);
    socket.write(preface, "latin1");
    // Without a dynamic table the peer's header blocks can be read one by one.
    this.#write(frameType.settings, 0, 0, settings([setting.headerTableSize, 0], [setting.enablePush, 0]));
    this.#write(frameType.headers, flag.endHeaders, streamId, fields);
  }

  send(message: Buffer): boolean {
    if (!this.#open) return true;
    const framed = Buffer.allocUnsafe(5 + message.length);
    framed[0] = 0;
    framed.writeUInt32BE(message.length, 1);
    message.copy(framed, 5);
    this.#held = this.#held.length === 0 ? framed : Buffer.concat([this.#held, framed]);
    this.#flush();
    return !this.#full;
  }

  finish(): void {
    if (!this.#open || this.#ending !== "no") return;
    this.#ending = "asked";
    this.#flush();
  }

  close(): void {
    if (!this.#open) return;
    this.#stop();
    if (this.#socket.connecting) {
      this.#socket.destroy();
      return;
    }
    this.#write(frameType.reset, 0, streamId, uint32(errorCode.cancel));
    this.#socket.destroySoon();
  }

  #write(type: number, flags: number, stream: number, payload: Buffer): void {
    const head = Buffer.allocUnsafe(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    this.#socket.write(payload.length === 0 ? head : Buffer.concat([head, payload]));
  }

  /** Sends what the windows allow. */
  #flush(): void {
    while (this.#held.length > 0) {
      const length = Math.min(this.#held.length, this.#connectionWindow, this.#streamWindow, this.#maxFrameBytes);
      if (length <= 0) break;
      this.#write(frameType.data, 0, streamId, this.#held.subarray(0, length));
      this.#held = this.#held.subarray(length);
      this.#connectionWindow -= length;
      this.#streamWindow -= length;
    }
    this.#full = this.#held.length > 0 || this.#socket.writableNeedDrain;
    if (this.#ending === "asked" && this.#held.length === 0) {
      this.#ending = "sent";
      this.#write(frameType.data, flag.endStream, streamId, Buffer.alloc(0));
    }
  }

  #drain(): void {
    if (!this.#open || !this.#full) return;
    this.#flush();
    // Listeners may have filled it again.
    if (!this.#full) this.#events.onDrain();
  }

  #receive(chunk: Buffer): void {
    if (!this.#open) return;
    this.#silent = false;
    let bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    try {
      while (this.#open && bytes.length >= 9) {
        const length = bytes.readUIntBE(0, 3);
        if (length > maxFrameBytes) throw new Error(`HTTP/2: a frame of ${length} bytes`);
        if (bytes.length < 9 + length) break;
        this.#frame(bytes[3]!, bytes[4]!, bytes.readUInt32BE(5) & 0x7fffffff, bytes.subarray(9, 9 + length));
        bytes = bytes.subarray(9 + length);
      }
    } catch (error) {
      this.#end(error as Error);
      return;
    }
    this.#received = bytes;
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (this.#headerBlock !== undefined && type !== frameType.continuation)
      throw new Error("HTTP/2: another frame inside a header block");
    switch (type) {
      case frameType.data: {
        this.#returnWindow(payload.length);
        if (stream !== streamId) return;
        this.#messages(unpadded(payload, flags, 0));
        if ((flags & flag.endStream) !== 0) this.#end(new Error("the call ended without a status"));
        return;
      }
      case frameType.headers: {
        if (stream !== streamId) throw new Error("HTTP/2: headers of a stream that is not ours");
        this.#headersEndStream = (flags & flag.endStream) !== 0;
        this.#headers(unpadded(payload, flags, (flags & flag.priority) !== 0 ? 5 : 0), flags);
        return;
      }
      case frameType.continuation: {
        if (this.#headerBlock === undefined) throw new Error("HTTP/2: a header block without a start");
        this.#headers(payload, flags);
        return;
      }
      case frameType.reset: {
        if (stream === streamId) this.#end(new Error(`the call was reset (HTTP/2 error ${payload.readUInt32BE(0)})`));
        return;
      }
      case frameType.settings: {
        if ((flags & flag.ack) === 0) this.#settings(payload);
        return;
      }
      case frameType.ping: {
        if ((flags & flag.ack) === 0) this.#write(frameType.ping, flag.ack, 0, payload);
        return;
      }
      case frameType.goAway: {
        // Its calls may run on; with an error, or when ours never came through, nothing is to be hoped for.
        const lastStream = payload.readUInt32BE(0) & 0x7fffffff;
        const code = payload.readUInt32BE(4);
        if (code !== errorCode.noError || lastStream < streamId)
          this.#end(new Error(`the other side went away (HTTP/2 error ${code})`));
        return;
      }
      case frameType.windowUpdate: {
        const increment = payload.readUInt32BE(0) & 0x7fffffff;
        if (stream === 0) this.#connectionWindow += increment;
        else if (stream === streamId) this.#streamWindow += increment;
        this.#drain();
        return;
      }
      default:
        // Unknown frames are to be passed over (RFC 9113 4.1).
        return;
    }
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      const name = payload.readUInt16BE(at);
      if (name === setting.initialWindowSize) {
        this.#streamWindow += value - this.#initialWindow;
        this.#initialWindow = value;
      } else if (name === setting.maxFrameSize) this.#maxFrameBytes = Math.max(maxFrameBytes, value);
    }
    this.#write(frameType.settings, flag.ack, 0, Buffer.alloc(0));
    this.#drain();
  }

  #headers(part: Buffer, flags: number): void {
    const block = this.#headerBlock === undefined ? part : Buffer.concat([this.#headerBlock, part]);
    if (block.length > maxHeaderBlockBytes) throw new Error(`HTTP/2: a header block of ${block.length} bytes`);
    if ((flags & flag.endHeaders) === 0) {
      this.#headerBlock = block;
      return;
    }
    this.#headerBlock = undefined;
    const fields = decodeFields(block);
    const status = fields.get(":status");
    const grpcStatus = fields.get("grpc-status");
    if (this.#headersEndStream) {
      const reason = grpcStatus === undefined ? `HTTP ${status ?? "?"}` : `gRPC status ${grpcStatus}`;
      const error = new Error(`the call ended with ${reason}: ${decoded(fields.get("grpc-message") ?? "")}`);
      this.#end(error, grpcStatus === undefined ? undefined : Number(grpcStatus));
    } else if (status !== undefined && !status.startsWith("1") && status !== "200")
      this.#end(new Error(`the call was answered with HTTP ${status}`));
  }

  #messages(chunk: Buffer): void {
    let bytes = this.#message.length === 0 ? chunk : Buffer.concat([this.#message, chunk]);
    while (this.#open && bytes.length >= 5) {
      const length = bytes.readUInt32BE(1);
      if (bytes[0] !== 0) throw new Error("gRPC: a compressed message, which was not offered");
      if (length > maxMessageBytes) throw new Error(`gRPC: a message of ${length} bytes`);
      if (bytes.length < 5 + length) break;
      this.#events.onMessage(bytes.subarray(5, 5 + length));
      bytes = bytes.subarray(5 + length);
    }
    // A copy: what was received may be a slice of a far larger pool.
    this.#message = Buffer.from(bytes);
  }

  #returnWindow(bytes: number): void {
    this.#unreturnedBytes += bytes;
    if (this.#unreturnedBytes < returnWindowBytes) return;
    for (const stream of [0, streamId]) this.#write(frameType.windowUpdate, 0, stream, uint32(this.#unreturnedBytes));
    this.#unreturnedBytes = 0;
  }

  #checkAlive(): void {
    if (!this.#silent) {
      this.#silent = true;
      return;
    }
    this.#write(frameType.ping, 0, 0, Buffer.alloc(8));
    clearTimeout(this.#pingDeadline);
    this.#pingDeadline = setTimeout(() => {
      if (this.#silent) this.#end(new Error(`the connection is dead: no answer to a ping for ${pingAnswerMs} ms`));
    }, pingAnswerMs).unref();
  }

  #stop(): void {
    this.#open = false;
    clearInterval(this.#pingTimer);
    clearTimeout(this.#pingDeadline);
  }

  #end(error: Error, grpcStatus?: number): void {
    if (!this.#open) return;
    this.#stop();
    this.#socket.destroy();
    this.#events.onEnd(error, grpcStatus);
  }
}

/** `prefix`: bytes between the padding's length and the content. */
function unpadded(payload: Buffer, flags: number, prefix: number): Buffer {
  if ((flags & flag.padded) === 0) return payload.subarray(prefix);
  const padding = payload[0] ?? 0;
  const end = payload.length - padding;
  if (end < 1 + prefix) throw new Error("HTTP/2: more padding than frame");
  return payload.subarray(1 + prefix, end);
}

/** gRPC percent-encodes its messages. */
function decoded(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}
