import type { HeaderList, RequestHead } from "../exchange.ts";
import type { HeadFields } from "../http1/head-fields.ts";
import type { ParsedRequest } from "../http1/request-head.ts";

/** A request head as a client of HTTP/1.x sent it. */
export class Http1RequestHead implements RequestHead {
  readonly method: string;
  target: string;
  readonly httpVersion: "1.0" | "1.1";
  readonly headers: HeaderList;

  constructor(parsed: ParsedRequest) {
    this.method = parsed.method;
    this.target = parsed.originTarget;
    this.httpVersion = parsed.minorVersion === 0 ? "1.0" : "1.1";
    this.headers = parsed.fields;
    // The target names the host then, and agrees with the field if there is one.
    if (parsed.targetForm === "absolute") setHost(parsed.fields, parsed.host);
  }

  get host(): string {
    return this.headers.get("host") ?? "";
  }

  set host(value: string) {
    this.headers.set("Host", value);
  }
}

function setHost(fields: HeadFields, host: string): void {
  if (fields.get("host") !== host) fields.set("Host", host);
}

/** The token that may be granted: of a protocol that is spliced, so not HTTP/2. */
export function upgradeOf({ upgrade, method }: ParsedRequest): string | undefined {
  return upgrade === undefined || method !== "GET" || upgrade.toLowerCase() === "h2c" ? undefined : upgrade;
}
