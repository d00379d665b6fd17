/** The sidecar's variables as the controller sets them (data-plane 1.2), with everything on that it does by default. */
import type { Setting } from "./contender.ts";

export const namespace = "default";
export const revision = "bench-00001";
export const totalSeconds = 300;

export const servingPort = (protocol: "http1" | "h2c"): number => (protocol === "h2c" ? 8013 : 8012);

export function sidecarEnv({ app, address, containerConcurrency }: Setting): Record<string, string> {
  return {
    CONTAINER_CONCURRENCY: String(containerConcurrency),
    QUEUE_SERVING_PORT: String(servingPort(app.protocol)),
    QUEUE_SERVING_TLS_PORT: "8112",
    USER_PORT: String(app.port),
    REVISION_TIMEOUT_SECONDS: String(totalSeconds),
    REVISION_RESPONSE_START_TIMEOUT_SECONDS: "60",
    REVISION_IDLE_TIMEOUT_SECONDS: "60",
    SERVING_READINESS_PROBE: JSON.stringify({ tcpSocket: { port: app.port, host: "127.0.0.1" }, successThreshold: 1 }),
    ENABLE_HTTP_FULL_DUPLEX: "false",
    ENABLE_HTTP2_AUTO_DETECTION: "false",
    ENABLE_MULTI_CONTAINER_PROBES: "false",
    SERVING_LOGGING_CONFIG: "",
    SERVING_LOGGING_LEVEL: "",
    OBSERVABILITY_CONFIG: JSON.stringify({ requestMetrics: { protocol: "prometheus" } }),
    SERVING_NAMESPACE: namespace,
    SERVING_SERVICE: "bench",
    SERVING_CONFIGURATION: "bench",
    SERVING_REVISION: revision,
    SERVING_POD: `${revision}-deployment-0`,
    SERVING_POD_IP: address,
    SYSTEM_NAMESPACE: "knative-serving",
    HOST_IP: "127.0.0.1",
    ROOT_CA: "",
  };
}
