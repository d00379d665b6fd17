/** The loads that every contender of the queue-proxy benchmark gets. */

/** How the generator talks; `fresh` is HTTP/1.1 with a connection per request. */
export type Protocol = "http1" | "fresh" | "h2c" | "websocket";

export interface LoadScenario {
  name: string;
  about: string;
  protocol: Protocol;
  /** Connections (h2c: concurrent streams), each with one request at a time. */
  connections: number;
  requestBytes: number;
  answerBytes: number;
  /** Of the sidecar; others limit their connections to the app where they can queue, else do not take part. */
  containerConcurrency: number;
  /** What the scenario is about is the limit: contenders that cannot queue at one leave it out. */
  aboutLimit: boolean;
  /** Rounds with --quick; 0 leaves it out. */
  quickRounds: number;
}

const small: LoadScenario = {
  name: "keep-alive-small",
  about: "50 keep-alive connections, 12-byte answers",
  protocol: "http1",
  connections: 50,
  requestBytes: 0,
  answerBytes: 12,
  containerConcurrency: 100,
  aboutLimit: false,
  quickRounds: 3,
};

const limited = (containerConcurrency: number, connections: number): LoadScenario => ({
  ...small,
  name: `limit-${containerConcurrency}`,
  about: `containerConcurrency ${containerConcurrency === 0 ? "0 (no limit)" : containerConcurrency}, ${connections} connections`,
  connections,
  containerConcurrency,
  aboutLimit: true,
  quickRounds: containerConcurrency === 10 ? 1 : 0,
});

const body = (name: string, about: string, sizes: Partial<LoadScenario>): LoadScenario => ({
  ...small,
  name,
  about,
  quickRounds: 0,
  ...sizes,
});

const KiB = 1024;

export const loadScenarios: readonly LoadScenario[] = [
  small,
  body("fresh-small", "a connection per request, 50 at a time, 12-byte answers", { protocol: "fresh", quickRounds: 1 }),
  body("answer-0", "empty answers", { answerBytes: 0 }),
  body("answer-1KiB", "answers of 1 KiB", { answerBytes: KiB }),
  body("answer-64KiB", "answers of 64 KiB", { answerBytes: 64 * KiB, quickRounds: 1 }),
  body("answer-1MiB", "answers of 1 MiB, 10 connections", { answerBytes: KiB * KiB, connections: 10 }),
  body("upload-1KiB", "requests of 1 KiB", { requestBytes: KiB }),
  body("upload-64KiB", "requests of 64 KiB", { requestBytes: 64 * KiB }),
  body("upload-1MiB", "requests of 1 MiB, 10 connections", { requestBytes: KiB * KiB, connections: 10 }),
  limited(0, 50),
  // What Knative lets wait is ten times the limit; beyond it the answer is 503.
  limited(1, 10),
  limited(10, 50),
  limited(100, 200),
  body("h2c-small", "h2c, 50 streams on 5 connections, 12-byte answers", { protocol: "h2c", quickRounds: 1 }),
  body("websocket-echo", "50 WebSockets, echo of 12 bytes", { protocol: "websocket", quickRounds: 1 }),
];

export const host = "bench.example.com";
/** Sent with every request and returned by the app: header fields pass both ways. */
export const tokenHeader = "x-bench-token";
export const token = "b7a1c95e";

export const pathOf = ({ requestBytes, answerBytes }: LoadScenario): string =>
  requestBytes > 0 ? "/received" : `/answer/${answerBytes}`;

/** Bytes of an answer, the same for every size and app. */
export function answerOf(bytes: number): Buffer {
  return Buffer.alloc(bytes, "hello world\n");
}

/** The app's answer to an upload: how much arrived, in 12 bytes. */
export const receivedOf = (bytes: number): string => `${String(bytes).padStart(11)}\n`;
