/** HTTP/1.1 with a connection kept alive, which repeats only what RFC 9110 9.2.2 lets a client repeat. */
import { Agent, request, type IncomingMessage } from "node:http";
import { body, closedLoop, deadlineMs, type Client, type ClientOptions } from "./client.ts";

/** Of a request whose connections all end before an answer. */
const maxTries = 3;

interface Try {
  method: string;
  target: string;
  token: string;
  body: Buffer | undefined;
}

type Outcome =
  | { is: "answer"; status: number; headers: IncomingMessage["headers"]; body: Buffer }
  /** The connection ended before any octet of an answer. */
  | { is: "closed"; error: Error; reused: boolean };

export const http1Client: Client = async (options, stop) => {
  const agent = new Agent({ keepAlive: options.load !== "HTTP/1 POST, new connection", maxSockets: 1 });
  const isPost = options.load.startsWith("HTTP/1 POST");
  let count = 0;
  try {
    await closedLoop(options, stop, async () => {
      const token = `${options.random.next()}-${(count += 1)}`;
      const target = `/echo?token=${token}${options.load === "HTTP/1 GET, one at a time" ? "&ms=3" : ""}`;
      const sent = isPost ? body(token, options.random.below(20_000)) : undefined;
      await exchange(options, agent, { method: isPost ? "POST" : "GET", target, token, body: sent });
    });
  } finally {
    agent.destroy();
  }
};

/** One request with the repeats that it may have; throws when the answer is not the right one. */
export async function exchange(options: ClientOptions, agent: Agent, what: Try): Promise<void> {
  const tally = options.ledger.of(options.load);
  for (let tries = 1; ; tries += 1) {
    const outcome = await attempt(options, agent, what);
    if (outcome.is === "closed") {
      const mayRepeat = what.method === "GET" && tries < maxTries;
      if (!mayRepeat) throw new Error(outcome.reused ? "kept connection" : "new connection", { cause: outcome.error });
      tally.retried += 1;
      continue;
    }
    const { status, headers } = outcome;
    const text = outcome.body.toString("latin1");
    if (status !== 200)
      throw new Error(
        `${status} ${text.slice(0, 120).trim()} (swell-error: ${String(headers["swell-error"] ?? "none")})`,
      );
    if (headers["x-token"] !== what.token) throw new Error("another request's answer");
    const same = what.body === undefined ? text === what.target : outcome.body.equals(what.body);
    if (!same) throw new Error(`not what was sent: ${text.length} bytes`);
    return;
  }
}

function attempt({ port, host }: ClientOptions, agent: Agent, what: Try): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: "127.0.0.1",
        port,
        method: what.method,
        path: what.target,
        headers: { host, "x-token": what.token, ...(what.body ? { "content-length": what.body.length } : {}) },
        agent,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", (error) => settle(() => reject(new Error("the answer broke off", { cause: error }))));
        response.on("end", () => {
          const { statusCode: status = 0, headers } = response;
          settle(() => resolve({ is: "answer", status, headers, body: Buffer.concat(chunks) }));
        });
      },
    );
    const deadline = setTimeout(() => {
      settle(() => reject(new Error(`no answer for ${deadlineMs / 1000} s`)));
      outgoing.destroy();
    }, deadlineMs);
    const settle = (then: () => void): void => {
      clearTimeout(deadline);
      then();
    };
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      const ended = error.code === "ECONNRESET" || error.code === "EPIPE";
      settle(() =>
        ended
          ? resolve({ is: "closed", error, reused: outgoing.reusedSocket })
          : reject(new Error("", { cause: error })),
      );
    });
    outgoing.end(what.body);
  });
}
