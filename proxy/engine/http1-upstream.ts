/** One connection to an upstream that speaks HTTP/1.1, on node:net; one call at a time. */
import type { Socket } from "node:net";
import type { Upstream } from "../exchange.ts";
import { requestText } from "../hop-by-hop.ts";
import { BodyReader } from "../http1/body-reader.ts";
import { hasBody, noBody } from "../http1/framing.ts";
import { ResponseHeadReader, type ParsedResponse } from "../http1/response-head.ts";
import { Dial } from "./dial.ts";
import { MessageSender } from "./message-sender.ts";
import { readBuffer } from "./read-buffer.ts";
import { addressText, failureText, hangUp, none, type OutgoingCall, type UpstreamCall } from "./sides.ts";

/** Go's words for a response that is none. */
const malformed = "net/http: HTTP/1.x transport connection broken: malformed HTTP response";
const repeatable = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);

/** What a connection tells the pool. */
export interface UpstreamOwner {
  /** It can take another call. */
  freed(connection: Http1Upstream): void;
  /** It takes none any more. */
  lost(connection: Http1Upstream): void;
  /** The upstream closed an idle connection just as `call` was sent on it: the call goes out again on a new one. */
  again(call: OutgoingCall, from: Http1Upstream): void;
}

/** Sent a request that must not be repeated, it could fail without a word whether the app has seen it. */
export function isRepeatable(method: string): boolean {
  return repeatable.has(method);
}

export class Http1Upstream implements UpstreamCall {
  /** Connected. */
  ready = false;
  /** performance.now() at the end of the last call. */
  freeSinceMs = 0;
  readonly upstream: Upstream;
  readonly #owner: UpstreamOwner;
  readonly #dial: Dial;
  #socket: Socket | undefined;
  #sender: MessageSender | undefined;
  readonly #heads = new ResponseHeadReader();
  readonly #body = new BodyReader("response");
  #call: OutgoingCall | undefined;
  /** Of the call, what the response's framing hangs on. */
  readonly #asked = { method: "", upgrade: false };
  /** Waits for the connection. */
  #head = "";
  #putIntoChunks = false;
  #takeOutOfChunks = false;
  #calls = 0;
  /** Something came since the call began. */
  #heard = false;
  /** The final head came. */
  #answered = false;
  #bodyTaken = false;
  #requestEnded = false;
  #keepAlive = false;
  #lost = false;
  /** Its stream reads for itself: the connection was upgraded. */
  #spliced = false;
  readonly #tellContent = (start: number, end: number): void =>
    this.#call?.upstreamBody(readBuffer, start, end, end - start);

  constructor(upstream: Upstream, owner: UpstreamOwner) {
    this.upstream = upstream;
    this.#owner = owner;
    this.#dial = new Dial(
      upstream,
      { buffer: readBuffer, callback: (length) => this.#read(length) },
      (socket) => this.#connected(socket),
      (error) => this.#fail(error),
    );
  }

