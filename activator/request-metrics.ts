/**
 * Durations and sizes of requests under OpenTelemetry's names (data-plane 5.2), per revision. Counting is adding to
 * plain numbers; what Prometheus reads is made when it asks.
 */
import type { Registry } from "prom-client";
import { hostName } from "../api/ingress-claims.ts";
import type { Exchange } from "../proxy/exchange.ts";
import type { RevisionEntry } from "./revision-directory.ts";

const secondsBuckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const bytesBuckets = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000];
/** Labels hold what clients send; past so many sets per revision the rest share one. */
const maxSeries = 200;
const methods = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]);

interface Buckets {
  /** One more than there are bounds. */
  counts: number[];
  sum: number;
}

interface Series {
  labels: Record<string, string>;
  histograms: Buckets[];
}

const measures = [
  { name: "http_server_request_duration_seconds", help: "Duration of HTTP server requests", bounds: secondsBuckets },
  { name: "http_server_request_body_size_bytes", help: "Size of HTTP request bodies", bounds: bytesBuckets },
  { name: "http_server_response_body_size_bytes", help: "Size of HTTP response bodies", bounds: bytesBuckets },
] as const;

export class RequestMetrics {
  readonly #revisions = new Map<RevisionEntry, Map<string, Series>>();

  observe(exchange: Exchange, entry: RevisionEntry): void {
    exchange.onEnd(() => {
      const values = [
        (performance.now() - exchange.startedMs) / 1000,
        exchange.requestBytes,
        exchange.responseBytes,
      ] as const;
      const series = this.#series(exchange, entry);
      for (const [index, { bounds }] of measures.entries()) {
        const { counts } = series.histograms[index]!;
        const value = values[index]!;
        let at = 0;
        while (at < bounds.length && value > bounds[at]!) at += 1;
        counts[at]! += 1;
        series.histograms[index]!.sum += value;
      }
    });
  }

  forget(entry: RevisionEntry): void {
    this.#revisions.delete(entry);
  }

  register(register: Registry): void {
    for (const [index, { name, help, bounds }] of measures.entries())
      register.registerMetric({
        name,
        help,
        type: "histogram",
        aggregator: "sum",
        get: () =>
          Promise.resolve({ name, help, type: "histogram", aggregator: "sum", values: this.#values(index, bounds) }),
        reset: () => undefined,
      } as never);
  }

  #series(exchange: Exchange, entry: RevisionEntry): Series {
    let revision = this.#revisions.get(entry);
    if (revision === undefined) this.#revisions.set(entry, (revision = new Map()));
    const { head, status, secure } = exchange;
    const method = methods.has(head.method) ? head.method : "_OTHER";
    const address = hostName(head.host);
    let key = `${method} ${status} ${head.httpVersion} ${secure} ${address}`;
    let series = revision.get(key);
    if (series !== undefined) return series;
    const isOver = revision.size >= maxSeries;
    if (isOver) key = "overflow";
    series = revision.get(key);
    if (series !== undefined) return series;
    series = {
      labels: {
        ...revisionLabels(entry),
        ...(isOver
          ? { overflow: "true" }
          : {
              http_request_method: method,
              // Nothing was sent to a client that left first; Knative records what its handler would have sent.
              http_response_status_code: String(status === 0 ? 500 : status),
              network_protocol_name: "http",
              network_protocol_version: head.httpVersion === "2.0" ? "2" : head.httpVersion,
              server_address: address,
              url_scheme: secure ? "https" : "http",
            }),
      },
      histograms: measures.map(({ bounds }) => ({
        counts: Array.from({ length: bounds.length + 1 }, () => 0),
        sum: 0,
      })),
    };
    revision.set(key, series);
    return series;
  }

  #values(index: number, bounds: readonly number[]): unknown[] {
    const { name } = measures[index]!;
    const values: unknown[] = [];
    for (const revision of this.#revisions.values())
      for (const { labels, histograms } of revision.values()) {
        const { counts, sum } = histograms[index]!;
        let total = 0;
        for (const [at, count] of counts.entries()) {
          total += count;
          values.push({ labels: { ...labels, le: bounds[at] ?? "+Inf" }, value: total, metricName: `${name}_bucket` });
        }
        values.push({ labels, value: sum, metricName: `${name}_sum` });
        values.push({ labels, value: total, metricName: `${name}_count` });
      }
    return values;
  }
}

const revisionLabels = ({ namespace, name, labels }: RevisionEntry): Record<string, string> => ({
  k8s_namespace_name: namespace,
  kn_revision_name: name,
  kn_service_name: labels.service,
  kn_configuration_name: labels.configuration,
});
