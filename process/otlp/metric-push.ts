/**
 * Pushes what a process exports, where the configuration says so (config-observability, `metrics-*`), and follows it.
 * Prometheus can fetch it all the same.
 */
import type { Registry } from "prom-client";
import type { Env } from "../env.ts";
import type { Logger } from "../logger.ts";
import type { Resource } from "../process-metrics.ts";
import { sendOverGrpc } from "./grpc-transport.ts";
import { MessageWriter } from "./message-writer.ts";
import type { Attribute } from "./message.ts";
import { startMetricExport } from "./metric-export.ts";
import { registerMetrics } from "./register-metrics.ts";
import { sendOverHttp } from "./transport.ts";

export interface PushSettings {
  protocol: "grpc" | "http/protobuf";
  endpoint: string;
  intervalMs: number;
}

export interface MetricPush {
  /** `undefined` pushes nothing. What was pushed before is pushed to the old place once more. */
  follow(settings: PushSettings | undefined): void;
  /** After a last push. */
  stop(): Promise<void>;
}

const scope = "swell";

/** The standard variables of OpenTelemetry win over the settings: endpoint, and interval in milliseconds. */
export function createMetricPush(options: {
  register: Registry;
  resource: Resource;
  env: Env;
  log: Logger;
}): MetricPush {
  const { register, env, log } = options;
  const { service_name, service_instance_id, k8s_namespace_name, k8s_pod_name } = options.resource;
  const resource: Attribute[] = [
    ["service.name", service_name],
    ["service.instance.id", service_instance_id],
    ["k8s.namespace.name", k8s_namespace_name],
    ["k8s.pod.name", k8s_pod_name],
    ["telemetry.sdk.language", "nodejs"],
  ];
  const endpointOverride = env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] || env["OTEL_EXPORTER_OTLP_ENDPOINT"];
  const intervalOverrideMs = Number(env["OTEL_METRIC_EXPORT_INTERVAL"] ?? 0);
  let current = "";
  let pushing: ReturnType<typeof startMetricExport> | undefined;
  let ended: Promise<void> = Promise.resolve();
  let isStopped = false;

  const follow = (settings: PushSettings | undefined): void => {
    const wanted = JSON.stringify(settings ?? "");
    if (wanted === current || isStopped) return;
    current = wanted;
    const before = pushing;
    pushing = undefined;
    if (before !== undefined) ended = Promise.all([ended, before.stop()]).then(() => undefined);
    if (settings === undefined) return;
    const endpoint = endpointOverride || settings.endpoint;
    try {
      const send = settings.protocol === "grpc" ? sendOverGrpc(endpoint, "metrics") : sendOverHttp(endpoint, "metrics");
      pushing = startMetricExport({
        newMessage: () => new MessageWriter(),
        resource,
        collect: () => registerMetrics(register, scope),
        send,
        intervalMs: intervalOverrideMs > 0 ? intervalOverrideMs : settings.intervalMs,
        startMs: performance.timeOrigin,
        log,
      });
      log.info({ protocol: settings.protocol, endpoint }, "metrics are pushed");
    } catch (error) {
      log.warn({ err: error, endpoint }, "the endpoint for metrics cannot be used: nothing is pushed");
    }
  };
  return {
    follow,
    async stop() {
      follow(undefined);
      isStopped = true;
      await ended;
    },
  };
}