  /** Throws TypeError when the request cannot be sent. */
  start(call: OutgoingCall): void {
    const { upgrade } = call;
    const bodied = call.body.is === "until-close" || hasBody(call.body);
    this.#head = requestText(call.head, {
      peerAddress: call.peerAddress,
      body: bodied ? call.body : noBody,
      upgrade,
      fallbackHost: addressText(this.upstream.host, this.upstream.port),
    });
    this.#call = call;
    this.#asked.method = call.head.method;
    this.#asked.upgrade = upgrade !== undefined;
    this.#putIntoChunks = call.body.is === "until-close";
    this.#heard = false;
    this.#answered = false;
    this.#bodyTaken = false;
    this.#requestEnded = !bodied;
    this.#calls += 1;
    if (this.ready) this.#send();
  }

  write(chunk: Buffer, start: number, end: number): void {
    this.#bodyTaken = true;
    this.#sender!.body(chunk, start, end);
  }

  flush(): boolean {
    return this.#sender!.flush();
  }

  finish(trailers: readonly string[]): void {
    this.#requestEnded = true;
    this.#sender!.end(trailers);
  }

  hold(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  abort(): void {
    this.#call = undefined;
    this.close();
  }

  close(): void {
    this.#dial.abort();
    this.#socket?.destroy();
    this.ready = false;
    if (this.#lost) return;
    this.#lost = true;
    this.#owner.lost(this);
  }

  #connected(socket: Socket): void {
    this.#socket = socket;
    this.#sender = new MessageSender(socket);
    socket.on("end", () => this.#ended());
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(hangUp()));
    socket.on("drain", () => this.#call?.upstreamDrained());
    this.ready = true;
    if (this.#call === undefined) return;
    this.#send();
    if (!this.#requestEnded) this.#call.upstreamReady();
  }

  /** A head waits in the sender for its body, which the exchange asks the client for next. */
  #send(): void {
    this.#sender!.head(this.#head, this.#putIntoChunks);
    this.#head = "";
    if (this.#requestEnded) this.#sender!.flush();
  }

  /** False stops reading. */
  #read(length: number): boolean {
    if (this.#spliced) return this.#socket!.push(Buffer.from(readBuffer.subarray(0, length)));
    const call = this.#call;
    // Nobody has asked for anything: the next call would get this for its answer.
    if (call === undefined) {
      this.close();
      return true;
    }
    this.#heard = true;
    const chunk = readBuffer.subarray(0, length);
    let at = 0;
    while (!this.#answered) {
      const head = this.#heads.read(chunk, at, this.#asked);
      if (head === undefined) return true;
      if (head.is === "refused") {
        const message = `${malformed} (${head.text})`;
        this.#fail(new Error(message), message);
        return true;
      }
      at += this.#heads.consumed;
      if (head.framing.is === "tunnel") {
        this.#upgrade(head, Buffer.from(chunk.subarray(at)));
        return true;
      }
      if (head.interim) call.upstreamInformed(head.status, head.reason, head.fields);
      else this.#answer(call, head);
      if (this.#call !== call) return true;
    }
    const body = this.#body;
    if (!body.ended) {
      const before = body.contentBytes;
      const taken = body.read(chunk, at, this.#takeOutOfChunks ? this.#tellContent : undefined);
      if (body.refusal !== undefined) {
        this.#fail(hangUp());
        return true;
      }
      if (!this.#takeOutOfChunks && taken > 0) call.upstreamBody(chunk, at, at + taken, body.contentBytes - before);
      at += taken;
      if (this.#call !== call) return true;
    }
    if (body.ended) this.#complete(call, at === length);
    else call.upstreamPaused();
    return true;
  }

  #answer(call: OutgoingCall, head: ParsedResponse): void {
    this.#answered = true;
    this.#keepAlive = head.keepAlive;
    this.#takeOutOfChunks = call.wantsContent && head.framing.is === "chunked";
    this.#body.start(head.framing);
    call.upstreamResponded(head.status, head.reason, head.fields, head.framing, false);
  }

  #complete(call: OutgoingCall, nothingBehind: boolean): void {
    const trailers = this.#takeOutOfChunks ? (this.#body.trailers?.raw() ?? none) : none;
    this.#call = undefined;
    // An app that has answered before the whole request came would take the rest of it for the next one.
    if (this.#keepAlive && nothingBehind && this.#requestEnded) {
      this.freeSinceMs = performance.now();
      this.#owner.freed(this);
    } else this.close();
    call.upstreamEnded(trailers);
  }

  #upgrade(head: ParsedResponse, early: Buffer): void {
    const call = this.#call!;
    const socket = this.#socket!;
    this.#call = undefined;
    this.#spliced = true;
    this.#lost = true;
    this.#owner.lost(this);
    socket.removeAllListeners();
    call.upstreamUpgraded(head.reason, head.upgrade ?? "", head.fields, socket, early);
  }

  #ended(): void {
    const call = this.#call;
    this.#keepAlive = false;
    if (call !== undefined && this.#answered && this.#body.end() === undefined) this.#complete(call, true);
    else this.#fail(hangUp());
  }

  #fail(error: NodeJS.ErrnoException, message?: string): void {
    const call = this.#call;
    this.#call = undefined;
    const connected = this.ready;
    this.close();
    if (call === undefined) return;
    if (this.#answered) {
      call.upstreamBroke();
      return;
    }
    const { method } = this.#asked;
    if (this.#calls > 1 && !this.#heard && !this.#bodyTaken && isRepeatable(method) && isReset(error)) {
      this.#owner.again(call, this);
      return;
    }
    const { host, port } = this.upstream;
    call.upstreamFailed(message ?? failureText(error, host, port), connected, error);
  }
}

function isReset(error: NodeJS.ErrnoException): boolean {
  return error.code === "ECONNRESET" || error.code === "EPIPE" || error.code === "ECONNABORTED";
}
