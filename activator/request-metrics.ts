/**
 * Durations and sizes of requests, per revision: under OpenTelemetry's names (data-plane 5.2) and those up to Knative
 * 1.18 (5.3). Counting is adding to plain numbers; what Prometheus reads is made when it asks.
 */
import type { Registry } from "prom-client";
import { hostName } from "../api/ingress-claims.ts";
import { bytesBounds, Histogram, legacyMsBounds, secondsBounds } from "../process/histogram.ts";
import { counter, histogram, type Labels } from "../process/metric-families.ts";
import type { Exchange } from "../proxy/exchange.ts";
import type { RevisionEntry } from "./revision-directory.ts";

/** Labels hold what clients send; past so many sets per revision the rest share one. */
const maxSeries = 200;
const overflow = "overflow";
const methods = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]);

/** Under the old names there are fewer labels, so several series share one of these. */
interface LegacySeries {
  labels: Labels;
  ms: Histogram;
}

interface Series {
  labels: Labels;
  seconds: Histogram;
  requestBytes: Histogram;
  responseBytes: Histogram;
  legacy: LegacySeries;
}

interface Revision {
  /** By what the request was. */
  series: Map<string, Series>;
  /** By status. */
  legacy: Map<number, LegacySeries>;
}

export class RequestMetrics {
  readonly #revisions = new Map<RevisionEntry, Revision>();
  readonly #legacyLabels: (entry: RevisionEntry) => Record<string, string>;

  /** `pod`: of this process; the old names tell of it. */
  constructor(pod: string) {
    this.#legacyLabels = (entry) => ({
      ...legacyRevisionLabels(entry),
      pod_name: pod,
      container_name: "activator",
    });
  }

  observe(exchange: Exchange, entry: RevisionEntry): void {
    exchange.onEnd(() => {
      const ms = performance.now() - exchange.startedMs;
      const { seconds, requestBytes, responseBytes, legacy } = this.#series(exchange, entry);
      seconds.add(ms / 1000);
      requestBytes.add(exchange.requestBytes);
      responseBytes.add(exchange.responseBytes);
      legacy.ms.add(ms);
    });
  }

  forget(entry: RevisionEntry): void {
    this.#revisions.delete(entry);
  }

  register(register: Registry): void {
    const family = (name: string, help: string, pick: (series: Series) => Histogram): void =>
      histogram(register, name, help, () => this.#all(({ series }) => series, pick));
    family("http_server_request_duration_seconds", "Duration of HTTP server requests", ({ seconds }) => seconds);
    family("http_server_request_body_size_bytes", "Size of HTTP request bodies", ({ requestBytes }) => requestBytes);
    family("http_server_response_body_size_bytes", "Size of HTTP response bodies", (series) => series.responseBytes);

    const legacy = (): [Labels, Histogram["values"]][] =>
      this.#all(
        (revision) => revision.legacy,
        ({ ms }) => ms,
      );
    counter(register, "activator_request_count", "The number of requests that are routed to Activator", () =>
      legacy().map(([labels, { count }]) => [labels, count]),
    );
    histogram(register, "activator_request_latencies", "The response time in millisecond", legacy);
  }

  #series(exchange: Exchange, entry: RevisionEntry): Series {
    let revision = this.#revisions.get(entry);
    if (revision === undefined) this.#revisions.set(entry, (revision = { series: new Map(), legacy: new Map() }));
    const { head, status: sent, secure } = exchange;
    // Nothing was sent to a client that left first; Knative records what its handler would have sent.
    const status = sent === 0 ? 500 : sent;
    const method = methods.has(head.method) ? head.method : "_OTHER";
    const address = hostName(head.host);
    const key = `${method} ${status} ${head.httpVersion} ${secure} ${address}`;
    const found = revision.series.get(key);
    if (found !== undefined) return found;
    const legacy = this.#legacy(revision, entry, status);
    if (revision.series.size >= maxSeries) {
      // One for each status, so that both generations of names tell the same.
      const key = `${overflow} ${status}`;
      const labels = {
        ...revisionLabels(entry),
        http_response_status_code: String(status),
        otel_metric_overflow: "true",
      };
      const shared = revision.series.get(key) ?? createSeries(labels, legacy);
      revision.series.set(key, shared);
      return shared;
    }
    const series = createSeries(
      {
        ...revisionLabels(entry),
        http_request_method: method,
        http_response_status_code: String(status),
        network_protocol_name: "http",
        network_protocol_version: head.httpVersion === "2.0" ? "2" : head.httpVersion,
        server_address: address,
        url_scheme: secure ? "https" : "http",
      },
      legacy,
    );
    revision.series.set(key, series);
    return series;
  }

  #legacy({ legacy }: Revision, entry: RevisionEntry, status: number): LegacySeries {
    let series = legacy.get(status);
    if (series === undefined) {
      const labels = {
        ...this.#legacyLabels(entry),
        response_code: String(status),
        response_code_class: `${Math.floor(status / 100)}xx`,
      };
      legacy.set(status, (series = { labels, ms: new Histogram(legacyMsBounds) }));
    }
    return series;
  }

  #all<S extends { labels: Labels }>(
    of: (revision: Revision) => ReadonlyMap<unknown, S>,
    pick: (series: S) => Histogram,
  ): [Labels, Histogram["values"]][] {
    return [...this.#revisions.values()].flatMap((revision) =>
      Array.from(of(revision).values(), (series): [Labels, Histogram["values"]] => [
        series.labels,
        pick(series).values,
      ]),
    );
  }
}

const createSeries = (labels: Labels, legacy: LegacySeries): Series => ({
  labels,
  seconds: new Histogram(secondsBounds),
  requestBytes: new Histogram(bytesBounds),
  responseBytes: new Histogram(bytesBounds),
  legacy,
});

type Identity = Pick<RevisionEntry, "namespace" | "name" | "labels">;

export const revisionLabels = ({ namespace, name, labels }: Identity): Record<string, string> => ({
  k8s_namespace_name: namespace,
  kn_revision_name: name,
  kn_service_name: labels.service,
  kn_configuration_name: labels.configuration,
});

/** Up to Knative 1.18. */
export const legacyRevisionLabels = ({ namespace, name, labels }: Identity): Record<string, string> => ({
  namespace_name: namespace,
  revision_name: name,
  service_name: labels.service,
  configuration_name: labels.configuration,
});
