/** The sending half of an HTTP/1.1 connection: what is ready together goes out in one write. */
import type { Socket } from "node:net";
import { HeadWriter } from "../http1/head-writer.ts";
import { isLent } from "./read-buffer.ts";

/** Below this a copy into the text that waits is cheaper than a write of its own. */
const smallBytes = 4096;
/** Never lets more than this wait for the end of a read event. */
const waitingChars = 16 * 1024;

/**
 * A connection holds at most what the socket takes before it asks for a pause (64 KiB), the read that went over it
 * (64 KiB) and {@link waitingChars}: the other side is held back from there on.
 */
export class MessageSender {
  readonly #socket: Socket;
  /** Latin1, to be written. */
  #text = "";
  #chunked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** `chunked`: the body that follows is put into chunks here. */
  head(text: string, chunked: boolean): void {
    this.#text += text;
    this.#chunked = chunked;
  }

  /** `chunk[start, end)` is the caller's again when this returns. */
  body(chunk: Buffer, start: number, end: number): void {
    const length = end - start;
    if (length === 0) return;
    if (length <= smallBytes) {
      const text = chunk.toString("latin1", start, end);
      this.#text += this.#chunked ? `${length.toString(16)}\r\n${text}\r\n` : text;
      if (this.#text.length > waitingChars) this.flush();
      return;
    }
    const socket = this.#socket;
    const view = chunk.subarray(start, end);
    const bytes = isLent(chunk) ? Buffer.from(view) : view;
    if (this.#chunked) this.#text += `${length.toString(16)}\r\n`;
    socket.cork();
    this.flush();
    socket.write(bytes);
    if (this.#chunked) socket.write("\r\n", "latin1");
    socket.uncork();
  }

  /** After the last of the body. */
  end(trailers: readonly string[]): void {
    if (this.#chunked) this.#text += trailers.length === 0 ? "0\r\n\r\n" : `0\r\n${trailerText(trailers)}\r\n`;
    this.#chunked = false;
    this.flush();
  }

  /** False when the socket asks for a pause: it emits `drain` then. */
  flush(): boolean {
    const text = this.#text;
    if (text !== "") {
      this.#text = "";
      this.#socket.write(text, "latin1");
    }
    return !this.#socket.writableNeedDrain;
  }
}

function trailerText(trailers: readonly string[]): string {
  const text = HeadWriter.response(200, "").list(trailers).end();
  return text.slice(text.indexOf("\r\n") + 2, -2);
}
