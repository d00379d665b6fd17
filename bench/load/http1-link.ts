/** HTTP/1.1 on node:net: one prepared request, answers with Content-Length, one read buffer for all. */
import { connect, type Socket } from "node:net";
import { answerOf, host, pathOf, token, tokenHeader, type LoadScenario } from "../scenarios.ts";
import type { Target } from "./job.ts";
import type { Done, Link } from "./link.ts";

/** Shared: a chunk is used up before the next read of any socket begins. */
const readBuffer = Buffer.allocUnsafe(256 * 1024);
const headEnd = Buffer.from("\r\n\r\n");
const prepared = new Map<string, Buffer>();

export class Http1Link implements Link {
  readonly ready: Promise<void>;
  readonly #target: Target;
  readonly #request: Buffer;
  readonly #fresh: boolean;
  readonly #answerBytes: number;
  readonly #done: Done;
  #socket: Socket | undefined;
  /** Bytes of a head that is not complete. */
  #partial: Buffer | undefined;
  /** Of the body; -1 before the head is complete. */
  #left = -1;
  #busy = false;
  /** The whole answer is there; only the end of the connection is awaited. */
  #answered = false;

  constructor(target: Target, scenario: LoadScenario, done: Done) {
    this.#target = target;
    this.#done = done;
    this.#fresh = scenario.protocol === "fresh";
    this.#answerBytes = scenario.requestBytes > 0 ? 12 : scenario.answerBytes;
    this.#request = requestOf(scenario);
    const opened = Promise.withResolvers<void>();
    this.ready = opened.promise;
    if (this.#fresh) opened.resolve();
    else this.#connect(opened.resolve);
  }

  send(): void {
    this.#busy = true;
    this.#answered = false;
    this.#left = -1;
    if (this.#socket === undefined) this.#connect();
    this.#socket!.write(this.#request);
  }

  close(): void {
    this.#busy = false;
    this.#socket?.destroy();
  }

  #connect(onOpen?: () => void): void {
    const socket = connect({
      ...this.#target,
      noDelay: true,
      onread: {
        buffer: readBuffer,
        callback: (bytes, buffer) => {
          if (socket === this.#socket) this.#read(buffer as Buffer, bytes);
          return true;
        },
      },
    });
    this.#socket = socket;
    if (onOpen !== undefined) socket.once("connect", onOpen);
    socket.on("error", () => undefined); // "close" follows
    socket.on("close", () => {
      if (socket !== this.#socket) return;
      this.#socket = undefined;
      this.#partial = undefined;
      onOpen?.();
      if (this.#busy) this.#end(this.#answered);
    });
  }

  #read(buffer: Buffer, bytes: number): void {
    if (!this.#busy || this.#answered) return this.#broken();
    let start = 0;
    let chunk = buffer;
    let end = bytes;
    if (this.#left < 0) {
      if (this.#partial !== undefined) {
        chunk = Buffer.concat([this.#partial, buffer.subarray(0, bytes)]);
        end = chunk.length;
        this.#partial = undefined;
      }
      const at = chunk.indexOf(headEnd);
      if (at < 0 || at + 4 > end) {
        this.#partial = Buffer.from(chunk.subarray(0, end));
        return;
      }
      const head = chunk.toString("latin1", 0, at + 2);
      // "HTTP/1.1 200": the status starts at the tenth byte.
      if (!head.startsWith("200", 9) || lengthOf(head) !== this.#answerBytes) return this.#broken();
      this.#left = this.#answerBytes;
      start = at + 4;
    }
    this.#left -= end - start;
    if (this.#left > 0) return;
    if (this.#left < 0) return this.#broken();
    this.#answered = true;
    // The one who serves closes a connection that is asked to be closed, so its port is free again at once.
    if (!this.#fresh) this.#end(true);
  }

  #broken(): void {
    this.#answered = false;
    this.#socket?.destroy();
  }

  #end(succeeded: boolean): void {
    this.#busy = false;
    this.#done(this, succeeded);
  }
}

function lengthOf(head: string): number {
  const at = head.search(/\r\ncontent-length:/i);
  return at < 0 ? -1 : Number.parseInt(head.slice(at + 17), 10);
}

function requestOf(scenario: LoadScenario): Buffer {
  const found = prepared.get(scenario.name);
  if (found !== undefined) return found;
  const { requestBytes, protocol } = scenario;
  const lines = [
    `${requestBytes > 0 ? "POST" : "GET"} ${pathOf(scenario)} HTTP/1.1`,
    `Host: ${host}`,
    "User-Agent: swell-bench",
    `${tokenHeader}: ${token}`,
  ];
  if (protocol === "fresh") lines.push("Connection: close");
  if (requestBytes > 0) lines.push(`Content-Length: ${requestBytes}`);
  const request = Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), answerOf(requestBytes)]);
  prepared.set(scenario.name, request);
  return request;
}
