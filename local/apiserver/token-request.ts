/** `POST …/serviceaccounts/NAME/token` (authentication.k8s.io/v1 TokenRequest), as `kubectl create token` asks. */
import type { KubeObject } from "../../api/meta.ts";
import { timestamp, type Call } from "./call.ts";
import { memberOf } from "./json-value.ts";
import type { Rest } from "./rest.ts";
import { invalid, unavailable } from "./status-error.ts";

export interface TokenOptions {
  seconds: number;
  /** [] for the server's own. */
  audiences: string[];
}

/** A token that the server then knows as the service account. */
export type IssueToken = (namespace: string, serviceAccount: string, options: TokenOptions) => string;

const usualSeconds = 3600;
const leastSeconds = 600;
const mostSeconds = 2 ** 32;

/** The body with its status filled in. Throws ApiError 404 for an account that is not there. */
export function requestToken(
  rest: Rest,
  call: Call,
  body: unknown,
  issue: IssueToken | undefined,
  nowMs: number,
): object {
  const account = rest.get(call);
  if (issue === undefined) throw unavailable("this server issues no tokens");
  const spec = memberOf(body, "spec");
  const seconds = memberOf(spec, "expirationSeconds") ?? usualSeconds;
  const audiences = memberOf(spec, "audiences");
  const refuse = (why: string): never => {
    throw invalid({ group: "authentication.k8s.io", kind: "TokenRequest" }, "", [
      {
        reason: "FieldValueInvalid",
        field: "spec.expirationSeconds",
        message: `Invalid value: ${JSON.stringify(seconds)}: ${why}`,
      },
    ]);
  };
  if (typeof seconds !== "number" || seconds < leastSeconds)
    return refuse("may not specify a duration less than 10 minutes");
  if (seconds > mostSeconds) return refuse("may not specify a duration larger than 2^32 seconds");
  const { name = "", namespace = "" } = account.metadata;
  const wanted = Array.isArray(audiences) ? audiences.map(String) : [];
  const token = issue(namespace, name, { seconds, audiences: wanted });
  return {
    ...(body as KubeObject),
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    metadata: { name, namespace, creationTimestamp: timestamp(nowMs) },
    spec: { audiences: wanted, expirationSeconds: seconds },
    status: { token, expirationTimestamp: timestamp(nowMs + seconds * 1000) },
  };
}
