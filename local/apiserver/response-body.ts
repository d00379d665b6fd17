/** Answers with a body, compressed where it is large and the client can read that. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, gzip } from "node:zlib";

/** Smaller ones are sent faster as they are; the bound is Kubernetes' own. */
const gzipFromBytes = 128 * 1024;

/** `headers` without a length. A HEAD request gets the head alone. */
export function sendBody(
  request: IncomingMessage,
  response: ServerResponse,
  code: number,
  headers: Record<string, string>,
  body: string | Uint8Array,
): void {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const send = (content: Uint8Array, more: Record<string, string>): void => {
    if (response.destroyed) return;
    response.writeHead(code, { ...headers, ...more, "content-length": content.length });
    response.end(request.method === "HEAD" ? undefined : content);
  };
  if (bytes.length < gzipFromBytes || !acceptsGzip(request)) return send(bytes, {});
  const vary = [headers["vary"], "Accept-Encoding"].filter((name) => name !== undefined).join(", ");
  gzip(bytes, { level: constants.Z_BEST_SPEED }, (error, compressed) => {
    if (error === null) send(compressed, { "content-encoding": "gzip", vary });
    else send(bytes, {});
  });
}

const acceptsGzip = ({ headers }: IncomingMessage): boolean =>
  (headers["accept-encoding"] ?? "")
    .split(",")
    .some((coding) => /^\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/i.test(coding));
