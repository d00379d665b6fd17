/** An exchange over two sides: who may still speak, what is aborted when one goes, and when it is over. */
import type { Readable } from "node:stream";
import { UpstreamError, type Exchange, type ExchangeEnd, type RequestHead, type Upstream } from "../exchange.ts";
import { requestFields, responseFields } from "../hop-by-hop.ts";
import { http } from "./builtins.ts";
import type { CallOptions, ClientEvents, ClientSide, UpstreamCall, UpstreamEvents, UpstreamResponse } from "./sides.ts";
import { splice, type Splice } from "./splice.ts";

export type StartCall = (protocol: Upstream["protocol"], options: CallOptions, events: UpstreamEvents) => UpstreamCall;

export interface Peer {
  address: string;
  port: number;
  secure: boolean;
}

interface Pending {
  resolve: () => void;
  reject: (error: UpstreamError) => void;
}

export class RelayedExchange implements Exchange {
  readonly startedMs = performance.now();
  readonly peerAddress: string;
  readonly peerPort: number;
  readonly secure: boolean;
  status = 0;
  requestBytes = 0;
  responseBytes = 0;
  upgraded = false;
  readonly #client: ClientSide;
  readonly #startCall: StartCall;
  #end: ExchangeEnd | undefined;
  /** The whole response was handed to the client's side. */
  #sentAll = false;
  #call: UpstreamCall | undefined;
  #source: Readable | undefined;
  #splice: Splice | undefined;
  #pending: Pending | undefined;
  #pumping = false;
  #endListeners: ((end: ExchangeEnd) => void)[] = [];
  #startListeners: (() => void)[] = [];
  #activityListeners: (() => void)[] = [];

