/** A client's connection that speaks HTTP/1.x, on node:net; its requests are answered one after the other. */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { HeaderList } from "../exchange.ts";
import { responseText } from "../hop-by-hop.ts";
import { BodyReader } from "../http1/body-reader.ts";
import { noBody, type Framing } from "../http1/framing.ts";
import type { Refusal } from "../http1/refusal.ts";
import { RequestHeadReader, type ParsedRequest } from "../http1/request-head.ts";
import { errorHeader, plainText } from "../plain-text.ts";
import { reasonPhrase } from "./builtins.ts";
import type { ConnectionOwner } from "./connection-owner.ts";
import type { Timed } from "./deadlines.ts";
import { dateLine } from "./http-date.ts";
import { Http1RequestHead, upgradeOf } from "./http1-request-head.ts";
import { speaksHttp2 } from "./http2-preface.ts";
import { MessageSender } from "./message-sender.ts";
import { ownHead } from "./own-answer.ts";
import type { Peer, RelayedExchange } from "./relayed-exchange.ts";
import { none, type ClientSide } from "./sides.ts";
import { Unread } from "./unread.ts";

/** From the connection's begin, or the first octet of a later head, to the head's end. */
const headMs = 60_000;
/** What an unread request body may cost after our answer before the connection is given up instead (bytes). */
const discardLimitBytes = 256 * 1024;
/** How long the rest of a request is still read and dropped, so that the answer is not lost to a reset. */
const lingerMs = 1000;
/**
 * What is kept of a body or of later requests while nobody takes them. Past either bound the connection is not read:
 * with the read that went over it, 128 KiB at most.
 */
const unreadLimitBytes = 64 * 1024;
const unreadLimitChunks = 16;
const plainFields: readonly string[] = Object.entries(plainText).flat();

/** `unasked`: the body waits for the exchange to want it. */
type BodyMode = "unasked" | "told" | "held" | "dropped";

export class Http1Connection implements ClientSide, Timed {
  readonly http2 = false;
  takesChunks = true;
  deadlineMs = 0;
  readonly socket: Socket;
  readonly #peer: Peer;
  readonly #owner: ConnectionOwner<Http1Connection>;
  readonly #sender: MessageSender;
  readonly #heads = new RequestHeadReader();
  /** Of the first request that has a body. */
  #body: BodyReader | undefined;
  #exchange: RelayedExchange | undefined;
  #request: ParsedRequest | undefined;
  /** Until the first octets have shown that it is HTTP/1.x. */
  #sniffing = true;
  #timed = true;
  readonly #unread = new Unread();
  #paused = false;
  #advancing = false;
  #inBody = false;
  #bodyMode: BodyMode = "dropped";
  #asContent = false;
  /** A 100 went to the client: it sends the body. */
  #continued = false;
  /** The head of the final response was taken. */
  #responding = false;
  /** The end of a response without length is the connection's. */
  #delimitedByClose = false;
  /** The whole response was taken; some of it may not have been written yet. */
  #finishing = false;
  /** The connection ends with this response. */
  #last = false;
  /** Our side is ended; what comes is dropped. */
  #lingering = false;
  readonly #tellContent = (start: number, end: number): void =>
    this.#exchange?.requestBody(this.#unread.chunk!, start, end, end - start);
  readonly #onData = (chunk: Buffer): void => this.#receive(chunk);
  readonly #onEnd = (): void => this.#receivedEnd();
  readonly #onDrain = (): void => this.#exchange?.clientDrained();
  readonly #onClose = (): void => this.#closed();

