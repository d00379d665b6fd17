/** Requests to the API server: counted in plain numbers, read for Prometheus under Knative's names (data-plane 5.2). */
import type { Registry } from "prom-client";
import { Histogram, secondsBounds } from "../process/histogram.ts";
import { counter, histogram } from "../process/metric-families.ts";

/** There are about as many as kinds and verbs; past this the rest share one. */
const maxSeries = 500;
const rest = "other";

export class ClientCounts {
  /** Method and status, `GET 200`. Status 0: no answer. */
  readonly #answers = new Map<string, { method: string; status: number; count: number }>();
  /** Method and template of the path. */
  readonly #seconds = new Map<string, { method: string; template: string; seconds: Histogram }>();
  readonly #server: URL;

  constructor(server: URL) {
    this.#server = server;
  }

  /** Counts what comes of a request that was just sent. */
  async counted<R extends { statusCode: number }>(method: string, path: string, asking: Promise<R>): Promise<R> {
    const startMs = performance.now();
    let status = 0;
    try {
      const response = await asking;
      status = response.statusCode;
      return response;
    } finally {
      this.add(method, path, status, performance.now() - startMs);
    }
  }

  /** `path`: with or without a query; `tookMs`: until the head of the answer. */
  add(method: string, path: string, status: number, tookMs: number): void {
    const answerKey = `${method} ${status}`;
    let answer = this.#answers.get(answerKey);
    if (answer === undefined) this.#answers.set(answerKey, (answer = { method, status, count: 0 }));
    answer.count += 1;

    let template = pathTemplate(path);
    let key = `${method} ${template}`;
    let duration = this.#seconds.get(key);
    if (duration === undefined) {
      if (this.#seconds.size >= maxSeries) template = rest;
      key = `${method} ${template}`;
      duration = this.#seconds.get(key) ?? { method, template, seconds: new Histogram(secondsBounds) };
      this.#seconds.set(key, duration);
    }
    duration.seconds.add(tookMs / 1000);
  }

  register(register: Registry): void {
    const { host, hostname, port, protocol } = this.#server;
    const scheme = protocol.replace(":", "");
    const serverPort = port === "" ? (scheme === "https" ? "443" : "80") : port;
    counter(
      register,
      "kn_k8s_client_http_response_status_code_total",
      "Count of response codes partitioned by method and host",
      () =>
        Array.from(this.#answers.values(), ({ method, status, count }) => [
          {
            http_request_method: method,
            http_response_status_code: status === 0 ? "<error>" : String(status),
            server_address: host,
          },
          count,
        ]),
    );
    histogram(register, "http_client_request_duration_seconds", "Duration of HTTP client requests.", () =>
      Array.from(this.#seconds.values(), ({ method, template, seconds }) => [
        {
          http_request_method: method,
          server_address: hostname,
          server_port: serverPort,
          url_scheme: scheme,
          url_template: template,
        },
        seconds.values,
      ]),
    );
  }
}

/** `/api/v1/namespaces/a/pods/b?x=y` → `/api/v1/namespaces/{namespace}/pods/{name}`. */
export function pathTemplate(path: string): string {
  const end = path.indexOf("?");
  const parts = (end < 0 ? path : path.slice(0, end)).split("/");
  // "", "api", version or "", "apis", group, version.
  let at = parts[1] === "apis" ? 4 : 3;
  if (parts[at] === "namespaces" && parts.length > at + 2) {
    parts[at + 1] = "{namespace}";
    at += 2;
  }
  if (parts.length > at + 1) parts[at + 1] = "{name}";
  return parts.join("/");
}
