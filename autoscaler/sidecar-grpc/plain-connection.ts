/**
 * One connection of a sidecar: as much of HTTP/2 (RFC 9113) as `queue-proxy/grpc-stream.ts` speaks, for calls that are
 * streams of small messages. What a sidecar does not send is refused with the connection. docs/adr/0008 says why.
 */
import type { Socket } from "node:net";
import { settings, uint32 } from "../../process/http2-payload.ts";
import { decodePlainFields, encodePlainFields } from "./plain-fields.ts";

export interface PlainCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The connection's, `address:port`. */
  readonly peer: string;
  send(message: Buffer): void;
  /** With a gRPC status; nothing is taken in any more. */
  end(status: number, message: string): void;
}

export interface PlainCallHandler {
  message(bytes: Buffer): void;
  /** Once, for whatever reason; not after `PlainCall.end`. */
  ended(): void;
}

export interface PlainConnectionOwner {
  /** Undefined: there is no such method. */
  open(call: PlainCall): PlainCallHandler | undefined;
  /** The other side does not keep to the protocol. */
  broken(error: Error): void;
  gone(connection: PlainConnection): void;
}

export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
export const frameHeadBytes = 9;
export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const setting = { headerTableSize: 1, maxConcurrentStreams: 3, initialWindowSize: 4 } as const;
const flag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;
const errorCode = { none: 0, protocol: 1, refusedStream: 7, enhanceYourCalm: 11 } as const;
const unimplemented = 12;

const maxFrameBytes = 16_384;
const defaultWindowBytes = 65_535;
const largestWindowBytes = 0x7fffffff;
/** Consumed bytes are given back once they are so many. */
const returnWindowBytes = 16_384;
/** Of one message; a hello has some 900 with the longest names. */
const maxMessageBytes = 16_384;
/** As much may wait for a client that does not read; what it makes us answer is bounded by this, too. */
const maxWaitingBytes = 64 * 1024;
/** A client that does not read our goodbye is left after this. */
const lingerMs = 5000;
/** A sidecar has one call. */
export const maxStreams = 16;
const nothing = Buffer.alloc(0);

interface Call {
  readonly id: number;
  handler: PlainCallHandler | undefined;
  /** What it may still be sent. */
  window: number;
  unreturnedBytes: number;
  /** Received, not yet a whole message. */
  partial: Buffer;
  answered: boolean;
}

export class PlainConnection {
  readonly #socket: Socket;
  readonly #owner: PlainConnectionOwner;
  readonly #peer: string;
  readonly #calls = new Map<number, Call>();
  #lastStream = 0;
  #window = defaultWindowBytes;
  #initialWindow = defaultWindowBytes;
  #unreturnedBytes = 0;
  /** Received, not yet a whole frame. */
  #received: Buffer = nothing;
  #open = true;
  /** Nothing came since this was set. */
  silent = false;

