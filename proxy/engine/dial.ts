/** Connecting to an upstream as Knative's transport does (data-plane 1.5): only a try that took too long is repeated. */
import { Socket, type OnReadOpts } from "node:net";
import type { Upstream } from "../exchange.ts";
import { addressText } from "./sides.ts";

const firstTimeoutMs = 50;
const growth = 1.4;
/** After the first. */
const mostRepeats = 15;
/** Between two tries: this and up to as much again. */
const pauseMs = 30;
const keepAliveProbeMs = 5000;

export class Dial {
  readonly #upstream: Upstream;
  readonly #onRead: OnReadOpts;
  readonly #onConnected: (socket: Socket) => void;
  readonly #onFailed: (error: Error) => void;
  readonly #startedMs = performance.now();
  #timeoutMs = firstTimeoutMs;
  #repeats = 0;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** One of the two is called, once, unless the dial is aborted. The socket has no listeners then. */
  constructor(
    upstream: Upstream,
    onRead: OnReadOpts,
    onConnected: (socket: Socket) => void,
    onFailed: (error: Error) => void,
  ) {
    this.#upstream = upstream;
    this.#onRead = onRead;
    this.#onConnected = onConnected;
    this.#onFailed = onFailed;
    this.#try();
  }

  abort(): void {
    clearTimeout(this.#timer);
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #try(): void {
    // An upgraded connection may be half closed.
    const socket = new Socket({ allowHalfOpen: true, onread: this.#onRead });
    this.#socket = socket;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      clearTimeout(this.#timer);
      if (error.code === "ETIMEDOUT") this.#repeat(error);
      else this.#onFailed(error);
    });
    socket.once("connect", () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      clearTimeout(this.#timer);
      socket.removeAllListeners("error");
      socket.setNoDelay(true);
      socket.setKeepAlive(true, keepAliveProbeMs);
      this.#onConnected(socket);
    });
    this.#timer = setTimeout(() => {
      this.#socket = undefined;
      socket.destroy();
      this.#repeat();
    }, this.#timeoutMs);
    const { host, port } = this.#upstream;
    socket.connect({ host, port });
  }

  #repeat(cause?: Error): void {
    if (this.#repeats === mostRepeats) {
      const seconds = ((performance.now() - this.#startedMs) / 1000).toFixed(2);
      const to = addressText(this.#upstream.host, this.#upstream.port);
      this.#onFailed(new Error(`timed out dialing ${to} after ${seconds}s`, { cause }));
      return;
    }
    this.#repeats += 1;
    this.#timeoutMs *= growth;
    this.#timer = setTimeout(() => this.#try(), pauseMs * (1 + Math.random()));
  }
}
