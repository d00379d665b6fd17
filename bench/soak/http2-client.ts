/** HTTP/2 with prior knowledge. After GOAWAY new streams go to a new connection; a stream that it refused goes again. */
import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { body, closedLoop, deadlineMs, type Client, type ClientOptions } from "./client.ts";

const maxTries = 3;

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** Nothing of the request was processed: RFC 9113 8.7. */
class RefusedError extends Error {}
/** The connection ended before any octet of an answer. */
class ClosedError extends Error {}

export const http2Client: Client = async (options, stop) => {
  const { port, load, ledger, random, host } = options;
  const isPost = load === "h2c POST";
  let session: ClientHttp2Session | undefined;
  const current = (): ClientHttp2Session => {
    if (session !== undefined && !session.closed && !session.destroyed) return session;
    const opened = connect(`http://127.0.0.1:${port}`);
    opened.on("error", () => {}); // each stream hears of it
    opened.on("goaway", () => {
      if (session === opened) session = undefined;
    });
    return (session = opened);
  };
  let count = 0;
  await closedLoop(options, stop, async () => {
    const token = `${random.next()}-${(count += 1)}`;
    const target = `/echo?token=${token}`;
    const sent = isPost ? body(token, random.below(20_000)) : undefined;
    for (let tries = 1; ; tries += 1)
      try {
        check(await attempt(current(), options, { host, method: isPost ? "POST" : "GET", target, token, body: sent }));
        return;
      } catch (error) {
        const mayRepeat = error instanceof RefusedError || (error instanceof ClosedError && !isPost);
        if (!mayRepeat || tries === maxTries) throw error;
        ledger.of(load).retried += 1;
      }

    function check({ status, headers, body: received }: Answer): void {
      const text = received.toString("latin1");
      if (status !== 200)
        throw new Error(`${status} ${text.slice(0, 120).trim()} (swell-error: ${String(headers["swell-error"])})`);
      if (headers["x-token"] !== token) throw new Error("another request's answer");
      const same = sent === undefined ? text === target : received.equals(sent);
      if (!same) throw new Error(`not what was sent: ${received.length} bytes of ${sent?.length ?? target.length}`);
    }
  });
  session?.close();
};

function attempt(
  session: ClientHttp2Session,
  _options: ClientOptions,
  what: { host: string; method: string; target: string; token: string; body: Buffer | undefined },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(
      { ":method": what.method, ":path": what.target, ":authority": what.host, "x-token": what.token },
      { endStream: what.body === undefined },
    );
    const deadline = setTimeout(() => {
      reject(new Error(`no answer for ${deadlineMs / 1000} s`));
      stream.close(constants.NGHTTP2_CANCEL);
    }, deadlineMs);
    let headers: IncomingHttpHeaders | undefined;
    const chunks: Buffer[] = [];
    let cause: Error | undefined;
    stream.on("response", (fields) => (headers = fields));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", (error) => (cause = error));
    stream.on("close", () => {
      clearTimeout(deadline);
      const { rstCode } = stream;
      const ended = `stream closed with code ${rstCode}`;
      if (headers !== undefined && rstCode === constants.NGHTTP2_NO_ERROR && stream.readableEnded)
        resolve({ status: Number(headers[":status"]), headers, body: Buffer.concat(chunks) });
      else if (rstCode === constants.NGHTTP2_REFUSED_STREAM) reject(new RefusedError(ended, { cause }));
      else if (headers === undefined && session.destroyed) reject(new ClosedError(ended, { cause }));
      else reject(new Error(ended, { cause }));
    });
    if (what.body !== undefined) stream.end(what.body);
  });
}
