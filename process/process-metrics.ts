/** What every long-lived process tells of itself: which one it is, its memory, its processor time. */
import { collectDefaultMetrics, Registry } from "prom-client";
import type { Env } from "./env.ts";
import { gauge } from "./metric-families.ts";

/** Prometheus' form of an OpenTelemetry resource. */
export interface Resource {
  service_name: string;
  service_instance_id: string;
  k8s_namespace_name: string;
  k8s_pod_name: string;
  telemetry_sdk_language: "nodejs";
}

/** How often the delay of the event loop is looked at: each look wakes the process. */
const eventLoopPrecisionMs = 100;

/** `component` as Knative calls it: `activator`, `autoscaler`, `hpaautoscaler`, `controller`, `webhook`. */
export function processResource(component: string, env: Env): Resource {
  const pod = env["POD_NAME"] ?? env["HOSTNAME"] ?? "";
  return {
    service_name: env["OTEL_SERVICE_NAME"] || component,
    service_instance_id: pod,
    k8s_namespace_name: env["SYSTEM_NAMESPACE"] ?? "",
    k8s_pod_name: pod,
    telemetry_sdk_language: "nodejs",
  };
}

/** A register with `target_info`, `process_*`, `nodejs_*`, and what dashboards call the memory of a process. */
export function processRegister(resource: Resource): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: eventLoopPrecisionMs });
  gauge(register, "target_info", "Target metadata", () => [[{ ...resource }, 1]]);
  // Knative's dashboards ask for Go's names. What has the same meaning here has the same name; what has none, such as
  // goroutines, is left out rather than made up.
  gauge(register, "go_memstats_heap_alloc_bytes", "Bytes of the heap that are in use (of V8)", () => [
    [{}, process.memoryUsage().heapUsed],
  ]);
  gauge(register, "go_memory_used_bytes", "Memory used by the runtime (V8)", () => {
    const { heapTotal, external } = process.memoryUsage();
    return [[{ go_memory_type: "other" }, heapTotal + external]];
  });
  return register;
}
