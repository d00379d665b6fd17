/** A WebSocket that sends one masked message and waits for its echo. */
import { connect, type Socket } from "node:net";
import { host } from "../scenarios.ts";
import type { Target } from "./job.ts";
import type { Done, Link } from "./link.ts";

const readBuffer = Buffer.allocUnsafe(64 * 1024);
const payload = Buffer.from("hello world\n");

export const handshake = `GET /echo HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
/** RFC 6455's own example for that key. */
export const acceptOfHandshake = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** A message of a client, masked with a fixed key. */
export function maskedMessage(message: Buffer): Buffer {
  const mask = [0x37, 0xfa, 0x21, 0x3d];
  const head =
    message.length < 126 ? [0x82, 0x80 | message.length] : [0x82, 0xfe, message.length >> 8, message.length & 0xff];
  return Buffer.from([...head, ...mask, ...message.map((byte, index) => byte ^ mask[index & 3]!)]);
}

const frame = maskedMessage(payload);
const echoBytes = 2 + payload.length;

export class WebSocketLink implements Link {
  readonly ready: Promise<void>;
  readonly #socket: Socket;
  readonly #done: Done;
  #busy = false;
  #head = "";
  #upgraded = false;
  #got = 0;

  constructor(target: Target, done: Done) {
    this.#done = done;
    const opened = Promise.withResolvers<void>();
    this.ready = opened.promise;
    this.#socket = connect({
      ...target,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes, buffer) => {
          if (this.#upgraded) this.#read(bytes);
          else this.#readHead((buffer as Buffer).toString("latin1", 0, bytes), opened.resolve);
          return true;
        },
      },
    });
    this.#socket.on("connect", () => this.#socket.write(handshake));
    this.#socket.on("error", () => undefined); // "close" follows
    this.#socket.on("close", () => {
      opened.resolve();
      this.#upgraded = false;
      if (this.#busy) this.#end(false);
    });
  }

  send(): void {
    this.#busy = true;
    this.#got = 0;
    if (this.#upgraded) this.#socket.write(frame);
    // A link that broke fails each of its requests, but not before the caller is back from this call.
    else setImmediate(() => this.#end(false));
  }

  close(): void {
    this.#busy = false;
    this.#socket.destroy();
  }

  #readHead(text: string, opened: () => void): void {
    this.#head += text;
    if (!this.#head.endsWith("\r\n\r\n")) return;
    if (!this.#head.startsWith("HTTP/1.1 101")) this.#socket.destroy();
    else {
      this.#upgraded = true;
      opened();
    }
  }

  #read(bytes: number): void {
    this.#got += bytes;
    if (this.#got === echoBytes && this.#busy) this.#end(true);
    else if (this.#got > echoBytes) this.#socket.destroy();
  }

  #end(succeeded: boolean): void {
    if (!this.#busy) return;
    this.#busy = false;
    this.#done(this, succeeded);
  }
}