  constructor(makeClient: (events: ClientEvents) => ClientSide, peer: Peer, startCall: StartCall) {
    this.peerAddress = peer.address;
    this.peerPort = peer.port;
    this.secure = peer.secure;
    this.#startCall = startCall;
    this.#client = makeClient({
      onFinished: () => this.#finish("completed"),
      onGone: () => this.#finish(this.upgraded ? "completed" : "client-gone"),
    });
  }

  get head(): RequestHead {
    return this.#client.head;
  }
  get responseStarted(): boolean {
    return this.status !== 0;
  }
  get clientGone(): boolean {
    return this.#end === "client-gone";
  }
  get ended(): boolean {
    return this.#end !== undefined;
  }

  onEnd(listener: (end: ExchangeEnd) => void): void {
    if (this.#end !== undefined) listener(this.#end);
    else this.#endListeners.push(listener);
  }

  onResponseStart(listener: () => void): void {
    if (this.responseStarted) listener();
    else this.#startListeners.push(listener);
  }

  onActivity(listener: () => void): void {
    this.#activityListeners.push(listener);
  }

  answer(status: number, body: string, headers: Readonly<Record<string, string>> = {}): void {
    if (this.responseStarted || this.ended) return;
    const length = Buffer.byteLength(body);
    const fields: string[] = [];
    for (const [name, value] of Object.entries(headers))
      fields.push(this.#client.http2 ? name.toLowerCase() : name, value);
    fields.push(this.#client.http2 ? "content-length" : "Content-Length", String(length));
    // Before it is sent: the upstream must not answer any more.
    this.#abortCall();
    this.#start(status);
    this.#client.respond(status, http.STATUS_CODES[status] ?? "", fields, false);
    this.#sentAll = true;
    this.responseBytes = length;
    this.#client.finish(this.head.method === "HEAD" ? undefined : body, []);
  }

  fail(status: number, body: string): void {
    if (this.ended) return;
    if (!this.responseStarted) {
      this.answer(status, body, { "Content-Type": "text/plain; charset=utf-8" });
      return;
    }
    // What is left of a whole answer may still be on its way to a slow client: that is not a failure of ours to hide.
    this.#break();
  }

  closeUpgraded(): void {
    this.#splice?.closePolitely();
  }

  forward(upstream: Upstream): Promise<void> {
    if (this.ended) return Promise.resolve();
    if (this.#pending !== undefined) throw new Error("the exchange is being forwarded already");
    return new Promise<void>((resolve, reject) => {
      this.#pending = { resolve, reject };
      const body = this.#client.body !== undefined;
      const upgrade = upstream.protocol === "http1" ? this.#client.upgrade : undefined;
      const fallbackHost = upstream.host.includes(":")
        ? `[${upstream.host}]:${upstream.port}`
        : `${upstream.host}:${upstream.port}`;
      const { head } = this;
      const call: CallOptions = {
        host: upstream.host,
        port: upstream.port,
        method: head.method,
        target: head.target,
        authority: head.host === "" ? fallbackHost : head.host,
        fields: requestFields(head, this.peerAddress, { body, upgrade, protocol: upstream.protocol, fallbackHost }),
        body,
      };
      this.#call = this.#startCall(upstream.protocol, call, {
        onReady: () => this.#pumpRequest(),
        onDrain: () => this.#client.body?.resume(),
        onInform: (status, reason, fields) => this.#inform(status, reason, fields),
        onResponse: (response) => this.#respond(response),
        onUpgrade: (reason, fields, socket, early) => {
          const granted = rawValue(fields, "upgrade") ?? "";
          if (upgrade === undefined || granted.toLowerCase() !== upgrade.toLowerCase()) {
            socket.destroy();
            const message = `backend tried to switch protocol "${granted}" when "${upgrade ?? ""}" was requested`;
            this.#rejectForward(new UpstreamError(message, { retriable: false }));
            return;
          }
          if (this.ended) {
            socket.destroy();
            return;
          }
          this.upgraded = true;
          this.#call = undefined;
          const out = responseFields(fields, { http2: false, trailer: false });
          out.push("Connection", "Upgrade", "Upgrade", granted);
          const taken = this.#client.takeOver(out, reason);
          this.#splice = splice(taken, { socket, head: early }, granted.toLowerCase() === "websocket", {
            onBytes: (fromUpstream, length) => {
              if (fromUpstream) this.responseBytes += length;
              else this.requestBytes += length;
              this.#active();
            },
            onEnd: () => this.#finish("completed"),
          });
          this.#start(101);
        },
        onFailure: (message, reached, cause) => {
          this.#call = undefined;
          this.#rejectForward(new UpstreamError(message, { retriable: !reached && !this.#pumping, cause }));
        },
      });
    });
  }

  #pumpRequest(): void {
    const source = this.#client.body;
    const call = this.#call;
    if (source === undefined || call === undefined || this.#pumping) return;
    this.#pumping = true;
    source.on("data", (chunk: Buffer) => {
      this.requestBytes += chunk.length;
      // Without a call the rest is read and dropped.
      if (this.#call === call && !call.write(chunk)) source.pause();
    });
    source.on("end", () => {
      if (this.#call !== call) return;
      // Half a request must not look like a whole one.
      if (this.#client.requestBroken) this.#abortCall();
      else call.finish(this.#client.requestTrailers());
    });
  }

  #inform(status: number, reason: string, fields: readonly string[]): void {
    if (this.responseStarted || this.ended) return;
    this.#client.inform(status, reason, responseFields(fields, { http2: this.#client.http2, trailer: false }));
    this.#active();
  }

  #respond(response: UpstreamResponse): void {
    const { status, reason, fields, body: source, headOnly } = response;
    if (this.ended || this.responseStarted) {
      source.destroy();
      return;
    }
    const client = this.#client;
    const bodyless = this.head.method === "HEAD" || status === 204 || status === 304;
    const announced = !bodyless && rawValue(fields, "content-length") === undefined && this.head.httpVersion !== "1.0";
    this.#source = source;
    client.respond(status, reason, responseFields(fields, { http2: client.http2, trailer: announced }), headOnly);
    this.#start(status);
    let flowing = false;
    source.on("data", (chunk: Buffer) => {
      if (this.#end !== undefined || bodyless) return;
      flowing = true;
      this.responseBytes += chunk.length;
      if (!client.write(chunk)) source.pause();
      this.#active();
    });
    client.onDrain(() => source.resume());
    source.on("end", () => {
      if (this.#end !== undefined) return;
      if (!response.whole()) {
        this.#break();
        return;
      }
      this.#sentAll = true;
      this.#source = undefined;
      client.finish(undefined, bodyless ? [] : response.trailers());
      // The app has answered without reading the whole request: its connection cannot serve another one.
      if (!client.requestComplete) this.#abortCall();
      else this.#call = undefined;
    });
    // A response that breaks off must not look like a whole one.
    source.on("error", () => this.#break());
    source.on("close", () => {
      if (!this.#sentAll) this.#break();
    });
    // A head without a body that follows at once (server-sent events) must not wait for it. One timer phase is enough
    // for what has arrived together.
    if (!bodyless)
      setImmediate(() => {
        if (!flowing && !this.#sentAll && this.#end === undefined) client.flush();
      });
  }

  #start(status: number): void {
    this.status = status;
    const listeners = this.#startListeners;
    this.#startListeners = [];
    for (const listener of listeners) listener();
    this.#active();
  }

  #active(): void {
    for (const listener of this.#activityListeners) listener();
  }

  #break(): void {
    if (this.#end !== undefined) return;
    this.#client.break();
    this.#finish("failed");
  }

  #finish(end: ExchangeEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#abortCall();
    this.#splice?.destroy();
    const listeners = this.#endListeners;
    this.#endListeners = [];
    for (const listener of listeners) listener(end);
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve();
  }

  #abortCall(): void {
    const call = this.#call;
    const source = this.#source;
    this.#call = undefined;
    this.#source = undefined;
    if (call === undefined) return;
    call.abort();
    source?.destroy();
    // The client may have been held back for the call's sake.
    if (this.#pumping) this.#client.body?.resume();
  }

  #rejectForward(error: UpstreamError): void {
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.reject(error);
  }
}

function rawValue(fields: readonly string[], name: string): string | undefined {
  for (let at = 0; at + 1 < fields.length; at += 2)
    if (fields[at]!.length === name.length && fields[at]!.toLowerCase() === name) return fields[at + 1];
  return undefined;
}