  /** `received`: what was read from the socket already, from the client's first SETTINGS on. */
  constructor(socket: Socket, received: Buffer, owner: PlainConnectionOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.#peer = `${socket.remoteAddress ?? "unknown"}:${socket.remotePort ?? 0}`;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", () => this.#stop());
    socket.on("close", () => this.#stop());
    socket.on("end", () => this.destroy());
    this.#write(frameType.settings, 0, 0, settings([setting.maxConcurrentStreams, maxStreams]));
    this.#receive(received);
  }

  get isOpen(): boolean {
    return this.#open;
  }

  destroy(): void {
    this.#stop();
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    if (!this.#open) return;
    this.silent = false;
    let bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    try {
      while (bytes.length >= frameHeadBytes) {
        const length = bytes.readUIntBE(0, 3);
        if (length > maxFrameBytes) throw new Error(`a frame of ${length} bytes`);
        if (bytes.length < frameHeadBytes + length) break;
        const stream = bytes.readUInt32BE(5) & largestWindowBytes;
        this.#frame(bytes[3]!, bytes[4]!, stream, bytes.subarray(frameHeadBytes, frameHeadBytes + length));
        if (!this.#open) return;
        bytes = bytes.subarray(frameHeadBytes + length);
      }
    } catch (error) {
      this.#owner.broken(error as Error);
      this.#goAway(errorCode.protocol);
      return;
    }
    // A copy: a slice would keep the whole of what was read.
    this.#received = bytes.length === 0 ? nothing : Buffer.from(bytes);
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    switch (type) {
      case frameType.data:
        return this.#data(flags, stream, payload);
      case frameType.headers:
        return this.#headers(flags, stream, payload);
      case frameType.reset: {
        if (payload.length !== 4 || stream === 0 || stream > this.#lastStream) throw new Error("a bad reset");
        this.#ended(this.#calls.get(stream));
        return;
      }
      case frameType.settings: {
        if (stream !== 0 || payload.length % 6 !== 0) throw new Error("bad settings");
        if ((flags & flag.ack) === 0) this.#settings(payload);
        return;
      }
      case frameType.ping: {
        if (stream !== 0 || payload.length !== 8) throw new Error("a bad ping");
        if ((flags & flag.ack) === 0) this.#write(frameType.ping, flag.ack, 0, payload);
        return;
      }
      case frameType.windowUpdate: {
        const increment = payload.length === 4 ? payload.readUInt32BE(0) & largestWindowBytes : 0;
        if (increment === 0) throw new Error("a bad window update");
        const call = this.#calls.get(stream);
        if (stream === 0) this.#window += increment;
        else if (call !== undefined) call.window += increment;
        if (this.#window > largestWindowBytes || (call?.window ?? 0) > largestWindowBytes)
          throw new Error("a window that is too large");
        return;
      }
      case frameType.pushPromise:
      case frameType.continuation:
        throw new Error(`a frame of type ${type}`);
      default:
        // PRIORITY and GOAWAY say nothing to us; unknown ones are to be passed over (RFC 9113 4.1).
        return;
    }
  }

  #headers(flags: number, stream: number, payload: Buffer): void {
    const known = this.#calls.get(stream);
    if (known !== undefined) {
      // The client's trailers.
      if ((flags & flag.endStream) === 0) throw new Error("headers within a call");
      this.#ended(known);
      return;
    }
    if (stream % 2 === 0 || stream <= this.#lastStream) throw new Error(`headers of stream ${stream}`);
    if ((flags & (flag.padded | flag.priority)) !== 0 || (flags & flag.endHeaders) === 0)
      throw new Error("a header block that is not plain");
    this.#lastStream = stream;
    const path = decodePlainFields(payload).get(":path") ?? "";
    if (this.#calls.size >= maxStreams) {
      this.#write(frameType.reset, 0, stream, uint32(errorCode.refusedStream));
      return;
    }
    const call: Call = {
      id: stream,
      handler: undefined,
      window: this.#initialWindow,
      unreturnedBytes: 0,
      partial: nothing,
      answered: false,
    };
    this.#calls.set(stream, call);
    const handler = this.#owner.open({
      path,
      peer: this.#peer,
      send: (message) => this.#send(call, message),
      end: (status, message) => this.#end(call, status, message),
    });
    if (handler === undefined) this.#end(call, unimplemented, `there is no ${path}`);
    // It may have been ended already.
    else if (this.#calls.get(stream) === call) call.handler = handler;
    if ((flags & flag.endStream) !== 0) this.#ended(call);
  }

  #data(flags: number, stream: number, payload: Buffer): void {
    if (stream === 0 || stream > this.#lastStream) throw new Error(`data of stream ${stream}`);
    if ((flags & flag.padded) !== 0) throw new Error("data that is not plain");
    const call = this.#calls.get(stream);
    this.#unreturnedBytes += payload.length;
    if (this.#unreturnedBytes >= returnWindowBytes) {
      this.#write(frameType.windowUpdate, 0, 0, uint32(this.#unreturnedBytes));
      this.#unreturnedBytes = 0;
    }
    // What was under way when we ended the call.
    if (call === undefined) return;
    call.unreturnedBytes += payload.length;
    if (call.unreturnedBytes >= returnWindowBytes) {
      this.#write(frameType.windowUpdate, 0, stream, uint32(call.unreturnedBytes));
      call.unreturnedBytes = 0;
    }
    this.#messages(call, payload);
    if ((flags & flag.endStream) !== 0) this.#ended(call);
  }

  #messages(call: Call, payload: Buffer): void {
    let bytes = call.partial.length === 0 ? payload : Buffer.concat([call.partial, payload]);
    while (bytes.length >= 5) {
      const length = bytes.readUInt32BE(1);
      if (bytes[0] !== 0) throw new Error("a compressed message");
      if (length > maxMessageBytes) throw new Error(`a message of ${length} bytes`);
      if (bytes.length < 5 + length) break;
      call.handler?.message(bytes.subarray(5, 5 + length));
      if (this.#calls.get(call.id) !== call) return;
      bytes = bytes.subarray(5 + length);
    }
    call.partial = bytes.length === 0 ? nothing : Buffer.from(bytes);
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) !== setting.initialWindowSize) continue;
      const value = payload.readUInt32BE(at + 2);
      if (value > largestWindowBytes) throw new Error("a window that is too large");
      for (const call of this.#calls.values()) call.window += value - this.#initialWindow;
      this.#initialWindow = value;
    }
    this.#write(frameType.settings, flag.ack, 0, nothing);
  }

  #send(call: Call, message: Buffer): void {
    if (!this.#open || this.#calls.get(call.id) !== call) return;
    const length = 5 + message.length;
    this.#window -= length;
    call.window -= length;
    // It gives back what it has read; whoever does not read at all need not be told.
    if (this.#window < 0 || call.window < 0) {
      this.#goAway(errorCode.enhanceYourCalm);
      return;
    }
    this.#answer(call);
    const frame = Buffer.allocUnsafe(frameHeadBytes + length);
    frameHead(frame, length, frameType.data, 0, call.id);
    frame[frameHeadBytes] = 0;
    frame.writeUInt32BE(message.length, frameHeadBytes + 1);
    message.copy(frame, frameHeadBytes + 5);
    this.#writeBytes(frame);
  }

  #answer(call: Call): void {
    if (call.answered) return;
    call.answered = true;
    this.#write(frameType.headers, flag.endHeaders, call.id, answerFields);
  }

  #end(call: Call, status: number, message: string): void {
    if (this.#calls.get(call.id) !== call) return;
    this.#calls.delete(call.id);
    const trailers = encodePlainFields([
      ["grpc-status", String(status)],
      ["grpc-message", encodeURIComponent(message)],
    ]);
    const fields = call.answered ? trailers : Buffer.concat([answerFields, trailers]);
    this.#write(frameType.headers, flag.endHeaders | flag.endStream, call.id, fields);
    this.#closeIfUnused();
  }

  /** The client has ended or cancelled it. */
  #ended(call: Call | undefined): void {
    if (call === undefined || this.#calls.get(call.id) !== call) return;
    call.handler?.ended();
    this.#end(call, 0, "");
  }

  /** A connection whose calls were refused or have ended does not stay. */
  #closeIfUnused(): void {
    if (this.#calls.size === 0) this.#goAway(errorCode.none);
  }

  #goAway(code: number): void {
    if (!this.#open) return;
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(this.#lastStream, 0);
    payload.writeUInt32BE(code, 4);
    this.#write(frameType.goAway, 0, 0, payload);
    this.#stop();
    this.#socket.setTimeout(lingerMs, () => this.#socket.destroy());
    this.#socket.destroySoon();
  }

  #write(type: number, flags: number, stream: number, payload: Buffer): void {
    const frame = Buffer.allocUnsafe(frameHeadBytes + payload.length);
    frameHead(frame, payload.length, type, flags, stream);
    payload.copy(frame, frameHeadBytes);
    this.#writeBytes(frame);
  }

  #writeBytes(bytes: Buffer): void {
    if (!this.#open) return;
    this.#socket.write(bytes);
    if (this.#socket.writableLength > maxWaitingBytes) this.destroy();
  }

  #stop(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#received = nothing;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const { handler } of calls) handler?.ended();
    this.#owner.gone(this);
  }
}

const answerFields = encodePlainFields([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);

function frameHead(frame: Buffer, length: number, type: number, flags: number, stream: number): void {
  frame.writeUIntBE(length, 0, 3);
  frame[3] = type;
  frame[4] = flags;
  frame.writeUInt32BE(stream, 5);
}
