/**
 * The app where nginx cannot be it: counts uploads, echoes WebSocket messages; answers of fixed size too where nginx
 * is missing. On node:net with a parser for what well-behaved proxies send, so that it is never what is measured.
 *
 *   node app/node-app.ts PORT
 */
import { createHash, type Hash } from "node:crypto";
import { createServer, type Socket } from "node:net";
import { answerOf, receivedOf, tokenHeader } from "../scenarios.ts";

const webSocketGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const answers = new Map<number, Buffer>();
const field = (name: string): RegExp => new RegExp(`\r\n${name}: *([^\r]*)`, "i");
const fields = {
  upgrade: field("upgrade"),
  transferEncoding: field("transfer-encoding"),
  contentLength: field("content-length"),
  webSocketKey: field("sec-websocket-key"),
  token: field(tokenHeader),
};

createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  const app = new Connection(socket);
  socket.on("data", (chunk: Buffer) => app.take(chunk));
}).listen(Number(process.argv[2]), "127.0.0.1", 1024);

class Connection {
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  #head = "";
  #bodyLeft = -1;
  #bodyBytes = 0;
  #digest: Hash | undefined;
  #upgraded = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  take(chunk: Buffer): void {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    this.#pending = Buffer.alloc(0);
    while (rest.length > 0) {
      const used = this.#upgraded ? this.#frame(rest) : this.#bodyLeft < 0 ? this.#readHead(rest) : this.#body(rest);
      if (used === 0) {
        this.#pending = rest;
        return;
      }
      rest = rest.subarray(used);
    }
  }

  #readHead(bytes: Buffer): number {
    const end = bytes.indexOf("\r\n\r\n");
    if (end < 0) return 0;
    this.#head = bytes.toString("latin1", 0, end + 2);
    if (this.#field(fields.upgrade)?.toLowerCase() === "websocket") {
      this.#accept();
    } else if (this.#field(fields.transferEncoding) !== undefined) {
      // None of the loads is chunked; a proxy that makes it so is found out by the correctness check.
      this.#answer("501 Not Implemented", Buffer.alloc(0));
    } else {
      this.#bodyBytes = this.#bodyLeft = Number(this.#field(fields.contentLength) ?? 0);
      this.#digest = this.#head.startsWith("POST /digest ") ? createHash("sha256") : undefined;
      if (this.#bodyLeft === 0) this.#end();
    }
    return end + 4;
  }

  #body(bytes: Buffer): number {
    const used = Math.min(bytes.length, this.#bodyLeft);
    this.#digest?.update(used === bytes.length ? bytes : bytes.subarray(0, used));
    this.#bodyLeft -= used;
    if (this.#bodyLeft === 0) this.#end();
    return used;
  }

  #end(): void {
    this.#bodyLeft = -1;
    const asked = /^GET \/answer\/(\d+) /.exec(this.#head)?.[1];
    if (this.#digest !== undefined) this.#answer("200 OK", Buffer.from(this.#digest.digest("hex")));
    else if (asked === undefined) this.#answer("200 OK", Buffer.from(receivedOf(this.#bodyBytes)));
    else this.#answer("200 OK", fixedAnswer(Number(asked)));
  }

  #answer(status: string, body: Buffer): void {
    const token = this.#field(fields.token) ?? "";
    const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n${tokenHeader}: ${token}\r\n\r\n`;
    if (body.length <= 4096) this.#socket.write(head + body.toString("latin1"), "latin1");
    else {
      this.#socket.cork();
      this.#socket.write(head, "latin1");
      this.#socket.write(body);
      this.#socket.uncork();
    }
  }

  #accept(): void {
    const key = this.#field(fields.webSocketKey) ?? "";
    const accept = createHash("sha1")
      .update(key + webSocketGuid)
      .digest("base64");
    this.#upgraded = true;
    this.#socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
  }

  /** Echoes a message of up to 64 KiB; anything else, a close too, ends the connection. */
  #frame(bytes: Buffer): number {
    if (bytes.length < 2) return 0;
    const opcode = bytes[0]! & 0x0f;
    if (opcode !== 1 && opcode !== 2) {
      this.#socket.end();
      return bytes.length;
    }
    const short = bytes[1]! & 0x7f;
    const start = short < 126 ? 2 : 4;
    if (bytes.length < start + 4) return 0;
    const length = short < 126 ? short : bytes.readUInt16BE(2);
    if (bytes.length < start + 4 + length) return 0;
    const echo = Buffer.allocUnsafe(start + length);
    bytes.copy(echo, 0, 0, start);
    echo[1] = short;
    for (let index = 0; index < length; index++)
      echo[start + index] = bytes[start + 4 + index]! ^ bytes[start + (index & 3)]!;
    this.#socket.write(echo);
    return start + 4 + length;
  }

  #field(pattern: RegExp): string | undefined {
    return pattern.exec(this.#head)?.[1];
  }
}

function fixedAnswer(bytes: number): Buffer {
  let answer = answers.get(bytes);
  if (answer === undefined) answers.set(bytes, (answer = answerOf(bytes)));
  return answer;
}
