/**
 * Port 9091: request metrics for Prometheus under the names that Knative's dashboards query, today's (autoscaling 7.1)
 * and those up to 1.18 (7.2). Counting is adding to plain numbers; text is made when somebody asks.
 */
import type { Attribute } from "../process/otlp/message.ts";
import type { ExportedMetric } from "../process/otlp/metrics.ts";
import type { Exchange, ExchangeEnd, ResultStatus } from "../proxy/exchange.ts";
import { bytesBounds, family, Histogram, labelText, legacyMsBounds, secondsBounds } from "../process/histogram.ts";
import type { AppMetrics } from "./proxy-handler.ts";
import { routeTag } from "./route-tag.ts";

/** What clients send is in labels: past so many sets the rest share one. */
const maxSeries = 500;
const overflow = 'otel_metric_overflow="true"';
const overflowAttributes: readonly Attribute[] = [["otel.metric.overflow", "true"]];
/** Others show as `_OTHER`, as OpenTelemetry wants it. */
const methods = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]);

const appScopeName = "knative.dev/serving/pkg/queue";
const httpScopeName = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp";
const appScope = scope(appScopeName);
const httpScope = scope(httpScopeName);

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
  /** For Prometheus. */
  text(): string;
  /** For a collector that they are pushed to. Only today's names. */
  collect(): ExportedMetric[];
}

/** What is counted once per request at one of the two places: as the client sees it, or as the app does. */
class RequestSeries {
  readonly attributes: readonly Attribute[];
  readonly labels: string;
  readonly seconds = new Histogram(secondsBounds);
  readonly requestBytes = new Histogram(bytesBounds);
  readonly responseBytes = new Histogram(bytesBounds);
  /** Under the old names there are fewer labels, so several share one. */
  readonly #legacy: LegacySeries | undefined;

  constructor(attributes: readonly Attribute[], legacy: LegacySeries | undefined) {
    this.attributes = attributes;
    this.labels = labelText(Object.fromEntries(attributes.map(([name, value]) => [name.replaceAll(".", "_"), value])));
    this.#legacy = legacy;
  }

  add(seconds: number, exchange: Exchange): void {
    this.seconds.add(seconds);
    this.requestBytes.add(exchange.requestBytes);
    this.responseBytes.add(exchange.responseBytes);
    this.#legacy?.ms.add(seconds * 1000);
  }
}

class LegacySeries {
  readonly labels: string;
  readonly ms = new Histogram(legacyMsBounds);

  constructor(labels: string) {
    this.labels = labels;
  }
}

/** `queueDepth`: requests that run or wait; undefined without a limit. */
export function createUserMetrics(
  identity: Identity & { userPort: number; serviceName?: string },
  queueDepth: (() => number) | undefined,
  resultStatus: ResultStatus,
): UserMetrics {
  const legacyIdentity = labelText({
    namespace_name: identity.namespace,
    service_name: identity.service,
    configuration_name: identity.configuration,
    revision_name: identity.revision,
    pod_name: identity.pod,
    container_name: "queue-proxy",
  });
  const legacyStatus = (status: number): string =>
    `${legacyIdentity},response_code="${status}",response_code_class="${Math.floor(status / 100)}xx"`;

  const server = new Map<string, RequestSeries>();
  const client = new Map<string, RequestSeries>();
  const invocations = new Map<string, RequestSeries>();
  const legacyServer = new Map<string, LegacySeries>();
  const legacyApp = new Map<string, LegacySeries>();

  const observed = (exchange: Exchange, end: ExchangeEnd, tag: string): void => {
    const { head, secure } = exchange;
    const status = resultStatus(exchange, end);
    const key = `${head.method} ${status} ${head.httpVersion} ${secure} ${tag} ${head.host}`;
    const legacy = (): LegacySeries =>
      seriesOf(
        legacyServer,
        `${status} ${tag}`,
        (rest) => new LegacySeries(`${legacyStatus(status)},${rest ?? labelText({ route_tag: tag })}`),
      );
    const series = seriesOf(server, key, (rest) => {
      if (rest !== undefined) return new RequestSeries(overflowAttributes, legacy());
      const at = head.host.lastIndexOf(":");
      const hasPort = at > head.host.lastIndexOf("]");
      const attributes: Attribute[] = [
        ["http.request.method", methodLabel(head.method)],
        ["http.response.status_code", status],
        ["kn.route.tag", tag],
        ["network.protocol.name", "http"],
        ["network.protocol.version", versionLabel(head.httpVersion)],
        ["server.address", hasPort ? head.host.slice(0, at) : head.host],
      ];
      if (hasPort) attributes.push(["server.port", Number(head.host.slice(at + 1))]);
      attributes.push(["url.scheme", secure ? "https" : "http"]);
      return new RequestSeries(attributes, legacy());
    });
    series.add((performance.now() - exchange.startedMs) / 1000, exchange);
  };

  return {
    app: {
      invoked(exchange, end, seconds) {
        const { head } = exchange;
        const status = resultStatus(exchange, end);
        seriesOf(invocations, String(status), (rest) => {
          const legacy = seriesOf(legacyApp, String(status), (rest) => new LegacySeries(rest ?? legacyStatus(status)));
          return new RequestSeries(
            rest === undefined ? [["http.response.status_code", status]] : overflowAttributes,
            legacy,
          );
        }).add(seconds, exchange);
        seriesOf(client, `${head.method} ${status} ${head.httpVersion}`, (rest) => {
          if (rest !== undefined) return new RequestSeries(overflowAttributes, undefined);
          const attributes: Attribute[] = [
            ["http.request.method", methodLabel(head.method)],
            ["http.response.status_code", status],
            ["network.protocol.name", "http"],
            ["network.protocol.version", head.httpVersion === "2.0" ? "2" : "1.1"],
            ["server.address", "127.0.0.1"],
            ["server.port", identity.userPort],
            ["url.scheme", "http"],
          ];
          return new RequestSeries(attributes, undefined);
        }).add(seconds, exchange);
      },
    },
    observe(exchange) {
      // Now: the host is changed for the app, and a tag's field may be gone by then.
      const tag = routeTag(exchange.head.headers);
      exchange.onEnd((end) => observed(exchange, end, tag));
    },
    text() {
      const depth = queueDepth?.();
      const legacy = (all: readonly LegacySeries[], prefix: string, what: string): string => {
        const counts = all.map(({ labels, ms }) => `${prefix}_count{${labels}} ${ms.count}\n`).join("");
        const latencies = all.map(({ labels, ms }) => ms.text(`${prefix}_latencies`, labels)).join("");
        return (
          family(`${prefix}_count`, "counter", `The number of requests that are routed to ${what}`, counts) +
          family(`${prefix}_latencies`, "histogram", "The response time in millisecond", latencies)
        );
      };
      const depthText = (name: string, labels: string): string =>
        depth === undefined ? "" : family(name, "gauge", depthDescription, `${name}{${labels}} ${depth}\n`);
      return (
        depthText("kn_serving_queue_depth", appScope) +
        histograms({ invocations, server, client })
          .map(({ name, unit, description, scope, pick, of }) => {
            const text = `${name.replaceAll(".", "_")}_${unit === "s" ? "seconds" : "bytes"}`;
            const labelsOf = scope === appScopeName ? appScope : httpScope;
            const body = of.map((series) => series[pick].text(text, `${series.labels},${labelsOf}`)).join("");
            return family(text, "histogram", description, body);
          })
          .join("") +
        legacy([...legacyServer.values()], "revision_request", "queue-proxy") +
        legacy([...legacyApp.values()], "revision_app_request", "user-container") +
        depthText("revision_queue_depth", legacyIdentity) +
        target(identity)
      );
    },
    collect() {
      const depth = queueDepth?.();
      const gauge: ExportedMetric[] =
        depth === undefined
          ? []
          : [
              {
                name: "kn.serving.queue.depth",
                description: depthDescription,
                unit: "{item}",
                scope: appScopeName,
                points: { is: "gauge", series: [{ attributes: [], value: depth }] },
              },
            ];
      const counted = histograms({ invocations, server, client })
        .filter(({ of }) => of.length > 0)
        .map(({ name, unit, description, scope, pick, of }): ExportedMetric => {
          const series = of.map((one) => ({ attributes: one.attributes, values: one[pick].values }));
          return { name, unit, description, scope, points: { is: "histogram", series } };
        });
      return [...gauge, ...counted];
    },
  };
}

