/**
 * Answers of the sidecar's own. Bodies and fields are Knative's (data-plane 1.17); the code in `swell-error` tells them
 * from the app's answers (docs/errors.md). Those to probes are made in proxy/network-probe.ts.
 */
import type { Exchange, ResultStatus, UpstreamError } from "../proxy/exchange.ts";
import { errorHeader, plainText } from "../proxy/plain-text.ts";
import type { TimeLimit } from "../proxy/timeouts.ts";

/** nginx's word for a client that did not wait; nothing is sent with it. */
const clientGone = 499;
const timeLimitCodes = {
  total: "request-timeout",
  "response start": "response-start-timeout",
  idle: "idle-timeout",
} as const satisfies Record<TimeLimit, string>;

/** Exchanges that a time limit broke off. */
const overdue = new WeakSet<Exchange>();

export function answerQueueFull(exchange: Exchange): void {
  exchange.answer(503, "pending request queue full\n", { ...plainText, [errorHeader]: "container-queue-full" });
}

/** Visibly broken when the response has begun: a client must not take what came for the whole. */
export function answerTimeout(exchange: Exchange, limit: TimeLimit): void {
  overdue.add(exchange);
  if (exchange.responseStarted) exchange.fail(504, "");
  else
    exchange.answer(504, "request timeout", {
      "Content-Type": plainText["Content-Type"],
      [errorHeader]: timeLimitCodes[limit],
    });
}

export function answerAppFailure(exchange: Exchange, error: UpstreamError): void {
  const { code } = (error.cause ?? {}) as { code?: string };
  const unreached = code === "ECONNREFUSED" || code === "ETIMEDOUT" || code === "EHOSTUNREACH";
  exchange.answer(502, `${error.message}\n`, {
    ...plainText,
    [errorHeader]: unreached ? "app-unreachable" : "app-broke-off",
  });
}

/**
 * The status under which an exchange is counted: what was sent, unless it was broken off. Then it is 504 for one of our
 * limits, 502 for an app that broke off, and 499 for a client that went away; Knative counts these as 200.
 */
export const resultStatus: ResultStatus = (exchange, end) => {
  if (end === "client-gone") return clientGone;
  if (end === "completed") return exchange.status;
  return overdue.has(exchange) ? 504 : 502;
};
