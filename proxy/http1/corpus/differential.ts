/**
 * Whatever we accept, llhttp accepts too, with the same meaning; and what we would pass on means the same again to both.
 * Each function returns the first difference, or undefined. What we refuse is not compared: refusing more is the point.
 */
import http from "node:http";
import { hopByHop, kind } from "../field-kind.ts";
import { HeadWriter } from "../head-writer.ts";
import type { ParsedRequest } from "../request-head.ts";
import type { AnsweredRequest, ParsedResponse } from "../response-head.ts";
import { judgeRequests, judgeResponses, type JudgedMessage, type Judgement } from "./judgement.ts";
import { nodeRequests, nodeResponse, type NodeMessage, type NodeVerdict } from "./node-verdict.ts";

type Head = ParsedRequest | ParsedResponse;

/** llhttp knows a list of methods only; the rest of RTSP's and SOURCE it takes for other protocols. */
const llhttpMethods = new Set(http.METHODS.filter((method) => method !== "SOURCE" && method !== "PRI"));

/** What stands behind the messages shows whether both see the same ends: nobody may have eaten of it. */
const sentinel = "GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n";

export function requestDifference(octets: string, cuts: readonly number[]): string | undefined {
  const bytes = Buffer.from(octets + sentinel, "latin1");
  const judged = judgeRequests([bytes]);
  const inPieces = judgeRequests(cut(bytes, cuts));
  const split = splitDifference(judged, inPieces);
  if (split !== undefined) return split;
  const difference = compare(judged, nodeRequests([bytes]));
  if (difference !== undefined) return difference;

  const passedOn = judged.messages.filter((message) => message.complete && message.head.method !== "CONNECT");
  const rewritten = Buffer.from(passedOn.map(rewrittenRequest).join("") + sentinel, "latin1");
  const again = judgeRequests([rewritten]);
  if (again.end.is !== "boundary" || again.messages.length !== passedOn.length + 1)
    return `passed on, it is ${JSON.stringify(rewritten.toString("latin1"))}: ${again.end.is}`;
  for (const [index, message] of passedOn.entries())
    if (
      again.messages[index]!.content !== message.content ||
      again.messages[index]!.head.method !== message.head.method
    )
      return `passed on, message ${index} has changed`;
  return compare(again, nodeRequests([rewritten]));
}

export async function responseDifference(
  octets: string,
  request: AnsweredRequest,
  cuts: readonly number[],
): Promise<string | undefined> {
  const bytes = Buffer.from(octets, "latin1");
  const judged = judgeResponses([bytes], [request]);
  const split = splitDifference(judged, judgeResponses(cut(bytes, cuts), [request]));
  if (split !== undefined) return split;
  const first = judged.messages[0];
  if (first === undefined) return undefined;
  // To node:http every answer to CONNECT opens the tunnel, also an interim one or a refusal.
  if (request.method === "CONNECT" && first.head.framing.is !== "tunnel") return undefined;
  const difference = compare(judged, await nodeResponse([bytes], request, true));
  if (difference !== undefined || judged.end.is === "refused") return difference;

  const rewritten = Buffer.from(judged.messages.map(rewrittenResponse).join(""), "latin1");
  const again = judgeResponses([rewritten], [request]);
  for (const [index, message] of judged.messages.entries()) {
    const same = again.messages[index];
    if (same?.content !== message.content || same.head.status !== message.head.status || !same.complete)
      return `passed on, message ${index} has changed`;
  }
  return compare(again, await nodeResponse([rewritten], request, true));
}

function compare<H extends Head>(ours: Judgement<H>, node: NodeVerdict): string | undefined {
  for (const [index, message] of ours.messages.entries()) {
    if (!isComparable(message.head)) return undefined;
    const theirs = node.messages[index];
    const where = `message ${index}`;
    if (theirs === undefined) return `${where}: we accept what llhttp refuses with ${node.error}`;
    const difference = messageDifference(message, theirs, ours.end.is === "refused");
    if (difference !== undefined) return `${where}: ${difference} (llhttp: ${node.error})`;
    // node:http drops what one buffer holds behind an upgrade that it declines.
    if (message.head.is === "request" && message.head.connection.upgrade && message.head.fields.has("upgrade"))
      return undefined;
    // Of a body that llhttp refuses we must not have passed on what comes behind the error.
    if (!message.complete && ours.end.is === "more" && node.error !== undefined)
      return `${where}: we read on in a body that llhttp refuses with ${node.error}`;
  }
  return undefined;
}

