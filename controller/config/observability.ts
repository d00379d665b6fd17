/** ConfigMap `config-observability`, the keys that reach the sidecar and the Revision (spec: serving-api 4.12). */
import { exportProblem, pushSettings } from "../../api/metrics-export.ts";
import type { PushSettings } from "../../process/otlp/metric-push.ts";
import { type Data, ConfigValues } from "./values.ts";

export interface ObservabilityConfig {
  enableVarLogCollection: boolean;
  /** `${REVISION_UID}` stands for the Revision's uid. "" = no log URL. */
  revisionUrlTemplate: string;
  /** The sidecar's OBSERVABILITY_CONFIG. */
  sidecar: Readonly<Record<string, unknown>>;
  runtimeProfiling: boolean;
  /** Where the platform's own metrics are pushed to; undefined: nowhere. */
  metricsPush: PushSettings | undefined;
}

const nsPerMs = 1_000_000;

/** Throws ConfigError. */
export function parseObservabilityConfig(data: Data | undefined): Readonly<ObservabilityConfig> {
  const values = new ConfigValues(data);
  const metrics = (prefix: string): Record<string, unknown> => {
    const protocol = values.text(`${prefix}metrics-protocol`, "none");
    const endpoint = values.text(`${prefix}metrics-endpoint`, "");
    const problem = exportProblem(protocol, endpoint);
    if (problem !== undefined) values.problem(`${prefix}metrics-protocol: ${problem}`);
    const exportIntervalMs = values.durationMs(`${prefix}metrics-export-interval`, 0);
    return {
      protocol,
      ...(endpoint === "" ? {} : { endpoint }),
      ...(exportIntervalMs === 0 ? {} : { exportInterval: exportIntervalMs * nsPerMs }),
    };
  };
  const profiling = values.text("runtime-profiling", "disabled").toLowerCase();
  if (profiling !== "enabled" && profiling !== "disabled")
    values.problem(`unsupported profiling setting "${profiling}"`);
  const tracingEndpoint = values.text("tracing-endpoint", "");
  const samplingRate = values.number("tracing-sampling-rate", 0);
  const template = values.raw("logging.request-log-template") ?? "";
  const enableRequestLog = values.boolean("logging.enable-request-log", false);
  return values.finish({
    enableVarLogCollection: values.boolean("logging.enable-var-log-collection", false),
    revisionUrlTemplate: values.text("logging.revision-url-template", ""),
    runtimeProfiling: profiling === "enabled",
    metricsPush: pushSettings(
      values.text("metrics-protocol", "none"),
      values.text("metrics-endpoint", ""),
      values.durationMs("metrics-export-interval", 0),
    ),
    sidecar: {
      tracing: {
        protocol: values.text("tracing-protocol", "none"),
        ...(tracingEndpoint === "" ? {} : { endpoint: tracingEndpoint }),
        ...(samplingRate === 0 ? {} : { samplingRate }),
      },
      metrics: metrics(""),
      runtime: { profiling, exportInterval: values.durationMs("runtime-export-interval", 15_000) * nsPerMs },
      requestMetrics: metrics("request-"),
      enableRequestLog,
      requestLogTemplate: template,
      enableProbeRequestLog: values.boolean("logging.enable-probe-request-log", false),
    },
  });
}
