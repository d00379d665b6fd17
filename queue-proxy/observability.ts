/** `OBSERVABILITY_CONFIG` (data-plane 1.3) and the variables that override it. */
import type { Env, EnvReader } from "../process/env.ts";
import type { ListenAddress } from "../process/listen.ts";
import { defaultRequestLogTemplate } from "../proxy/request-log-template.ts";
import { tlsSettings, type TlsSettings } from "./tls-options.ts";

export interface RequestLogConfig {
  template: string;
  /** Log the probes that are answered here, too. */
  probes: boolean;
}

export interface UserMetricsConfig {
  address: ListenAddress;
  /** Undefined: plain text. */
  tls:
    | {
        settings: TlsSettings;
        certFile: string;
        keyFile: string;
        clientAuth: "none" | "optional" | "require";
        clientCaFile: string | undefined;
      }
    | undefined;
}

export interface TracingConfig {
  protocol: "grpc" | "http/protobuf" | "stdout";
  /** Empty: the protocol's own on this machine. */
  endpoint: string;
  /** Of the requests that come without a decision, 0 to 1. */
  samplingRate: number;
  serviceName: string;
}

/** Request metrics that are pushed. */
export interface MetricsExportConfig {
  protocol: "grpc" | "http/protobuf";
  /** Empty: the protocol's own on this machine. */
  endpoint: string;
  intervalMs: number;
  serviceName: string;
}

export interface Observability {
  requestLog: RequestLogConfig | undefined;
  /** Request metrics that Prometheus fetches. */
  userMetrics: UserMetricsConfig | undefined;
  metricsExport: MetricsExportConfig | undefined;
  tracing: TracingConfig | undefined;
  /** Undefined: no profiles. */
  profiling: ListenAddress | undefined;
}

const userMetricPort = 9091;
const profilingPort = 8008;
const metricsProtocols = ["none", "prometheus", "grpc", "http/protobuf"] as const;
/** What a timer can hold. */
const maxIntervalMs = 2 ** 31 - 1;
const protocols = ["none", "grpc", "http/protobuf", "stdout"] as const;

type Fields = Readonly<Record<string, unknown>>;

export function parseObservability(
  read: EnvReader,
  env: Env,
  options: {
    /** An own address of the pod. */
    own: (port: number) => ListenAddress;
    mounted: (path: string) => string;
    /** When OTEL_SERVICE_NAME is not set. */
    serviceName: string;
  },
): Observability {
  const config = read.json<Fields>("OBSERVABILITY_CONFIG", {});
  const part = (name: string): Fields => (config[name] ?? {}) as Fields;
  const profiles = read.port("PROFILING_PORT", profilingPort);
  return {
    requestLog:
      config["enableRequestLog"] === true
        ? {
            template: text(config["requestLogTemplate"]) || defaultRequestLogTemplate,
            probes: config["enableProbeRequestLog"] === true,
          }
        : undefined,
    userMetrics:
      part("requestMetrics")["protocol"] === "prometheus"
        ? userMetrics(read, text(part("requestMetrics")["endpoint"]), options)
        : undefined,
    metricsExport: metricsExport(read, env, part("requestMetrics"), options.serviceName),
    tracing: tracing(read, env, part("tracing"), options.serviceName),
    profiling: part("runtime")["profiling"] === "enabled" ? options.own(profiles) : undefined,
  };
}

