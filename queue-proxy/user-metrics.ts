/**
 * Port 9091: request metrics for Prometheus, with the names and labels that Knative's dashboards query (data-plane 5.1).
 * Counting is adding to plain numbers; text is made when somebody asks. Loaded only when it is configured.
 */
import type { Exchange } from "../proxy/exchange.ts";
import { isProbe } from "../proxy/network-probe.ts";
import type { AppMetrics } from "./proxy-handler.ts";

const secondsBuckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const bytesBuckets = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000];
/** `server_address` is what the client sends: past so many label sets the rest share one. */
const maxSeries = 500;

interface Series {
  /** Per bucket, the last one for what is over all bounds. */
  counts: number[];
  sum: number;
}

class Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #scope: string;
  readonly #series = new Map<string, Series>();

  constructor(name: string, help: string, bounds: readonly number[], scope: string) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
    this.#scope = scope;
  }

  /** `labels`: in Prometheus' text form, without braces. */
  observe(labels: string, value: number): void {
    const key = this.#series.size < maxSeries || this.#series.has(labels) ? labels : 'overflow="true"';
    let series = this.#series.get(key);
    if (series === undefined)
      this.#series.set(key, (series = { counts: Array.from({ length: this.#bounds.length + 1 }, () => 0), sum: 0 }));
    let at = 0;
    while (at < this.#bounds.length && value > this.#bounds[at]!) at += 1;
    series.counts[at]! += 1;
    series.sum += value;
  }

  text(): string {
    if (this.#series.size === 0) return "";
    let out = `# HELP ${this.#name} ${this.#help}\n# TYPE ${this.#name} histogram\n`;
    for (const [labels, { counts, sum }] of this.#series) {
      const all = `${labels}${labels === "" ? "" : ","}${scopeLabels(this.#scope)}`;
      let count = 0;
      for (const [at, inBucket] of counts.entries()) {
        count += inBucket;
        out += `${this.#name}_bucket{${all},le="${this.#bounds[at] ?? "+Inf"}"} ${count}\n`;
      }
      out += `${this.#name}_sum{${all}} ${sum}\n${this.#name}_count{${all}} ${count}\n`;
    }
    return out;
  }
}

const appScope = "knative.dev/serving/pkg/queue";
const serverScope = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp";

export interface Identity {
  namespace: string;
  service: string;
  configuration: string;
  revision: string;
  pod: string;
}

export interface UserMetrics {
  app: AppMetrics;
  observe: (exchange: Exchange) => void;
  text(): string;
}

export function createUserMetrics(identity: Identity, hasBreaker: boolean): UserMetrics {
  const invocation = new Histogram(
    "kn_serving_invocation_duration_seconds",
    "The duration of task execution.",
    secondsBuckets,
    appScope,
  );
  const duration = new Histogram(
    "http_server_request_duration_seconds",
    "Duration of HTTP server requests.",
    secondsBuckets,
    serverScope,
  );
  const requestSize = new Histogram(
    "http_server_request_body_size_bytes",
    "Size of HTTP server request bodies.",
    bytesBuckets,
    serverScope,
  );
  const responseSize = new Histogram(
    "http_server_response_body_size_bytes",
    "Size of HTTP server response bodies.",
    bytesBuckets,
    serverScope,
  );
  let queueDepth: number | undefined;
  return {
    app: {
      queueDepth(depth) {
        queueDepth = depth;
      },
      invoked(seconds, status) {
        // An exchange that ended without an answer shows as 200, as in Knative's metric.
        invocation.observe(`http_response_status_code="${status || 200}"`, seconds);
      },
    },
    observe(exchange) {
      if (isProbe(exchange.head.headers)) return;
      const tag = routeTag(exchange);
      exchange.onEnd(() => {
        const labels = serverLabels(exchange, tag);
        duration.observe(labels, (performance.now() - exchange.startedMs) / 1000);
        requestSize.observe(labels, exchange.requestBytes);
        responseSize.observe(labels, exchange.responseBytes);
      });
    },
    text() {
      const depth =
        hasBreaker && queueDepth !== undefined
          ? `# HELP kn_serving_queue_depth Number of current items in the queue proxy queue.\n# TYPE kn_serving_queue_depth gauge\nkn_serving_queue_depth{${scopeLabels(appScope)}} ${queueDepth}\n`
          : "";
      return depth + invocation.text() + duration.text() + requestSize.text() + responseSize.text() + target(identity);
    },
  };
}

function serverLabels(exchange: Exchange, tag: string): string {
  const { head } = exchange;
  const at = head.host.lastIndexOf(":");
  const hasPort = at > head.host.lastIndexOf("]");
  const address = hasPort ? head.host.slice(0, at) : head.host;
  return [
    `http_request_method="${escaped(head.method)}"`,
    // Nothing was sent to a client that left first; Knative records the 500 that its handler would have sent.
    `http_response_status_code="${exchange.status || 500}"`,
    `kn_route_tag="${escaped(tag)}"`,
    `network_protocol_name="http"`,
    `network_protocol_version="${head.httpVersion === "2.0" ? "2" : head.httpVersion}"`,
    `server_address="${escaped(address)}"`,
    ...(hasPort ? [`server_port="${escaped(head.host.slice(at + 1))}"`] : []),
    `url_scheme="${exchange.secure ? "https" : "http"}"`,
  ].join(",");
}

/** data-plane 1.14. */
function routeTag({ head }: Exchange): string {
  const tag = head.headers.get("Knative-Serving-Tag") ?? "";
  const byDefault = head.headers.get("Knative-Serving-Default-Route") ?? "";
  if (tag === "") return byDefault === "" ? "kn:disabled" : "kn:default";
  return byDefault === "true" ? "kn:undefined" : tag;
}

function target(identity: Identity): string {
  const labels = [
    ["container_name", "queue-proxy"],
    ["k8s_namespace_name", identity.namespace],
    ["k8s_pod_name", identity.pod],
    ["kn_service_name", identity.service],
    ["kn_configuration_name", identity.configuration],
    ["kn_revision_name", identity.revision],
    ["service_name", identity.service || identity.configuration],
    ["service_instance_id", identity.pod],
  ];
  const text = labels.map(([name, value]) => `${name}="${escaped(value!)}"`).join(",");
  return `# HELP target_info Target metadata\n# TYPE target_info gauge\ntarget_info{${text}} 1\n`;
}

function scopeLabels(scope: string): string {
  return `otel_scope_name="${scope}",otel_scope_schema_url="",otel_scope_version=""`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
}