const depthDescription = "Number of current items in the queue proxy queue";

/** Every histogram under its OpenTelemetry name, with the series it is made of. */
function histograms(all: Record<"invocations" | "server" | "client", ReadonlyMap<string, RequestSeries>>) {
  const rows = [
    ["kn.serving.invocation.duration", "s", "The duration of task execution.", "invocations", "seconds"],
    ["http.server.request.duration", "s", "Duration of HTTP server requests.", "server", "seconds"],
    ["http.server.request.body.size", "By", "Size of HTTP server request bodies.", "server", "requestBytes"],
    ["http.server.response.body.size", "By", "Size of HTTP server response bodies.", "server", "responseBytes"],
    ["http.client.request.duration", "s", "Duration of HTTP client requests.", "client", "seconds"],
    ["http.client.request.body.size", "By", "Size of HTTP client request bodies.", "client", "requestBytes"],
  ] as const;
  return rows.map(([name, unit, description, where, pick]) => ({
    name,
    unit,
    description,
    pick,
    scope: where === "invocations" ? appScopeName : httpScopeName,
    of: [...all[where].values()],
  }));
}

/** `make` gets the labels of the series that all further ones share, once there are too many. */
function seriesOf<S>(map: Map<string, S>, key: string, make: (rest: string | undefined) => S): S {
  const found = map.get(key);
  if (found !== undefined) return found;
  const full = map.size >= maxSeries;
  const known = full ? map.get(overflow) : undefined;
  if (known !== undefined) return known;
  const made = make(full ? overflow : undefined);
  map.set(full ? overflow : key, made);
  return made;
}

function methodLabel(method: string): string {
  return methods.has(method) ? method : "_OTHER";
}

function versionLabel(version: string): string {
  return version === "2.0" ? "2" : version;
}

/** The resource, as OpenTelemetry shows it to Prometheus. */
function target(identity: Identity & { serviceName?: string }): string {
  const labels = labelText({
    container_name: "queue-proxy",
    k8s_container_name: "queue-proxy",
    k8s_namespace_name: identity.namespace,
    k8s_pod_name: identity.pod,
    kn_service_name: identity.service,
    kn_configuration_name: identity.configuration,
    kn_revision_name: identity.revision,
    service_name: identity.serviceName ?? (identity.service || identity.configuration),
    service_instance_id: identity.pod,
  });
  return family("target_info", "gauge", "Target metadata", `target_info{${labels}} 1\n`);
}

function scope(name: string): string {
  return labelText({ otel_scope_name: name, otel_scope_schema_url: "", otel_scope_version: "" });
}
