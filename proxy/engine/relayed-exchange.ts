/** An exchange over two sides: who may still speak, what is aborted when one goes, and when it is over. */
import type { Duplex } from "node:stream";
import {
  UpstreamError,
  type Exchange,
  type ExchangeEnd,
  type HeaderList,
  type RequestHead,
  type Upstream,
} from "../exchange.ts";
import type { Framing } from "../http1/framing.ts";
import type { Refusal } from "../http1/refusal.ts";
import { errorHeader, plainText } from "../plain-text.ts";
import type { ClientEvents, ClientSide, OutgoingCall, StartCall, UpstreamCall } from "./sides.ts";
import { splice, type Splice } from "./splice.ts";

export interface Peer {
  address: string;
  port: number;
  secure: boolean;
}

export interface ExchangeOwner {
  startCall: StartCall;
  ended(exchange: RelayedExchange): void;
}

/** How the client's request came; the server makes one per request. */
export class RelayedExchange implements Exchange, ClientEvents, OutgoingCall {
  readonly startedMs = performance.now();
  lastActivityMs = this.startedMs;
  readonly head: RequestHead;
  readonly body: Framing;
  readonly upgrade: string | undefined;
  status = 0;
  requestBytes = 0;
  responseBytes = 0;
  upgraded = false;
  readonly #owner: ExchangeOwner;
  readonly #client: ClientSide;
  readonly #peer: Peer;
  #end: ExchangeEnd | undefined;
  /** The whole response was handed to the client's side. */
  #sentAll = false;
  #call: UpstreamCall | undefined;
  #protocol: Upstream["protocol"] = "http1";
  #splice: Splice | undefined;
  /** While it is being forwarded. */
  #failed: ((error: UpstreamError) => void) | undefined;
  #resolve: (() => void) | undefined;
  /** The body is on its way: it cannot be sent again. */
  #pumping = false;
  #endListeners: ((end: ExchangeEnd) => void)[] | undefined;
  #startListeners: (() => void)[] | undefined;

  constructor(
    owner: ExchangeOwner,
    client: ClientSide,
    peer: Peer,
    request: { head: RequestHead; body: Framing; upgrade: string | undefined },
  ) {
    this.#owner = owner;
    this.#client = client;
    this.#peer = peer;
    this.head = request.head;
    this.body = request.body;
    this.upgrade = request.upgrade;
  }

