/** The server's side of a WebSocket (RFC 6455), binary messages both ways; no extensions. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Duplex } from "node:stream";

/** Anything longer ends the connection. */
const mostMessageBytes = 4 * 1024 * 1024;
const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface WebSocketPeer {
  /** Ends when the peer closes or is gone. Throws for what is no WebSocket. Read once. */
  messages: AsyncIterable<Buffer>;
  /** Resolves when more may be sent; never rejects. */
  send: (message: Uint8Array) => Promise<void>;
  close: (code?: number) => void;
}

export const isWebSocket = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade?.toLowerCase() === "websocket" && headers["sec-websocket-version"] === "13";

/** The subprotocols that the client offers, in its order. */
export const offeredProtocols = ({ headers }: IncomingMessage): string[] =>
  (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());

/** Answers the handshake. `head` is what came after the request's head. */
export function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocol: string,
): WebSocketPeer {
  const key = request.headers["sec-websocket-key"] ?? "";
  // The constant is the RFC's own.
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
      `Sec-WebSocket-Protocol: ${protocol}\r\n\r\n`,
  );
  if (head.length > 0) socket.unshift(head);
  let isClosed = false;
  const send = async (opcode: number, payload: Uint8Array): Promise<void> => {
    if (!socket.writable) return;
    socket.write(frameHead(opcode, payload.length));
    if (!socket.write(payload)) await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
  };
  const close = (code = 1000): void => {
    if (isClosed) return;
    isClosed = true;
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    void send(opcodes.close, payload);
    socket.end();
  };
  return { messages: messagesOf(socket, { send, close }), send: (message) => send(opcodes.binary, message), close };
}

function frameHead(opcode: number, length: number): Buffer {
  const first = 0x80 | opcode;
  if (length < 126) return Buffer.from([first, length]);
  if (length < 65_536) return Buffer.from([first, 126, length >> 8, length & 0xff]);
  const head = Buffer.alloc(10);
  head[0] = first;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

interface Frame {
  isFinal: boolean;
  opcode: number;
  payload: Buffer;
  /** Of the whole frame. */
  length: number;
}

/** The first frame of the bytes, undefined while it is not complete. */
function frameOf(bytes: Buffer): Frame | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes[1]! & 0x7f;
  const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
  const start = 2 + lengthBytes + 4;
  if ((bytes[1]! & 0x80) === 0 || (bytes[0]! & 0x70) !== 0) throw new Error("not a frame of a WebSocket client");
  if (bytes.length < start) return undefined;
  const size = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (size > mostMessageBytes) throw new Error("the message is too long");
  if (bytes.length < start + size) return undefined;
  const payload = Buffer.from(bytes.subarray(start, start + size));
  for (let index = 0; index < size; index++) payload[index]! ^= bytes[start - 4 + (index & 3)]!;
  return { isFinal: (bytes[0]! & 0x80) !== 0, opcode: bytes[0]! & 0x0f, payload, length: start + size };
}

async function* messagesOf(
  socket: Duplex,
  { send, close }: { send: (opcode: number, payload: Buffer) => Promise<void>; close: (code?: number) => void },
): AsyncGenerator<Buffer, void, undefined> {
  let bytes: Buffer = Buffer.alloc(0);
  let parts: Buffer[] = [];
  let partBytes = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    for (let frame = frameOf(bytes); frame !== undefined; frame = frameOf(bytes)) {
      bytes = bytes.subarray(frame.length);
      const { opcode, payload } = frame;
      if (opcode === opcodes.ping) await send(opcodes.pong, payload);
      else if (opcode === opcodes.close) {
        close();
        return;
      } else if (opcode !== opcodes.pong) {
        parts.push(payload);
        partBytes += payload.length;
        if (partBytes > mostMessageBytes) throw new Error("the message is too long");
        if (!frame.isFinal) continue;
        const message = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
        parts = [];
        partBytes = 0;
        yield message;
      }
    }
  }
}

/** The messages' bytes as one stream, for a protocol that is carried inside. */
export function webSocketStream({ messages, send, close }: WebSocketPeer): Duplex {
  const incoming = messages[Symbol.asyncIterator]();
  return new Duplex({
    read() {
      incoming.next().then(
        ({ done, value }) => this.push(done === true ? null : value),
        (error: unknown) => this.destroy(error as Error),
      );
    },
    write(chunk: Buffer, _, done) {
      void send(chunk).then(() => done());
    },
    final(done) {
      close();
      done();
    },
    destroy(error, done) {
      close();
      done(error);
    },
  });
}
