/** The sidecar container of a Revision's pods (spec: serving-api 4.12). */
import { createHmac } from "node:crypto";
import type { Container, EnvVar, Probe, Volume, VolumeMount } from "../../api/core.ts";
import { internalTls, label, port } from "../../api/keys.ts";
import {
  defaultReadinessProbe,
  defaultUserPort,
  hasHandler,
  protocolOf,
  servingContainer,
  userPort,
} from "../../api/revision-shape.ts";
import type { Revision } from "../../api/serving.ts";
import type { PlatformConfig } from "../config/store.ts";
import { sidecarResources } from "./sidecar-resources.ts";

export const queueProxyName = "queue-proxy";

export interface Platform {
  config: Readonly<PlatformConfig>;
  systemNamespace: string;
  /** `host:port` of the autoscaler's stats stream. */
  statsAddress: string;
  /** Signs the tokens of the stats stream. */
  statsKey: Uint8Array;
}

/** The token by which a pod proves whose load it reports. */
export function statsToken(key: Uint8Array, namespace: string, revision: string): string {
  return createHmac("sha256", key).update(`pod/${namespace}/${revision}`).digest("base64url");
}

export function makeQueueProxy(revision: Revision, platform: Platform): { container: Container; volumes: Volume[] } {
  const { config } = platform;
  const { spec } = revision;
  const http2 = protocolOf(spec) === "h2c";
  const queuePort = http2 ? port.queueHttp2 : port.queueHttp1;
  const serving = servingContainer(spec);
  const { volumes, mounts } = sidecarVolumes(revision, config);
  return {
    container: {
      name: queueProxyName,
      image: config.deployment.queueSidecarImage,
      env: sidecarEnvironment(revision, platform, queuePort),
      ports: [
        { name: "http-autometric", containerPort: port.autoMetric },
        { name: "http-usermetric", containerPort: port.userMetric },
        ...(config.observability.runtimeProfiling ? [{ name: "profiling-port", containerPort: port.profiling }] : []),
        { name: "queue-port", containerPort: queuePort },
        { name: "https-port", containerPort: port.queueHttps },
      ].map((entry) => ({ ...entry, protocol: "TCP" })),
      resources: sidecarResources(revision, serving, config),
      readinessProbe: kubeletProbe(serving?.readinessProbe ?? defaultReadinessProbe, queuePort),
      ...(mounts.length > 0 ? { volumeMounts: mounts } : {}),
      securityContext: {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        runAsNonRoot: true,
        capabilities: { drop: ["ALL"] },
        seccompProfile: { type: "RuntimeDefault" },
      },
    },
    volumes,
  };
}

/** What the kubelet asks: the user's timing, the sidecar's door. */
function kubeletProbe(user: Probe, queuePort: number): Probe {
  const { httpGet: _http, tcpSocket: _tcp, grpc: _grpc, exec: _exec, ...timing } = user;
  return {
    httpGet: { port: queuePort, httpHeaders: [{ name: "K-Network-Probe", value: "queue" }] },
    ...timing,
  };
}

function sidecarEnvironment(revision: Revision, platform: Platform, queuePort: number): EnvVar[] {
  const { config, systemNamespace } = platform;
  const { name = "", namespace = "", labels = {}, annotations = {}, ownerReferences = [] } = revision.metadata;
  const { spec } = revision;
  const { queueSidecarTls: tls, queueSidecarRootCa } = config.deployment;
  const owner = ownerReferences.find(({ controller }) => controller === true)?.name;
  const entries: (readonly [string, string | { fieldPath: string }])[] = [
    ["SERVING_NAMESPACE", namespace],
    ["SERVING_SERVICE", labels[label.service] ?? ""],
    ["SERVING_CONFIGURATION", owner ?? labels[label.configuration] ?? ""],
    ["SERVING_REVISION", name],
    ["QUEUE_SERVING_PORT", String(queuePort)],
    ["QUEUE_SERVING_TLS_PORT", String(port.queueHttps)],
    ["CONTAINER_CONCURRENCY", String(spec.containerConcurrency ?? 0)],
    ["REVISION_TIMEOUT_SECONDS", String(timeoutSecondsOf(revision, config))],
    ["REVISION_RESPONSE_START_TIMEOUT_SECONDS", String(spec.responseStartTimeoutSeconds ?? 0)],
    ["REVISION_IDLE_TIMEOUT_SECONDS", String(spec.idleTimeoutSeconds ?? 0)],
    ["SERVING_POD", { fieldPath: "metadata.name" }],
    ["SERVING_POD_IP", { fieldPath: "status.podIP" }],
    ["SERVING_LOGGING_CONFIG", config.logging.zapLoggerConfig],
    ["SERVING_LOGGING_LEVEL", config.logging.queueProxyLevel],
    ["USER_PORT", String(userPort(spec))],
    ["SYSTEM_NAMESPACE", systemNamespace],
    ["SERVING_READINESS_PROBE", readinessProbeJson(revision, config)],
    ["HOST_IP", { fieldPath: "status.hostIP" }],
    ["ENABLE_HTTP2_AUTO_DETECTION", String(config.features.autodetectHttp2 === "Enabled")],
    [
      "ENABLE_HTTP_FULL_DUPLEX",
      String((annotations["features.knative.dev/http-full-duplex"] ?? "").toLowerCase() === "enabled"),
    ],
    ["ROOT_CA", queueSidecarRootCa],
    ["QUEUE_PROXY_TLS_MIN_VERSION", tls.minVersion],
    ["QUEUE_PROXY_TLS_MAX_VERSION", tls.maxVersion],
    ["QUEUE_PROXY_TLS_CIPHER_SUITES", tls.cipherSuites],
    ["QUEUE_PROXY_TLS_CURVE_PREFERENCES", tls.curvePreferences],
    ["ENABLE_MULTI_CONTAINER_PROBES", String(config.features.multiContainerProbing === "Enabled")],
    ["OBSERVABILITY_CONFIG", JSON.stringify(config.observability.sidecar)],
    ["SWELL_STATS_ADDRESS", platform.statsAddress],
    ["SWELL_STATS_TOKEN", statsToken(platform.statsKey, namespace, name)],
  ];
  return entries.map(([key, value]) =>
    typeof value === "string" ? { name: key, value } : { name: key, valueFrom: { fieldRef: value } },
  );
}

