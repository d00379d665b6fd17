/** One row of the corpus: what came, as latin1, and what has to come of it (see `summary` in judgement.ts). */
export type Case = readonly [name: string, octets: string, want: string];

/** A row about an upstream connection: also the methods of the requests that were sent on it, `UPGRADE` for a GET that asks for one. */
export type ResponseCase = readonly [name: string, methods: string, octets: string, want: string];

/** A request with one more field line or several; each brings its own CRLF. */
export function get(fields: string, target = "/"): string {
  return `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;
}

export function post(fields: string, body: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`;
}

export function chunkedPost(body: string): string {
  return post("Transfer-Encoding: chunked\r\n", body);
}

/** What an attacker hides: it must never become a request of its own unless it stands where one may stand. */
export const hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
