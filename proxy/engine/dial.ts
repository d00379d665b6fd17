/** Connecting to an upstream as Knative's transport does (data-plane 1.5): only a try that took too long is repeated. */
import { Socket, type OnReadOpts } from "node:net";
import type { Upstream } from "../exchange.ts";
import { tls as tlsModule } from "./builtins.ts";
import { addressText } from "./sides.ts";

const firstTimeoutMs = 50;
const growth = 1.4;
/** After the first. */
const mostRepeats = 15;
/** Between two tries: this and up to as much again. */
const pauseMs = 30;
const keepAliveProbeMs = 5000;
const handshakeTimeoutMs = 10_000;

/** How long the first try (0) and each repeat may take; undefined when no other is made. */
export function tryTimeoutMs(repeats: number): number | undefined {
  return repeats > mostRepeats ? undefined : firstTimeoutMs * growth ** repeats;
}

export class Dial {
  readonly #upstream: Upstream;
  readonly #onRead: OnReadOpts;
  readonly #onConnected: (socket: Socket) => void;
  readonly #onFailed: (error: Error) => void;
  readonly #onTry: (() => void) | undefined;
  readonly #startedMs = performance.now();
  #repeats = 0;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;

  /**
   * `onConnected` or `onFailed` is called, once, unless the dial is aborted. The socket has no listeners then. `onTry`
   * hears of each try.
   */
  constructor(
    upstream: Upstream,
    onRead: OnReadOpts,
    onConnected: (socket: Socket) => void,
    onFailed: (error: Error) => void,
    onTry?: () => void,
  ) {
    this.#upstream = upstream;
    this.#onRead = onRead;
    this.#onConnected = onConnected;
    this.#onFailed = onFailed;
    this.#onTry = onTry;
    this.#try();
  }

  abort(): void {
    clearTimeout(this.#timer);
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #try(): void {
    this.#onTry?.();
    const { host, port, tls } = this.#upstream;
    // An upgraded connection may be half closed.
    const common = { allowHalfOpen: true, onread: this.#onRead };
    const socket =
      tls === undefined
        ? new Socket(common)
        : tlsModule().connect({ host, port, ...tls.connectOptions(), ALPNProtocols: ["http/1.1"], ...common });
    this.#socket = socket;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      clearTimeout(this.#timer);
      if (error.code === "ETIMEDOUT") this.#repeat(error);
      else this.#onFailed(error);
    });
    if (tls !== undefined)
      socket.once("connect", () => {
        if (this.#socket !== socket) return;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => socket.destroy(new Error("TLS handshake timeout")), handshakeTimeoutMs);
      });
    socket.once(tls === undefined ? "connect" : "secureConnect", () => {
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
    }, tryTimeoutMs(this.#repeats));
    if (tls === undefined) socket.connect({ host, port });
  }

  #repeat(cause?: Error): void {
    this.#repeats += 1;
    if (tryTimeoutMs(this.#repeats) === undefined) {
      const seconds = ((performance.now() - this.#startedMs) / 1000).toFixed(2);
      const to = addressText(this.#upstream.host, this.#upstream.port);
      this.#onFailed(new Error(`timed out dialing ${to} after ${seconds}s`, { cause }));
      return;
    }
    this.#timer = setTimeout(() => this.#try(), pauseMs * (1 + Math.random()));
  }
}