function userMetrics(
  read: EnvReader,
  endpoint: string,
  { own, mounted }: { own: (port: number) => ListenAddress; mounted: (path: string) => string },
): UserMetricsConfig {
  const configured = /^(.*):(\d+)$/.exec(endpoint);
  const port = read.port("METRICS_PROMETHEUS_PORT", configured === null ? userMetricPort : Number(configured[2]));
  const host = read.string("METRICS_PROMETHEUS_HOST", "") || (configured?.[1] ?? "").replace(/^\[|\]$/g, "");
  const address = host === "" ? own(port) : { ...own(port), host };
  const certFile = read.string("METRICS_PROMETHEUS_TLS_CERT", "");
  const keyFile = read.string("METRICS_PROMETHEUS_TLS_KEY", "");
  const clientAuth = read.oneOf("METRICS_PROMETHEUS_TLS_CLIENT_AUTH", ["none", "optional", "require"], "none");
  const clientCaFile = read.string("METRICS_PROMETHEUS_TLS_CLIENT_CA_FILE", "");
  const settings = tlsSettings(read, "METRICS_PROMETHEUS_TLS");
  if ((certFile === "") !== (keyFile === ""))
    read.problems.push("METRICS_PROMETHEUS_TLS_CERT and METRICS_PROMETHEUS_TLS_KEY: want both or neither");
  if (certFile === "" || keyFile === "") {
    if (clientAuth !== "none") read.problems.push("METRICS_PROMETHEUS_TLS_CLIENT_AUTH needs a certificate");
    return { address, tls: undefined };
  }
  if (clientAuth !== "none" && clientCaFile === "")
    read.problems.push(`METRICS_PROMETHEUS_TLS_CLIENT_AUTH=${clientAuth} needs METRICS_PROMETHEUS_TLS_CLIENT_CA_FILE`);
  return {
    address,
    tls: {
      settings,
      certFile: mounted(certFile),
      keyFile: mounted(keyFile),
      clientAuth,
      clientCaFile: clientCaFile === "" ? undefined : mounted(clientCaFile),
    },
  };
}

function metricsExport(
  read: EnvReader,
  env: Env,
  config: Fields,
  serviceName: string,
): MetricsExportConfig | undefined {
  const protocol = text(config["protocol"]) || "none";
  if (!(metricsProtocols as readonly string[]).includes(protocol)) {
    read.problems.push(
      `OBSERVABILITY_CONFIG: requestMetrics protocol ${JSON.stringify(protocol)}: want one of ${metricsProtocols.join(", ")}`,
    );
    return undefined;
  }
  if (protocol !== "grpc" && protocol !== "http/protobuf") return undefined;
  const { exportInterval } = config;
  const configuredMs = typeof exportInterval === "number" && exportInterval > 0 ? exportInterval / 1e6 : 60_000;
  return {
    protocol,
    endpoint:
      env["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] || baseEndpoint(env, protocol, "metrics") || text(config["endpoint"]),
    intervalMs: read.integer("OTEL_METRIC_EXPORT_INTERVAL", { min: 1, max: maxIntervalMs, fallback: configuredMs }),
    serviceName: env["OTEL_SERVICE_NAME"] || serviceName,
  };
}

function tracing(read: EnvReader, env: Env, config: Fields, serviceName: string): TracingConfig | undefined {
  const protocol = text(config["protocol"]) || "none";
  if (!(protocols as readonly string[]).includes(protocol)) {
    read.problems.push(`OBSERVABILITY_CONFIG: tracing protocol ${JSON.stringify(protocol)} is not known`);
    return undefined;
  }
  if (protocol === "none") return undefined;
  const given = config["samplingRate"];
  return {
    protocol: protocol as TracingConfig["protocol"],
    endpoint:
      env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] || baseEndpoint(env, protocol, "traces") || text(config["endpoint"]),
    samplingRate: protocol === "stdout" ? 1 : samplingRate(read, env, typeof given === "number" ? given : 0),
    serviceName: env["OTEL_SERVICE_NAME"] || serviceName,
  };
}

/** OTEL_TRACES_SAMPLER and _ARG in the SDK's names; all are parent-based here, as Knative's is. */
function samplingRate(read: EnvReader, env: Env, configured: number): number {
  const sampler = (env["OTEL_TRACES_SAMPLER"] ?? "").replace(/^parentbased_/, "");
  if (sampler === "") return configured;
  if (sampler === "always_on") return 1;
  if (sampler === "always_off") return 0;
  if (sampler === "traceidratio") return read.number("OTEL_TRACES_SAMPLER_ARG", { min: 0, max: 1, fallback: 1 });
  read.problems.push(`OTEL_TRACES_SAMPLER=${JSON.stringify(sampler)} is not known`);
  return configured;
}

/** OpenTelemetry's variable for all signals is a base: over HTTP the signal's path is added to it. */
function baseEndpoint(env: Env, protocol: string, signal: "traces" | "metrics"): string {
  const base = env["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? "";
  return base === "" || protocol === "grpc" ? base : `${base.replace(/\/$/, "")}/v1/${signal}`;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
