/** What the webhook was asked and how long it took (spec: eventing-functions-monitoring 3.3). */
import type { Registry } from "prom-client";
import { bytesBounds, Histogram, secondsBounds } from "../../process/histogram.ts";
import { histogram, type Labels } from "../../process/metric-families.ts";
import type { AdmissionRequest } from "./admission.ts";

/** Anybody may ask: past so many sets of labels the rest share one. */
const maxSeries = 500;
const maxLabelLength = 100;
const overflow: Labels = { otel_metric_overflow: "true" };

export type WebhookType = "defaulting" | "validation";

export interface HttpRequest {
  method: string;
  status: number;
  /** As in the `Host` field, without the port. */
  host: string;
  /** `1.1` or `2`. */
  version: string;
  tookMs: number;
  requestBytes: number;
  responseBytes: number;
}

/** It came over the network, and is kept. */
const labelValue = (value: unknown): string => String(value).slice(0, maxLabelLength);

/** Histograms by labels. */
class Family<H> {
  readonly #series = new Map<string, { labels: Labels; histograms: H }>();
  readonly #make: () => H;

  constructor(make: () => H) {
    this.#make = make;
  }

  of(labels: Labels): H {
    const key = Object.values(labels).join("\n");
    const found = this.#series.get(key);
    if (found !== undefined) return found.histograms;
    if (this.#series.size >= maxSeries && labels !== overflow) return this.of(overflow);
    const histograms = this.#make();
    this.#series.set(key, { labels, histograms });
    return histograms;
  }

  values(pick: (histograms: H) => Histogram): [Labels, Histogram["values"]][] {
    return Array.from(this.#series.values(), ({ labels, histograms }) => [labels, pick(histograms).values]);
  }
}

export class WebhookMetrics {
  readonly #handlers = new Family(() => new Histogram(secondsBounds));
  readonly #requests = new Family(() => ({
    seconds: new Histogram(secondsBounds),
    requestBytes: new Histogram(bytesBounds),
    responseBytes: new Histogram(bytesBounds),
  }));

  handled(type: WebhookType, request: AdmissionRequest, allowed: boolean, tookMs: number): void {
    const { group = "", version = "", kind = "" } = request.kind ?? {};
    const labels = {
      kn_webhook_type: type,
      kn_webhook_resource_group: labelValue(group),
      kn_webhook_resource_version: labelValue(version),
      kn_webhook_resource_kind: labelValue(kind),
      kn_webhook_subresource: labelValue(request.subResource ?? ""),
      kn_webhook_operation_type: labelValue(request.operation),
      kn_webhook_operation_status: allowed ? "success" : "failed",
    };
    this.#handlers.of(labels).add(tookMs / 1000);
  }

  answered({ method, status, host, version, tookMs, requestBytes, responseBytes }: HttpRequest): void {
    const counted = this.#requests.of({
      http_request_method: method,
      http_response_status_code: String(status),
      network_protocol_name: "http",
      network_protocol_version: version,
      server_address: labelValue(host),
      url_scheme: "https",
    });
    counted.seconds.add(tookMs / 1000);
    counted.requestBytes.add(requestBytes);
    counted.responseBytes.add(responseBytes);
  }

  register(register: Registry): void {
    histogram(register, "kn_webhook_handler_duration_seconds", "The duration of task execution.", () =>
      this.#handlers.values((seconds) => seconds),
    );
    histogram(register, "http_server_request_duration_seconds", "Duration of HTTP server requests.", () =>
      this.#requests.values(({ seconds }) => seconds),
    );
    histogram(register, "http_server_request_body_size_bytes", "Size of HTTP server request bodies.", () =>
      this.#requests.values(({ requestBytes }) => requestBytes),
    );
    histogram(register, "http_server_response_body_size_bytes", "Size of HTTP server response bodies.", () =>
      this.#requests.values(({ responseBytes }) => responseBytes),
    );
  }
}
