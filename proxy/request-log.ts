/** One line per request on stdout, from the operator's template (data-plane 1.12). Nothing of it exists when it is off. */
import type { Exchange, ExchangeEnd, ResultStatus } from "./exchange.ts";
import { parseTemplate } from "./go-template/template.ts";
import {
  Int,
  TemplateError,
  type TemplateMethod,
  type TemplateObject,
  type TemplateValue,
} from "./go-template/value.ts";

/** What `.Revision` shows; the activator leaves the pod's name and address empty. */
export interface LoggedRevision {
  revision: string;
  namespace: string;
  service: string;
  configuration: string;
  pod: string;
  podIp: string;
}

/** Throws {@link TemplateError} when the template cannot be parsed. `write` gets whole lines. */
export function createRequestLog(
  source: string,
  resultStatus: ResultStatus,
  write: (line: string) => void,
): (exchange: Exchange, revision: LoggedRevision) => void {
  const template = parseTemplate(source);
  const line = (exchange: Exchange, end: ExchangeEnd, request: Lazy, revision: LoggedRevision): string => {
    const seconds = (performance.now() - exchange.startedMs) / 1000;
    const response = { code: resultStatus(exchange, end), size: exchange.responseBytes, seconds };
    const input = record({
      Request: request.value,
      Response: record({ Code: new Int(response.code), Size: new Int(response.size), Latency: response.seconds }),
      Revision: revisionValue(revision),
      TraceID: request.traceId,
    });
    try {
      return template(input);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      const { method } = exchange.head;
      return `Invalid request log template: method: ${method}, response code: ${response.code}, latency: ${seconds}, url: ${request.target}`;
    }
  };
  return (exchange, revision) => {
    // Before the layers rewrite the head for the app.
    const request = new Lazy(exchange);
    exchange.onEnd((end) => {
      const text = line(exchange, end, request, revision);
      write(text.endsWith("\n") ? text : `${text}\n`);
    });
  };
}

const revisionValue = (revision: LoggedRevision): TemplateObject =>
  record({
    Name: revision.revision,
    Namespace: revision.namespace,
    Service: revision.service,
    Configuration: revision.configuration,
    PodName: revision.pod,
    PodIP: revision.podIp,
  });

/** What `.Request` shows, copied as it arrived and made into values only for a template that asks. */
class Lazy {
  readonly target: string;
  readonly #exchange: Exchange;
  readonly #fields: readonly string[];
  readonly #host: string;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    this.#fields = exchange.head.headers.raw().slice();
    this.#host = exchange.head.host;
    this.target = exchange.head.target;
  }

  #header(name: string): string {
    for (let at = 0; at + 1 < this.#fields.length; at += 2)
      if (this.#fields[at]!.toLowerCase() === name) return this.#fields[at + 1]!;
    return "";
  }

  /** The second field of `traceparent`, else Zipkin's header. */
  get traceId(): string {
    const parent = this.#header("traceparent").split("-");
    return (parent.length > 1 ? parent[1] : undefined) ?? this.#header("x-b3-traceid");
  }

  get value(): TemplateObject {
    return { field: (name) => this.#field(name) };
  }

  #field(name: string): TemplateValue | undefined {
    const { head, peerAddress, peerPort } = this.#exchange;
    switch (name) {
      case "Method":
        return head.method;
      case "RequestURI":
        return this.target;
      case "URL":
        return urlValue(this.target);
      case "Host":
        return this.#host;
      case "Proto":
        return `HTTP/${head.httpVersion}`;
      case "ProtoMajor":
        return new Int(Number(head.httpVersion.split(".")[0]));
      case "ProtoMinor":
        return new Int(Number(head.httpVersion.split(".")[1]));
      case "ContentLength":
        return new Int(this.#contentLength());
      case "RemoteAddr":
        return peerAddress.includes(":") ? `[${peerAddress}]:${peerPort}` : `${peerAddress}:${peerPort}`;
      case "UserAgent":
        return this.#header("user-agent");
      case "Referer":
        return this.#header("referer");
      case "Header":
        return new HeaderValue(this.#fields);
      default:
        return undefined;
    }
  }

  /** -1 for a body whose length is not known beforehand. */
  #contentLength(): number {
    const length = this.#header("content-length");
    if (length !== "") return Number(length);
    const { head, requestBytes } = this.#exchange;
    const unknown = this.#header("transfer-encoding") !== "" || (head.httpVersion === "2.0" && requestBytes > 0);
    return unknown ? -1 : 0;
  }
}

/** Go's http.Header: a map by canonical name, with `Get` and `Values`; the Host is not in it. */
class HeaderValue extends Map<string, readonly string[]> implements TemplateObject {
  constructor(fields: readonly string[]) {
    super();
    for (let at = 0; at + 1 < fields.length; at += 2) {
      const name = canonical(fields[at]!);
      if (name !== "Host") this.set(name, [...(this.get(name) ?? []), fields[at + 1]!]);
    }
  }

  field(name: string): TemplateValue | undefined {
    const of = ([key]: readonly TemplateValue[]): readonly string[] =>
      this.get(canonical(typeof key === "string" ? key : "")) ?? [];
    const get: TemplateMethod = (args) => of(args)[0] ?? "";
    if (name === "Get") return get;
    return name === "Values" ? of : this.get(name);
  }
}

/** `x-request-id` → `X-Request-Id`. */
function canonical(name: string): string {
  return name.toLowerCase().replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
}

function urlValue(target: string): TemplateObject {
  const at = target.indexOf("?");
  const path = at < 0 ? target : target.slice(0, at);
  return record({
    String: target,
    Path: unescaped(path),
    RawQuery: at < 0 ? "" : target.slice(at + 1),
    EscapedPath: path,
    RequestURI: target,
  });
}

function unescaped(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function record(fields: Readonly<Record<string, TemplateValue>>): TemplateObject {
  return { field: (name) => (Object.hasOwn(fields, name) ? fields[name] : undefined) };
}