  get peerAddress(): string {
    return this.#peer.address;
  }
  get peerPort(): number {
    return this.#peer.port;
  }
  get secure(): boolean {
    return this.#peer.secure;
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
  get wantsContent(): boolean {
    return !this.#client.takesChunks;
  }

  onEnd(listener: (end: ExchangeEnd) => void): void {
    if (this.#end !== undefined) listener(this.#end);
    else if (this.#endListeners === undefined) this.#endListeners = [listener];
    else this.#endListeners.push(listener);
  }

  onResponseStart(listener: () => void): void {
    if (this.responseStarted) listener();
    else (this.#startListeners ??= []).push(listener);
  }

  answer(status: number, body: string, headers: Readonly<Record<string, string>> = {}): void {
    if (this.responseStarted || this.ended) return;
    const fields: string[] = [];
    for (const [name, value] of Object.entries(headers)) fields.push(name, value);
    // Before it is sent: the upstream must not answer any more.
    this.#abortCall();
    this.#start(status);
    this.#active();
    this.#sentAll = true;
    this.responseBytes = Buffer.byteLength(body);
    this.#client.reply(status, fields, body);
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
    return new Promise((resolve, reject) => {
      this.relay(upstream, reject);
      this.#resolve = resolve;
    });
  }

  relay(upstream: Upstream, failed: (error: UpstreamError) => void): void {
    if (this.ended) return;
    if (this.#failed !== undefined) throw new Error("the exchange is being forwarded already");
    if (this.#pumping) {
      queueMicrotask(() => failed(new UpstreamError("the body was sent to another upstream", { retriable: false })));
      return;
    }
    this.#failed = failed;
    this.#protocol = upstream.protocol;
    const call = this.#owner.startCall(this, upstream);
    this.#call = call;
    if (call.ready) this.upstreamReady();
  }

  requestBody(chunk: Buffer, start: number, end: number, contentBytes: number): void {
    this.requestBytes += contentBytes;
    this.#call?.write(chunk, start, end);
  }

  requestPaused(): void {
    if (this.#call?.flush() === false) this.#client.hold();
  }

  requestEnded(trailers: readonly string[]): void {
    this.#call?.finish(trailers);
  }

  requestBroken({ status, text, code }: Refusal): void {
    if (this.ended) return;
    // Half a request must not look like a whole one.
    this.#abortCall();
    if (this.responseStarted) this.#break();
    else this.answer(status, `${text}\n`, { ...plainText, [errorHeader]: code });
  }

  clientDrained(): void {
    this.#call?.resume();
  }

  clientFinished(): void {
    this.#finish("completed");
  }

  clientLeft(): void {
    this.#finish(this.upgraded ? "completed" : "client-gone");
  }

  upstreamReady(): void {
    if (this.body.is === "none" || this.#pumping || this.#call === undefined) return;
    this.#pumping = true;
    this.#client.readBody(this.#protocol === "h2c");
  }

  upstreamDrained(): void {
    this.#client.resume();
  }

  upstreamMoved(call: UpstreamCall): void {
    this.#call = call;
  }

  upstreamInformed(status: number, reason: string, fields: HeaderList): void {
    if (this.responseStarted || this.ended) return;
    this.#client.inform(status, reason, fields);
    this.#active();
  }

  upstreamResponded(status: number, reason: string, fields: HeaderList, body: Framing, headOnly: boolean): void {
    if (this.ended || this.responseStarted) {
      this.#abortCall();
      return;
    }
    this.#start(status);
    // A listener may have ended it.
    if (!this.ended) this.#client.respond(status, reason, fields, body, headOnly);
  }

  upstreamBody(chunk: Buffer, start: number, end: number, contentBytes: number): void {
    if (this.ended) return;
    this.responseBytes += contentBytes;
    this.#client.write(chunk, start, end);
  }

  upstreamPaused(): void {
    if (this.ended) return;
    if (!this.#client.flush()) this.#call?.hold();
    this.#active();
  }

  upstreamEnded(trailers: readonly string[]): void {
    if (this.ended) return;
    this.#sentAll = true;
    this.#active();
    // The app has answered without reading the whole request: its connection cannot serve another one.
    if (this.#client.requestComplete) this.#call = undefined;
    else this.#abortCall();
    this.#client.finish(trailers);
  }

  upstreamBroke(): void {
    this.#call = undefined;
    // A response that breaks off must not look like a whole one.
    if (!this.#sentAll) this.#break();
  }

  upstreamUpgraded(reason: string, granted: string, fields: HeaderList, socket: Duplex, head: Buffer): void {
    this.#call = undefined;
    if (this.upgrade === undefined || granted.toLowerCase() !== this.upgrade.toLowerCase()) {
      socket.on("error", () => {});
      socket.destroy();
      const message = `backend tried to switch protocol "${granted}" when "${this.upgrade ?? ""}" was requested`;
      this.#rejectForward(new UpstreamError(message, { retriable: false }));
      return;
    }
    this.upgraded = true;
    const client = this.#client.takeOver(reason, granted, fields);
    this.#splice = splice(client, { socket, head }, granted.toLowerCase() === "websocket", {
      onBytes: (fromUpstream, length) => {
        if (fromUpstream) this.responseBytes += length;
        else this.requestBytes += length;
        this.#active();
      },
      onEnd: () => this.#finish("completed"),
    });
    this.#start(101);
    this.#active();
  }

  upstreamFailed(message: string, reached: boolean, cause: Error): void {
    if (this.#failed === undefined) return;
    this.#call = undefined;
    const retriable = !reached && !this.#pumping;
    if (this.#pumping) this.#client.dropBody();
    this.#rejectForward(new UpstreamError(message, { retriable, cause }));
  }

  #start(status: number): void {
    this.status = status;
    const listeners = this.#startListeners;
    this.#startListeners = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener();
  }

  #active(): void {
    this.lastActivityMs = performance.now();
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
    this.#endListeners = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener(end);
    this.#owner.ended(this);
    const resolve = this.#resolve;
    this.#settled();
    resolve?.();
  }

  #abortCall(): void {
    const call = this.#call;
    this.#call = undefined;
    if (call === undefined) return;
    call.abort();
    // The client may have been held back for the call's sake.
    if (this.#pumping) this.#client.dropBody();
  }

  #rejectForward(error: UpstreamError): void {
    const failed = this.#failed;
    this.#settled();
    failed?.(error);
  }

  #settled(): void {
    this.#resolve = undefined;
    this.#failed = undefined;
  }
}
