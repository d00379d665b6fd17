/**
 * Answers that are ours and not the app's. Each has a code in the field `swell-error`, by which callers and dashboards
 * tell the two apart; docs/errors.md says what each means and what to do. Bodies are Knative's where it has one.
 */
import type { Exchange } from "../proxy/exchange.ts";
import { errorHeader, plainText } from "../proxy/plain-text.ts";

interface OurError {
  status: number;
  body: string;
  headers?: Readonly<Record<string, string>>;
}

const retryLater = { ...plainText, "Retry-After": "1" };
/** As Knative writes its 504s: no line end, no nosniff (data-plane 1.17). */
const typeOnly = { "Content-Type": plainText["Content-Type"] };

const ourErrors = {
  "no-route": { status: 404, body: "no route for this host and path\n" },
  "route-loop": { status: 508, body: "the routes of this host lead in a circle\n" },
  "no-split": { status: 503, body: "the route has no backend\n" },
  "no-endpoint": { status: 503, body: "the route's backend has no ready endpoint\n", headers: retryLater },
  "routes-unknown": { status: 503, body: "the gateway does not know its routes yet\n", headers: retryLater },
  "revisions-unknown": { status: 503, body: "the activator does not know its revisions yet\n", headers: retryLater },
  "no-revision": { status: 404, body: "Error getting active endpoint: the request names no revision\n" },
  "unknown-revision": { status: 404, body: "" },
  "queue-full": { status: 503, body: "pending request queue full\n", headers: retryLater },
  "memory-full": { status: 503, body: "pending request queue full\n", headers: retryLater },
  timeout: { status: 504, body: "activator request timeout", headers: typeOnly },
  "no-answer": { status: 502, body: "" },
  internal: { status: 500, body: "Internal Server Error\n" },
} satisfies Record<string, OurError>;

export type ErrorCode = keyof typeof ourErrors;

/** Ends the exchange with our answer, or visibly broken if a response has begun. `body` without its line end. */
export function answerOurError(exchange: Exchange, code: ErrorCode, body?: string): void {
  const error: OurError = ourErrors[code];
  if (exchange.responseStarted) exchange.fail(error.status, "");
  else
    exchange.answer(error.status, body === undefined ? error.body : `${body}\n`, {
      ...(error.headers ?? plainText),
      [errorHeader]: code,
    });
}
