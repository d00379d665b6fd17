/** What the readers of this folder make of a run of octets, in a form that tests compare. */
import { BodyReader } from "../body-reader.ts";
import type { Framing } from "../framing.ts";
import type { HeadLimits } from "../head-lexer.ts";
import type { Refusal } from "../refusal.ts";
import { RequestHeadReader, type ParsedRequest } from "../request-head.ts";
import { ResponseHeadReader, type AnsweredRequest, type ParsedResponse } from "../response-head.ts";

export interface JudgedMessage<Head> {
  readonly head: Head;
  /** Decoded, latin1. */
  content: string;
  /** The body as it passed, latin1. */
  body: string;
  trailers: string[];
  complete: boolean;
}

export interface Judgement<Head> {
  readonly messages: JudgedMessage<Head>[];
  /**
   * `boundary`: at the start of a message. `more`: inside one. `closed`: the last one closes the connection. `tunnel`:
   * no HTTP behind it. Else why it was refused. `behind`: octets that were not read, after `closed` and `tunnel`, or
   * after the last response.
   */
  end: { is: "boundary" | "more" } | { is: "closed" | "tunnel" | "unasked"; behind: string } | Refusal;
}

export function judgeRequests(pieces: readonly Buffer[], limits?: HeadLimits): Judgement<ParsedRequest> {
  const heads = new RequestHeadReader(limits);
  return judge(pieces, "request", {
    read: (chunk, from) => heads.read(chunk, from),
    consumed: () => heads.consumed,
    begun: () => heads.begun,
    next: (head) => (head.method === "CONNECT" ? "tunnel" : head.keepAlive ? "another" : "closed"),
    wanted: () => true,
  });
}

/** `requests`: those that were sent on the connection, in order. The connection ends behind the last piece. */
export function judgeResponses(
  pieces: readonly Buffer[],
  requests: readonly AnsweredRequest[],
  limits?: HeadLimits,
): Judgement<ParsedResponse> {
  const heads = new ResponseHeadReader(limits);
  let answered = 0;
  return judge(pieces, "response", {
    read: (chunk, from) => heads.read(chunk, from, requests[answered]!),
    consumed: () => heads.consumed,
    begun: () => heads.begun,
    next: (head) => {
      if (head.interim) return "another";
      answered += 1;
      return head.framing.is === "tunnel" ? "tunnel" : head.keepAlive ? "another" : "closed";
    },
    wanted: () => answered < requests.length,
  });
}

interface Heads<Head> {
  read(chunk: Buffer, from: number): Head | Refusal | undefined;
  consumed(): number;
  begun(): boolean;
  next(head: Head): "another" | "closed" | "tunnel";
  wanted(): boolean;
}

function judge<Head extends { readonly is: "request" | "response"; readonly framing: Framing }>(
  pieces: readonly Buffer[],
  direction: "request" | "response",
  heads: Heads<Head>,
): Judgement<Head> {
  const messages: JudgedMessage<Head>[] = [];
  const reader = new BodyReader(direction);
  let current: JudgedMessage<Head> | undefined;
  let stopped: { is: "closed" | "tunnel" | "unasked"; behind: string } | undefined;
  const complete = (): void => {
    if (current === undefined || !reader.ended) return;
    current.trailers = reader.trailers?.raw() ?? [];
    current.complete = true;
    const next = heads.next(current.head);
    current = undefined;
    if (next !== "another") stopped = { is: next, behind: "" };
  };
  for (const piece of pieces) {
    let at = 0;
    while (at < piece.length) {
      if (stopped === undefined && current === undefined && !heads.wanted()) stopped = { is: "unasked", behind: "" };
      if (stopped !== undefined) {
        stopped.behind += piece.toString("latin1", at);
        break;
      }
      if (current === undefined) {
        const head = heads.read(piece, at);
        if (head === undefined) break;
        if (head.is === "refused") return { messages, end: head };
        at += heads.consumed();
        current = { head, content: "", body: "", trailers: [], complete: false };
        messages.push(current);
        reader.start(head.framing);
        complete();
        continue;
      }
      const message: JudgedMessage<Head> = current;
      const length = reader.read(piece, at, (start, end) => {
        message.content += piece.toString("latin1", start, end);
      });
      if (reader.refusal !== undefined) return { messages, end: reader.refusal };
      message.body += piece.toString("latin1", at, at + length);
      at += length;
      complete();
    }
  }
  if (direction === "response" && current !== undefined) {
    const refusal = reader.end();
    if (refusal !== undefined) return { messages, end: refusal };
    complete();
  }
  if (stopped !== undefined) return { messages, end: stopped };
  return { messages, end: { is: current !== undefined || heads.begun() ? "more" : "boundary" } };
}

/**
 * One line: each message as its start and framing, then how it ends. `GET / none; POST /a length=5; 400 bare-lf`.
 * `boundary` is left out.
 */
export function summary(judgement: Judgement<ParsedRequest | ParsedResponse>): string {
  const parts = judgement.messages.map(({ head, content, trailers, complete }) => {
    const start = head.is === "request" ? `${head.method} ${head.target}` : `${head.status}`;
    const framing = head.framing.is === "none" ? "none" : `${head.framing.is}=${content.length}`;
    return `${start} ${framing}${trailers.length > 0 ? ` +${trailers.length / 2}` : ""}${complete ? "" : " part"}`;
  });
  const { end } = judgement;
  switch (end.is) {
    case "boundary":
      break;
    case "more":
      if (judgement.messages.at(-1)?.complete !== false) parts.push("more");
      break;
    case "refused":
      parts.push(`${end.status} ${end.code}`);
      break;
    case "closed":
    case "tunnel":
    case "unasked":
      parts.push(end.behind === "" ? end.is : `${end.is} +${end.behind.length}`);
  }
  return parts.join("; ");
}
