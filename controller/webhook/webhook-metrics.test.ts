import { Registry } from "prom-client";
import { test } from "tap";
import { exposedBy, labelNames, select } from "../../process/metrics-fixture.ts";
import type { AdmissionRequest } from "./admission.ts";
import { WebhookMetrics } from "./webhook-metrics.ts";

const request = (fields: object = {}): AdmissionRequest => ({
  uid: "1",
  operation: "CREATE",
  kind: { group: "serving.knative.dev", version: "v1", kind: "Service" },
  ...fields,
});
const answer = {
  method: "POST",
  status: 200,
  host: "webhook.knative-serving.svc",
  version: "1.1",
  tookMs: 12,
  requestBytes: 700,
  responseBytes: 90,
};
const http = [
  "http_request_method",
  "http_response_status_code",
  "network_protocol_name",
  "network_protocol_version",
  "server_address",
  "url_scheme",
];

test("a webhook's metrics, with their labels", async (t) => {
  const metrics = new WebhookMetrics();
  const register = new Registry();
  metrics.register(register);
  metrics.handled("defaulting", request(), true, 4);
  metrics.handled("validation", request({ subResource: "status" }), false, 40);
  metrics.answered(answer);
  const exposed = await exposedBy(register);
  t.strictSame(labelNames(exposed), {
    kn_webhook_handler_duration_seconds: [
      "kn_webhook_operation_status",
      "kn_webhook_operation_type",
      "kn_webhook_resource_group",
      "kn_webhook_resource_kind",
      "kn_webhook_resource_version",
      "kn_webhook_subresource",
      "kn_webhook_type",
    ],
    http_server_request_duration_seconds: http,
    http_server_request_body_size_bytes: http,
    http_server_response_body_size_bytes: http,
  });
  const handled = (labels: Record<string, string>): number | undefined =>
    select(exposed, "kn_webhook_handler_duration_seconds_sum", labels)[0]?.value;
  t.equal(
    handled({
      kn_webhook_type: "defaulting",
      kn_webhook_resource_group: "serving.knative.dev",
      kn_webhook_resource_version: "v1",
      kn_webhook_resource_kind: "Service",
      kn_webhook_subresource: "",
      kn_webhook_operation_type: "CREATE",
      kn_webhook_operation_status: "success",
    }),
    0.004,
  );
  t.equal(handled({ kn_webhook_subresource: "status", kn_webhook_operation_status: "failed" }), 0.04);
});

test("whoever asks makes no more series than are allowed", async (t) => {
  const metrics = new WebhookMetrics();
  const register = new Registry();
  metrics.register(register);
  for (let at = 0; at < 2000; at += 1) {
    metrics.answered({ ...answer, host: `${at}${"x".repeat(5000)}` });
    metrics.handled("validation", request({ kind: { kind: `Kind${at}` } }), true, 1);
  }
  const exposed = await exposedBy(register);
  for (const name of ["kn_webhook_handler_duration_seconds_count", "http_server_request_duration_seconds_count"]) {
    const counts = select(exposed, name);
    t.equal(counts.length, 501, name);
    t.equal(select(exposed, name, { otel_metric_overflow: "true" })[0]?.value, 1500);
    t.ok(counts.every(({ labels }) => Object.values(labels).every((value) => value.length <= 100)));
  }
});
