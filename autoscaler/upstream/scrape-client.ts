/** One question to one queue-proxy's port 9090 (data-plane 1.13). */
import { Agent, request, type Dispatcher } from "undici";
import { Stat } from "../../proto/gen/upstream-stat.ts";

export type Answer =
  | { is: "stat"; stat: Stat }
  /** `mayBeMesh`: a proxy in between that wants another name to call by would answer so. */
  | { is: "failed"; mayBeMesh: boolean; because: ScrapeFailure; error?: unknown };

export type ScrapeFailure = "unreachable" | "status" | "type" | "size" | "encoding";

export interface Question {
  /** IP address. */
  host: string;
  port: number;
  /** The Host header, if it differs. */
  name?: string;
  /** Past a mesh's load balancing, which would take the name's. */
  passThrough?: boolean;
  /** Not over a connection that is open already: another pod may be behind the next one. */
  fresh?: boolean;
}

export type Ask = (question: Question, signal: AbortSignal) => Promise<Answer>;

export interface ScrapeClient {
  ask: Ask;
  close(): Promise<void>;
}

const mimeType = "application/protobuf";
/** Six doubles with their tags, a name, and some room. */
const largestBytes = 6 * 10 + 256 + 20;
const timeoutMs = 3000;
const idleMs = 30_000;
/** A pod is asked once a second, and by one scrape at a time. */
const connectionsPerPod = 2;

export function createScrapeClient(): ScrapeClient {
  const agent = new Agent({
    connections: connectionsPerPod,
    keepAliveTimeout: idleMs,
    connect: { timeout: timeoutMs },
    pipelining: 1,
  });
  return {
    ask: async (question, signal) => {
      const { host, port, name, passThrough, fresh } = question;
      let response: Dispatcher.ResponseData;
      try {
        response = await request(`http://${host.includes(":") ? `[${host}]` : host}:${port}/metrics`, {
          dispatcher: agent,
          headers: {
            accept: mimeType,
            ...(name === undefined ? {} : { host: name }),
            ...(passThrough === true ? { "knative-direct-lb": "true" } : {}),
          },
          reset: fresh === true,
          signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
        });
      } catch (error) {
        return { is: "failed", mayBeMesh: false, because: "unreachable", error };
      }
      return answerOf(response);
    },
    close: () => agent.destroy(),
  };
}

async function answerOf({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<Answer> {
  if (statusCode < 200 || statusCode > 299) {
    await discard(body);
    return { is: "failed", mayBeMesh: statusCode === 502 || statusCode === 503, because: "status" };
  }
  if (headers["content-type"] !== mimeType) {
    await discard(body);
    return { is: "failed", mayBeMesh: false, because: "type" };
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      // Leaving the loop destroys the body and its connection.
      if (bytes > largestBytes) return { is: "failed", mayBeMesh: false, because: "size" };
      chunks.push(chunk);
    }
  } catch (error) {
    return { is: "failed", mayBeMesh: false, because: "unreachable", error };
  }
  try {
    return { is: "stat", stat: Stat.decode(Buffer.concat(chunks)) };
  } catch (error) {
    return { is: "failed", mayBeMesh: false, because: "encoding", error };
  }
}

/** So that the connection can be used again; a body that is long is not worth it. */
async function discard(body: Dispatcher.ResponseData["body"]): Promise<void> {
  await body.dump({ limit: 16 * 1024 }).catch(() => undefined);
}