/** As stored; a Revision that no webhook has defaulted has the stock timeout. */
export function timeoutSecondsOf(revision: Revision, config: Readonly<PlatformConfig>): number {
  const { timeoutSeconds } = revision.spec;
  return timeoutSeconds === undefined || timeoutSeconds === 0 ? config.defaults.timeoutSeconds : timeoutSeconds;
}

/** What the sidecar runs on the app's behalf: one probe, or a list over all containers where those are probed. */
function readinessProbeJson(revision: Revision, config: Readonly<PlatformConfig>): string {
  const { spec } = revision;
  const serving = servingContainer(spec);
  const own = sidecarProbe(serving?.readinessProbe ?? defaultReadinessProbe, userPort(spec));
  if (config.features.multiContainerProbing !== "Enabled") return JSON.stringify(own);
  const probes = spec.containers.flatMap((container) => {
    if (container === serving) return [own];
    const { readinessProbe: probe, ports } = container;
    // A command only the kubelet can run.
    if (probe === undefined || probe.exec !== undefined) return [];
    return [sidecarProbe(probe, ports?.[0]?.containerPort ?? defaultUserPort)];
  });
  return JSON.stringify(probes);
}

/** Keys in the order of Kubernetes' own encoding, so that unchanged probes give unchanged pods. */
function sidecarProbe(probe: Probe, fallbackPort: number): Probe {
  const {
    httpGet,
    tcpSocket,
    grpc,
    exec: _exec,
    ...timing
  } = hasHandler(probe) ? probe : { ...probe, ...defaultReadinessProbe };
  const own = (given: number | string | undefined): number =>
    typeof given === "number" && given > 0 ? given : fallbackPort;
  const rest: Probe = Object.fromEntries(
    (["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] as const)
      .filter((key) => (timing[key] ?? 0) !== 0)
      .map((key) => [key, timing[key]]),
  );
  if (httpGet !== undefined)
    return {
      httpGet: {
        ...(httpGet.path === undefined ? {} : { path: httpGet.path }),
        port: own(httpGet.port),
        host: "127.0.0.1",
        scheme: httpGet.scheme ?? "HTTP",
        ...(httpGet.httpHeaders === undefined ? {} : { httpHeaders: httpGet.httpHeaders }),
      },
      ...rest,
    };
  if (grpc !== undefined) return { grpc: { port: own(grpc.port), service: grpc.service ?? "" }, ...rest };
  return { tcpSocket: { port: own(tcpSocket?.port), host: "127.0.0.1" }, ...rest };
}

function sidecarVolumes(
  revision: Revision,
  config: Readonly<PlatformConfig>,
): { volumes: Volume[]; mounts: VolumeMount[] } {
  const volumes: Volume[] = [];
  const mounts: VolumeMount[] = [];
  const podInfo = config.features.queueProxyMountPodInfo;
  const wanted = (revision.metadata.annotations?.["features.knative.dev/queueproxy-podinfo"] ?? "").toLowerCase();
  if (podInfo === "Enabled" || (podInfo === "Allowed" && wanted === "enabled")) {
    const items = [{ path: "annotations", fieldRef: { fieldPath: "metadata.annotations" } }];
    volumes.push({ name: "pod-info", downwardAPI: { items } });
    mounts.push({ name: "pod-info", mountPath: "/etc/podinfo", readOnly: true });
  }
  const { queueSidecarTokenAudiences: audiences } = config.deployment;
  if (audiences.length > 0) {
    const sources = audiences.map((audience) => ({
      serviceAccountToken: { audience, expirationSeconds: 3600, path: audience },
    }));
    volumes.push({ name: "knative-token-volume", projected: { sources } });
    mounts.push({ name: "knative-token-volume", mountPath: "/var/run/secrets/tokens" });
  }
  if (config.network.systemInternalTls) {
    volumes.push({ name: "server-certs", secret: { secretName: internalTls.sidecarSecret } });
    mounts.push({ name: "server-certs", mountPath: "/var/lib/knative/certs", readOnly: true });
  }
  return { volumes, mounts };
}