  constructor(socket: Socket, peer: Peer, owner: ConnectionOwner<Http1Connection>) {
    this.socket = socket;
    this.#peer = peer;
    this.#owner = owner;
    this.#sender = new MessageSender(socket);
    owner.deadlines.add(this, performance.now() + headMs);
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("drain", this.#onDrain);
    socket.on("close", this.#onClose);
  }

  get requestComplete(): boolean {
    return !this.#inBody;
  }

  /** The head took too long, or the client does not end a connection that is over. */
  onDeadline(): void {
    this.#timed = false;
    this.socket.destroy();
  }

  /** Ends it if it waits for a request; a first one is under way as a rule, and is waited for a little. */
  endIdle(): void {
    const busy = this.#exchange !== undefined || this.#lingering || this.#heads.begun || this.#inBody;
    if (this.#sniffing) this.#owner.deadlines.add(this, performance.now() + lingerMs);
    else if (!busy) this.#linger();
  }

  readBody(asContent: boolean): void {
    this.#asContent = asContent;
    this.#bodyMode = "told";
    this.#advance();
  }

  hold(): void {
    if (this.#bodyMode === "told") this.#bodyMode = "held";
  }

  resume(): void {
    if (this.#bodyMode !== "held") return;
    this.#bodyMode = "told";
    this.#advance();
  }

  dropBody(): void {
    // What nobody has asked for may still be sent elsewhere.
    if (this.#bodyMode === "unasked") return;
    this.#bodyMode = "dropped";
    this.#advance();
  }

  inform(status: number, reason: string, fields: HeaderList): void {
    // HTTP/1.0 knows no interim answers.
    if (!this.takesChunks || this.#responding) return;
    if (status === 100) this.#continued = true;
    const options = { body: noBody, chunked: false, connection: "", dateLine: "" };
    this.#sender.head(responseText(status, reason === "" ? reasonPhrase(status) : reason, fields, options), false);
    this.#sender.flush();
  }

  respond(status: number, reason: string, fields: HeaderList, body: Framing): void {
    const ofUnknownLength = body.is === "until-close" || body.is === "chunked";
    const chunked = ofUnknownLength && this.takesChunks;
    this.#delimitedByClose = ofUnknownLength && !this.takesChunks;
    this.#begin();
    const text = responseText(status, reason === "" ? reasonPhrase(status) : reason, fields, {
      body,
      chunked,
      connection: this.#connectionOption(),
      dateLine: dateLine(),
    });
    // An upstream's chunks are passed on as they came.
    this.#sender.head(text, chunked && body.is === "until-close");
  }

  reply(status: number, fields: readonly string[], body: string): void {
    const bytes = Buffer.from(body);
    this.#begin();
    this.#sender.head(ownHead(status, fields, bytes.length, this.#connectionOption()), false);
    if (this.#request?.method !== "HEAD") this.#sender.body(bytes, 0, bytes.length);
    this.finish(none);
  }

  write(chunk: Buffer, start: number, end: number): void {
    this.#sender.body(chunk, start, end);
  }

  flush(): boolean {
    return this.#sender.flush();
  }

  finish(trailers: readonly string[]): void {
    this.#finishing = true;
    this.#sender.end(trailers);
    // Nearly always the system has taken it all by now.
    if (this.socket.writableLength === 0) this.#finished();
    else this.socket.write("", (error) => (error ? undefined : this.#finished()));
  }

  takeOver(reason: string, protocol: string, fields: HeaderList): { socket: Duplex; head: Buffer } {
    const { socket } = this;
    const head = responseText(101, reason === "" ? reasonPhrase(101) : reason, fields, {
      body: noBody,
      chunked: false,
      connection: `Upgrade\r\nUpgrade: ${protocol}`,
      dateLine: "",
    });
    const early = this.#unread.drain();
    this.#exchange = undefined;
    this.#detach();
    socket.write(head, "latin1");
    return { socket, head: early };
  }

  break(): void {
    this.#exchange = undefined;
    // An end alone would pass for the end of a body without length or chunks.
    if (this.#delimitedByClose && typeof this.socket.resetAndDestroy === "function") this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  #begin(): void {
    const { keepAlive, upgrade } = this.#request!;
    this.#responding = true;
    // After an upgrade that is not granted the client may have gone on in the protocol that it asked for.
    const last = this.#owner.retiring || this.#delimitedByClose || !keepAlive || upgrade !== undefined;
    if (last || (this.#inBody && !this.#discardable())) this.#last = true;
  }

  #connectionOption(): string {
    if (this.#last) return "close";
    return this.#request!.minorVersion === 0 ? "keep-alive" : "";
  }

  /** The rest of the body is small enough to be read and dropped, which keeps the connection. */
  #discardable(): boolean {
    const { framing, expects } = this.#request!;
    // Without our 100 nobody knows whether a body or the next request comes.
    if (expects !== "nothing" && !this.#continued) return false;
    return framing.is === "length" && framing.bytes <= discardLimitBytes;
  }

  #receive(chunk: Buffer): void {
    if (this.#lingering) return;
    this.#unread.push(chunk);
    if (!this.#sniffing || this.#isHttp1()) this.#advance();
  }

  /** The first octets tell. False: they do not yet, or it is HTTP/2 and handed over. */
  #isHttp1(): boolean {
    const seen = this.#unread.drain();
    const http2 = speaksHttp2(seen);
    if (http2 === true) {
      this.#detach();
      this.#owner.speaksHttp2(this.socket, seen);
      return false;
    }
    this.#unread.push(seen);
    this.#sniffing = http2 === undefined;
    return !this.#sniffing;
  }

  /** Looks at what was received, as far as somebody wants it. */
  #advance(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    while (this.#unread.chunk !== undefined && !this.#lingering) {
      if (this.#inBody) {
        if (this.#bodyMode === "unasked" || this.#bodyMode === "held") break;
        this.#readBody();
      } else if (this.#exchange !== undefined || this.socket.destroyed) break;
      else this.#readHead();
    }
    this.#advancing = false;
    if (this.#inBody && this.#bodyMode === "told") this.#exchange?.requestPaused();
    this.#balance();
  }

  /** Reads on, or not, by what is unread. Reading is how a client is heard to leave, so a little is always kept. */
  #balance(): void {
    const full = !this.#lingering && this.#unread.exceeds(unreadLimitBytes, unreadLimitChunks);
    if (full === this.#paused) return;
    this.#paused = full;
    if (full) this.socket.pause();
    else this.socket.resume();
  }

  #readHead(): void {
    const unread = this.#unread;
    const parsed = this.#heads.read(unread.chunk!, unread.at);
    if (parsed === undefined) {
      unread.take(unread.chunk!.length - unread.at);
      if (this.#timed) return;
      this.#timed = true;
      this.#owner.deadlines.add(this, performance.now() + headMs);
      return;
    }
    if (this.#timed) {
      this.#timed = false;
      this.#owner.deadlines.delete(this);
    }
    if (parsed.is === "refused") {
      this.#refuse(parsed);
      return;
    }
    unread.take(this.#heads.consumed);
    this.#serve(parsed);
  }

  #serve(parsed: ParsedRequest): void {
    this.#request = parsed;
    this.takesChunks = parsed.minorVersion === 1;
    this.#continued = false;
    this.#responding = false;
    this.#delimitedByClose = false;
    this.#finishing = false;
    let body = parsed.framing;
    if (body.is !== "none") {
      const reader = (this.#body ??= new BodyReader("request"));
      reader.start(body);
      if (reader.ended) body = noBody;
      else {
        this.#inBody = true;
        this.#bodyMode = "unasked";
      }
    }
    const exchange = this.#owner.open(this, this.#peer, new Http1RequestHead(parsed), body, upgradeOf(parsed));
    this.#exchange = exchange;
    this.#owner.serve(exchange);
  }

  #readBody(): void {
    const unread = this.#unread;
    const chunk = unread.chunk!;
    const { at } = unread;
    const body = this.#body!;
    const exchange = this.#bodyMode === "told" ? this.#exchange : undefined;
    const before = body.contentBytes;
    const asContent = this.#asContent && exchange !== undefined;
    const taken = body.read(chunk, at, asContent ? this.#tellContent : undefined);
    if (body.refusal !== undefined) {
      this.#inBody = false;
      this.#last = true;
      if (this.#exchange !== undefined) this.#exchange.requestBroken(body.refusal);
      else this.socket.destroy();
      return;
    }
    if (!asContent && taken > 0) exchange?.requestBody(chunk, at, at + taken, body.contentBytes - before);
    if (unread.chunk !== chunk) return;
    unread.take(taken);
    if (!body.ended) return;
    this.#inBody = false;
    exchange?.requestEnded(asContent ? (body.trailers?.raw() ?? none) : none);
  }

  #refuse({ status, text, code }: Refusal): void {
    const body = `${text}\n`;
    this.#sender.head(ownHead(status, [...plainFields, errorHeader, code], body.length, "close") + body, false);
    this.#sender.flush();
    this.#linger();
  }

  /** The response is with the system. */
  #finished(): void {
    const exchange = this.#exchange;
    if (exchange === undefined || !this.#finishing) return;
    this.#exchange = undefined;
    exchange.clientFinished();
    if (this.#last || this.#owner.closing) {
      if (this.#inBody || this.#unread.chunk !== undefined) this.#linger();
      else this.socket.destroySoon();
      return;
    }
    this.#bodyMode = "dropped";
    if (this.#unread.chunk !== undefined) this.#advance();
  }

  /** Closing with unread octets would reset the connection, and the answer with it. */
  #linger(): void {
    this.#lingering = true;
    this.#unread.clear();
    this.#timed = true;
    this.#owner.deadlines.add(this, performance.now() + lingerMs);
    this.socket.end();
    this.#balance();
  }

  /**
   * A client that ends its side while it waits for an answer is one that has gone: that is how its leaving shows, and
   * what Go's server takes it for. Its answer, once whole, is still written.
   */
  #receivedEnd(): void {
    if (this.#exchange === undefined) this.socket.end();
    else if (this.#finishing) this.#last = true;
    else this.#closed();
  }

  #closed(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#unread.clear();
    this.socket.destroy();
    this.#owner.deadlines.delete(this);
    this.#owner.gone(this);
    exchange?.clientLeft();
  }

  #detach(): void {
    const { socket } = this;
    socket.off("data", this.#onData);
    socket.off("end", this.#onEnd);
    socket.off("drain", this.#onDrain);
    socket.off("close", this.#onClose);
    this.#unread.clear();
    this.#owner.deadlines.delete(this);
    this.#owner.gone(this);
  }
}
