/**
 * Port 9091: request metrics for Prometheus under the names that Knative's dashboards query, today's (autoscaling 7.1)
 * and those up to 1.18 (7.2). Counting is adding to plain numbers; text is made when somebody asks.
 */
import type { Exchange, ExchangeEnd, ResultStatus } from "../proxy/exchange.ts";
import { bytesBounds, family, Histogram, labelText, legacyMsBounds, secondsBounds } from "./histogram.ts";
import type { AppMetrics } from "./proxy-handler.ts";
import { routeTag } from "./route-tag.ts";

/** What clients send is in labels: past so many sets the rest share one. */
const maxSeries = 500;
const overflow = 'otel_metric_overflow="true"';
/** Others show as `_OTHER`, as OpenTelemetry wants it. */
const methods = new Set(["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]);

const appScope = scope("knative.dev/serving/pkg/queue");
const httpScope = scope("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp");

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

/** What is counted once per request at one of the two places: as the client sees it, or as the app does. */
class RequestSeries {
  readonly labels: string;
  readonly seconds = new Histogram(secondsBounds);
  readonly requestBytes = new Histogram(bytesBounds);
  readonly responseBytes = new Histogram(bytesBounds);
  /** Under the old names there are fewer labels, so several share one. */
  readonly #legacy: LegacySeries | undefined;

  constructor(labels: string, legacy: LegacySeries | undefined) {
    this.labels = labels;
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
      if (rest !== undefined) return new RequestSeries(rest, legacy());
      const at = head.host.lastIndexOf(":");
      const hasPort = at > head.host.lastIndexOf("]");
      const labels = labelText({
        http_request_method: methodLabel(head.method),
        http_response_status_code: status,
        kn_route_tag: tag,
        network_protocol_name: "http",
        network_protocol_version: versionLabel(head.httpVersion),
        server_address: hasPort ? head.host.slice(0, at) : head.host,
        ...(hasPort ? { server_port: head.host.slice(at + 1) } : {}),
        url_scheme: secure ? "https" : "http",
      });
      return new RequestSeries(labels, legacy());
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
          return new RequestSeries(rest ?? `http_response_status_code="${status}"`, legacy);
        }).add(seconds, exchange);
        seriesOf(client, `${head.method} ${status} ${head.httpVersion}`, (rest) => {
          if (rest !== undefined) return new RequestSeries(rest, undefined);
          const labels = labelText({
            http_request_method: methodLabel(head.method),
            http_response_status_code: status,
            network_protocol_name: "http",
            network_protocol_version: head.httpVersion === "2.0" ? "2" : "1.1",
            server_address: "127.0.0.1",
            server_port: identity.userPort,
            url_scheme: "http",
          });
          return new RequestSeries(labels, undefined);
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
      const of = (
        all: readonly RequestSeries[],
        name: string,
        help: string,
        pick: "seconds" | "requestBytes" | "responseBytes",
        scopeText = httpScope,
      ): string => {
        const body = all.map((series) => series[pick].text(name, `${series.labels},${scopeText}`)).join("");
        return family(name, "histogram", help, body);
      };
      const legacy = (all: readonly LegacySeries[], prefix: string, what: string): string => {
        const counts = all.map(({ labels, ms }) => `${prefix}_count{${labels}} ${ms.count}\n`).join("");
        const latencies = all.map(({ labels, ms }) => ms.text(`${prefix}_latencies`, labels)).join("");
        return (
          family(`${prefix}_count`, "counter", `The number of requests that are routed to ${what}`, counts) +
          family(`${prefix}_latencies`, "histogram", "The response time in millisecond", latencies)
        );
      };
      const servers = [...server.values()];
      const clients = [...client.values()];
      const apps = [...invocations.values()];
      const depthText = (name: string, labels: string): string =>
        depth === undefined
          ? ""
          : family(name, "gauge", "Number of current items in the queue proxy queue", `${name}{${labels}} ${depth}\n`);
      return (
        depthText("kn_serving_queue_depth", appScope) +
        of(apps, "kn_serving_invocation_duration_seconds", "The duration of task execution.", "seconds", appScope) +
        of(servers, "http_server_request_duration_seconds", "Duration of HTTP server requests.", "seconds") +
        of(servers, "http_server_request_body_size_bytes", "Size of HTTP server request bodies.", "requestBytes") +
        of(servers, "http_server_response_body_size_bytes", "Size of HTTP server response bodies.", "responseBytes") +
        of(clients, "http_client_request_duration_seconds", "Duration of HTTP client requests.", "seconds") +
        of(clients, "http_client_request_body_size_bytes", "Size of HTTP client request bodies.", "requestBytes") +
        legacy([...legacyServer.values()], "revision_request", "queue-proxy") +
        legacy([...legacyApp.values()], "revision_app_request", "user-container") +
        depthText("revision_queue_depth", legacyIdentity) +
        target(identity)
      );
    },
  };
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
