/** Why a message was refused. After any refusal the connection is closed: where the next message starts is unknown. */

const badRequest = 400;
const uriTooLong = 414;
const fieldsTooLarge = 431;
const notImplemented = 501;
const versionNotSupported = 505;

const reasons = {
  // octets and lines
  "bare-cr": [badRequest, "a carriage return without a line feed"],
  "bare-lf": [badRequest, "a line feed without a carriage return"],
  "control-octet": [badRequest, "a control octet in the head"],
  // start line
  "bad-method": [badRequest, "the method is not a token"],
  "unknown-method": [notImplemented, "the method is not supported"],
  "no-version": [badRequest, "the request line has no version"],
  "bad-version": [badRequest, "the version is malformed"],
  "unsupported-version": [versionNotSupported, "only HTTP/1.0 and HTTP/1.1 are spoken here"],
  "bad-target": [badRequest, "the request target is malformed"],
  "line-too-long": [uriTooLong, "the request line is too long"],
  "bad-status-line": [badRequest, "the status line is malformed"],
  "bad-interim": [badRequest, "a 1xx response after which no other can come"],
  // fields
  "bad-field-name": [badRequest, "a field name is not a token"],
  "space-before-colon": [badRequest, "white space between a field name and its colon"],
  "line-without-colon": [badRequest, "a field line without a colon"],
  "folded-line": [badRequest, "a field line that starts with white space"],
  "misspelt-framing": [badRequest, "a field name that some servers take for a framing field"],
  "head-too-large": [fieldsTooLarge, "the head is too large"],
  "too-many-fields": [fieldsTooLarge, "too many fields"],
  "bad-connection": [badRequest, "the Connection field is malformed"],
  "bad-upgrade": [badRequest, "the Upgrade field is malformed"],
  // host
  "no-host": [badRequest, "no Host field"],
  "many-hosts": [badRequest, "more than one Host field"],
  "bad-host": [badRequest, "the Host field is malformed"],
  "host-mismatch": [badRequest, "the Host field and the target name different hosts"],
  // framing
  "bad-length": [badRequest, "the Content-Length field is malformed"],
  "many-lengths": [badRequest, "Content-Length fields that differ"],
  "length-and-coding": [badRequest, "both Content-Length and Transfer-Encoding"],
  "bad-coding": [badRequest, "the Transfer-Encoding field is malformed"],
  "chunked-not-last": [badRequest, "chunked is not the last transfer coding, or not the only chunked one"],
  "unknown-coding": [notImplemented, "a transfer coding other than chunked"],
  "coding-in-1.0": [badRequest, "Transfer-Encoding in HTTP/1.0"],
  "body-not-allowed": [badRequest, "a body where there can be none"],
  "unasked-upgrade": [badRequest, "a switch of protocols that nobody asked for"],
  // body
  "bad-chunk-size": [badRequest, "a chunk size is malformed"],
  "chunk-too-large": [badRequest, "a chunk size is too large"],
  "bad-chunk-extension": [badRequest, "a chunk extension is malformed"],
  "chunk-extensions-too-large": [badRequest, "chunk extensions are too large"],
  "bad-chunk-end": [badRequest, "a chunk does not end where its size says"],
  "forbidden-trailer": [badRequest, "a trailer field that belongs into the head"],
  "cut-short": [badRequest, "the connection ended inside the message"],
} as const;

export type RefusalCode = keyof typeof reasons;

export interface Refusal {
  readonly is: "refused";
  /** For the answer to a client: 400, 414, 431, 501 or 505. Always 502 when the message was a response. */
  readonly status: number;
  readonly code: RefusalCode;
  /** A sentence without anything that was received, fit for an answer and a log line. */
  readonly text: string;
}

/** One of a fixed set of objects: an attack costs no memory. */
export function requestRefusal(code: RefusalCode): Refusal {
  return ofRequests[code];
}

export function responseRefusal(code: RefusalCode): Refusal {
  return ofResponses[code];
}

const ofRequests = refusals((status) => status);
const ofResponses = refusals(() => 502);

function refusals(statusOf: (status: number) => number): Readonly<Record<RefusalCode, Refusal>> {
  const made = Object.entries(reasons).map(([code, [status, text]]) => [
    code,
    Object.freeze({ is: "refused", status: statusOf(status), code, text }),
  ]);
  return Object.fromEntries(made) as Record<RefusalCode, Refusal>;
}
