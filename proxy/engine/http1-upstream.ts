/** Calls to an upstream that speaks HTTP/1.1, on node:http with a keep-alive pool. */
import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { http } from "./builtins.ts";
import { failureText, pairs, type CallOptions, type UpstreamCall, type UpstreamEvents } from "./sides.ts";

/** As Knative's transport: idle connections are kept for 90 s. */
const idleMs = 90_000;
/**
 * An idle connection may be closed by the app at any moment, and a request that then fails may have been processed.
 * One that must not be repeated goes out on a connection that was used this recently, or on a new one.
 */
const freshMs = 1000;
const repeatable = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

class UpstreamAgent extends http.Agent {
  readonly #freeSinceMs = new WeakMap<Socket, number>();

  constructor(maxIdle: number) {
    super({ keepAlive: true, maxFreeSockets: maxIdle, scheduling: "lifo", timeout: idleMs });
  }

  override keepSocketAlive(socket: Duplex): boolean {
    this.#freeSinceMs.set(socket as Socket, performance.now());
    return super.keepSocketAlive(socket) as unknown as boolean;
  }

  /** Ends the idle connections to `host:port` that were last used before `sinceMs`. */
  discardIdle(host: string, port: number, sinceMs: number): void {
    const idle = this.freeSockets[this.getName({ host, port })];
    const newest = idle?.at(-1);
    // The newest is last, and is what a call would get.
    if (newest === undefined || (this.#freeSinceMs.get(newest) ?? 0) >= sinceMs) return;
    // A copy: each leaves the pool's list as it is destroyed.
    for (const socket of idle!.slice()) socket.destroy();
  }
}

export interface Http1Pool {
  call(options: CallOptions, events: UpstreamEvents): UpstreamCall;
  close(): void;
}

export function createHttp1Pool(maxIdle: number): Http1Pool {
  const agent = new UpstreamAgent(maxIdle);
  return {
    call: (options, events) => new Http1Call(agent, options, events),
    close: () => agent.destroy(),
  };
}

class Http1Call implements UpstreamCall {
  readonly #agent: UpstreamAgent;
  readonly #options: CallOptions;
  readonly #events: UpstreamEvents;
  #request: ClientRequest | undefined;
  #redialled = false;
  /** Bytes of the body were taken from the client: they cannot be sent again. */
  #bodyTaken = false;
  #reset = false;
  /** A response came, the call failed or was aborted: nothing more is told. */
  #settled = false;

  constructor(agent: UpstreamAgent, options: CallOptions, events: UpstreamEvents) {
    this.#agent = agent;
    this.#options = options;
    this.#events = events;
    if (options.body || !repeatable.has(options.method))
      agent.discardIdle(options.host, options.port, performance.now() - freshMs);
    this.#start();
  }

  write(chunk: Buffer): boolean {
    this.#bodyTaken = true;
    return this.#request!.write(chunk);
  }

  finish(trailers: readonly string[]): void {
    if (trailers.length > 0) this.#request!.addTrailers(pairs(trailers));
    this.#request!.end();
  }

  abort(): void {
    this.#settled = true;
    this.#request?.destroy();
  }

  #start(): void {
    const { host, port, method, target, fields, body } = this.#options;
    let outgoing: ClientRequest;
    try {
      outgoing = http.request({ agent: this.#agent, host, port, method, path: target, headers: fields });
    } catch (error) {
      // node:http refuses what could not be written as a request; nothing was sent.
      queueMicrotask(() => this.#fail(error as Error, false));
      return;
    }
    this.#request = outgoing;
    let connected = false;
    outgoing.on("socket", (socket) => {
      const onConnected = (): void => {
        connected = true;
        if (body && !this.#settled) this.#events.onReady();
      };
      if (socket.connecting) socket.once("connect", onConnected);
      else onConnected();
    });
    outgoing.on("drain", this.#events.onDrain);
    outgoing.on("information", (info) => {
      if (!this.#settled) this.#events.onInform(info.statusCode, info.statusMessage, info.rawHeaders);
    });
    outgoing.on("response", (response) => this.#respond(response));
    outgoing.on("upgrade", (response, socket, head) => {
      if (this.#settled) {
        socket.destroy();
        return;
      }
      this.#settled = true;
      this.#events.onUpgrade(response.statusMessage ?? "", response.rawHeaders, socket, head);
    });
    outgoing.on("error", (error) => {
      this.#reset = true;
      const stale = outgoing.reusedSocket && !this.#redialled && !this.#bodyTaken && repeatable.has(method);
      if (stale && !this.#settled && isReset(error)) {
        // The app closed an idle connection just as this request was written to it; others may be as stale.
        this.#redialled = true;
        this.#reset = false;
        this.#agent.discardIdle(host, port, Infinity);
        this.#start();
        return;
      }
      this.#fail(error, connected);
    });
    // A CONNECT-like answer or a close without any event would leave the exchange waiting for its time limit.
    outgoing.on("close", () => {
      if (this.#request !== outgoing) return;
      this.#fail(Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }), connected);
    });
    if (!body) outgoing.end();
  }

  #respond(response: IncomingMessage): void {
    if (this.#settled) {
      response.destroy();
      return;
    }
    this.#settled = true;
    this.#events.onResponse({
      status: response.statusCode ?? 0,
      reason: response.statusMessage ?? "",
      fields: response.rawHeaders,
      body: response,
      headOnly: false,
      // node:http takes a reset for the end of a body that the end of the connection delimits.
      whole: () => response.complete && !this.#reset,
      trailers: () => response.rawTrailers,
    });
  }

  #fail(error: Error, reached: boolean): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#events.onFailure(failureText(error, this.#options.host, this.#options.port), reached, error);
  }
}

function isReset(error: NodeJS.ErrnoException): boolean {
  return error.code === "ECONNRESET" || error.code === "EPIPE" || error.code === "ECONNABORTED";
}