function messageDifference<H extends Head>(
  ours: JudgedMessage<H>,
  theirs: NodeMessage,
  refusedLater: boolean,
): string | undefined {
  const { head } = ours;
  const start = head.is === "request" ? `${head.method} ${head.target}` : String(head.status);
  if (start !== theirs.start) return `start ${start} and ${theirs.start}`;
  if (`1.${head.minorVersion}` !== theirs.version) return `version 1.${head.minorVersion} and ${theirs.version}`;
  if (head.is === "response" && head.reason !== theirs.reason) return `reason ${head.reason} and ${theirs.reason}`;
  const fields = differing(head.fields.raw(), theirs.fields);
  if (fields !== undefined) return `fields ${fields}`;
  const tunnel = head.is === "request" ? head.method === "CONNECT" : head.framing.is === "tunnel";
  if (tunnel !== theirs.tunnel) return `tunnel ${tunnel} and ${theirs.tunnel}`;
  // `keep-alive, close` in HTTP/1.0: to close is always right.
  if (head.is === "request" && !tunnel && head.keepAlive && theirs.keepAlive === false)
    return "keep-alive, which llhttp is not";
  if (ours.complete !== theirs.complete && !(refusedLater && !ours.complete))
    return `complete ${ours.complete} and ${theirs.complete}`;
  if (!ours.complete) return theirs.content.startsWith(ours.content) ? undefined : "content that is not over";
  if (ours.content !== theirs.content) return `content ${JSON.stringify([ours.content, theirs.content])}`;
  const trailers = differing(ours.trailers, theirs.trailers);
  return trailers === undefined ? undefined : `trailers ${trailers}`;
}

/** llhttp closes a connection for Proxy-Connection too, which RFC 9112 C.2.2 has ignored; it is never passed on. */
function isComparable(head: Head): boolean {
  const known = head.is === "response" || llhttpMethods.has(head.method);
  return known && !hasLengthList(head) && !head.fields.has("proxy-connection");
}

/** A list of equal lengths is one length to us, which is what we pass on; llhttp refuses it. */
function hasLengthList(head: Head): boolean {
  const [first, ...others] = head.fields.joined(kind.contentLength)?.split(/ *, */) ?? [];
  return others.length > 0 && others.every((other) => other === first);
}

function splitDifference<H extends Head>(whole: Judgement<H>, pieces: Judgement<H>): string | undefined {
  const plain = (judgement: Judgement<H>): string =>
    JSON.stringify({
      end: judgement.end,
      messages: judgement.messages
        .filter((message) => message.complete || judgement.end.is !== "refused")
        .map(({ head, ...rest }) => ({ ...rest, head: { ...head, fields: head.fields.raw() } })),
    });
  const [one, other] = [plain(whole), plain(pieces)];
  return one === other ? undefined : `whole ${one}, in pieces ${other}`;
}

function rewrittenRequest({ head, body }: JudgedMessage<ParsedRequest>): string {
  const { fields, framing } = head;
  fields.deleteNamed(head.connection.names);
  if (head.host !== "") fields.set("Host", head.host);
  else if (!fields.has("host")) fields.append("Host", "");
  return (
    HeadWriter.request(head.method, head.originTarget)
      .fields(fields, hopByHop | kind.contentLength)
      .framing(framing)
      .field("X-Forwarded-For", "127.0.0.1")
      .end() + body
  );
}

function rewrittenResponse({ head, body }: JudgedMessage<ParsedResponse>): string {
  const { fields, framing } = head;
  fields.deleteNamed(head.connection.names);
  const writer = HeadWriter.response(head.status, head.reason).fields(fields, hopByHop | kind.contentLength);
  if (framing.is === "none" && head.announcedBytes !== undefined && head.status >= 300)
    writer.framing({ is: "length", bytes: head.announcedBytes });
  if (head.status === 101) writer.list(["Connection", "Upgrade", "Upgrade", head.upgrade!]);
  return writer.framing(framing).end() + body;
}

function differing(ours: readonly string[], theirs: readonly string[]): string | undefined {
  const [one, other] = [JSON.stringify(ours), JSON.stringify(theirs)];
  return one === other ? undefined : `${one} and ${other}`;
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((start, index) => bytes.subarray(start, places[index] ?? bytes.length));
}
