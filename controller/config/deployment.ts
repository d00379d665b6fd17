/** ConfigMap `config-deployment` (spec: serving-api 4.12). */
import { parse } from "yaml";
import { type Data, ConfigValues } from "./values.ts";

export interface DeploymentConfig {
  queueSidecarImage: string;
  progressDeadlineSeconds: number;
  digestResolutionTimeoutMs: number;
  registriesSkippingTagResolving: ReadonlySet<string>;
  /** Quantities of the sidecar by resource; absent ones are unset. */
  queueSidecarRequests: Readonly<Record<string, string>>;
  queueSidecarLimits: Readonly<Record<string, string>>;
  queueSidecarTokenAudiences: readonly string[];
  queueSidecarRootCa: string;
  queueSidecarTls: { minVersion: string; maxVersion: string; cipherSuites: string; curvePreferences: string };
  defaultAffinity: "none" | "prefer-spread-revision-over-nodes";
  /** The runtime class for a Revision with these labels, undefined for none. */
  runtimeClassName: (labels: Readonly<Record<string, string>> | undefined) => string | undefined;
  podIsAlwaysSchedulable: boolean;
}

/** `queue-sidecar-image` with the spelling that older installations use. */
const both = (key: string): string[] => {
  const camel = key.replaceAll(/-([a-z])/gu, (_, letter: string) => letter.toUpperCase());
  return [key, camel.replace("Cpu", "CPU")];
};

/** Throws ConfigError. */
export function parseDeploymentConfig(data: Data | undefined): Readonly<DeploymentConfig> {
  const values = new ConfigValues(data);
  const quantities = (kind: "request" | "limit", stock: Record<string, string>): Record<string, string> => {
    const found = { ...stock };
    for (const resource of ["cpu", "memory", "ephemeral-storage"]) {
      const text = values.text(both(`queue-sidecar-${resource}-${kind}`), "");
      if (text !== "") found[resource] = text;
    }
    return found;
  };
  const progressDeadlineMs = values.durationMs(both("progress-deadline"), 600_000);
  const digestResolutionTimeoutMs = values.durationMs(both("digest-resolution-timeout"), 10_000);
  const affinity = values.text(both("default-affinity-type"), "none");
  const config: DeploymentConfig = {
    queueSidecarImage: values.text(both("queue-sidecar-image"), ""),
    progressDeadlineSeconds: Math.trunc(progressDeadlineMs / 1000),
    digestResolutionTimeoutMs,
    registriesSkippingTagResolving: new Set(
      list(values.text(both("registries-skipping-tag-resolving"), "kind.local,ko.local,dev.local")),
    ),
    queueSidecarRequests: quantities("request", { cpu: "25m" }),
    queueSidecarLimits: quantities("limit", {}),
    queueSidecarTokenAudiences: list(values.text(both("queue-sidecar-token-audiences"), "")),
    queueSidecarRootCa: values.raw("queue-sidecar-rootca") ?? "",
    queueSidecarTls: {
      minVersion: values.text("queue-sidecar-tls-min-version", ""),
      maxVersion: values.text("queue-sidecar-tls-max-version", ""),
      cipherSuites: values.text("queue-sidecar-tls-cipher-suites", ""),
      curvePreferences: values.text("queue-sidecar-tls-curve-preferences", ""),
    },
    defaultAffinity: affinity === "prefer-spread-revision-over-nodes" ? "prefer-spread-revision-over-nodes" : "none",
    runtimeClassName: runtimeClasses(values),
    podIsAlwaysSchedulable: values.boolean("pod-is-always-schedulable", false),
  };
  if (config.queueSidecarImage === "") values.problem("queue-sidecar-image cannot be empty or unset");
  if (progressDeadlineMs <= 0)
    values.problem(`progress-deadline cannot be a non-positive duration, was ${data?.["progress-deadline"]}`);
  if (progressDeadlineMs % 1000 !== 0)
    values.problem(`progress-deadline must be rounded to a whole second, was: ${data?.["progress-deadline"]}`);
  if (digestResolutionTimeoutMs <= 0)
    values.problem(
      `digest-resolution-timeout cannot be a non-positive duration, was ${data?.["digest-resolution-timeout"]}`,
    );
  if (affinity !== config.defaultAffinity) values.problem(`unsupported default-affinity-type value: ${affinity}`);
  return values.finish(config);
}

const list = (text: string): string[] =>
  text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");

/** The class whose selector matches with the most labels; by name among equals. */
function runtimeClasses(values: ConfigValues): DeploymentConfig["runtimeClassName"] {
  const text = values.raw("runtime-class-name");
  if (text === undefined || text.trim() === "") return () => undefined;
  let classes: { name: string; selector: [string, string][] }[] = [];
  try {
    const parsed = (parse(text) ?? {}) as Record<string, { selector?: Record<string, unknown> } | null>;
    classes = Object.entries(parsed).map(([name, entry]) => ({
      name,
      selector: Object.entries(entry?.selector ?? {}).map(([key, value]) => [key, textOf(value)]),
    }));
  } catch (error) {
    values.problem(`failed to parse "runtime-class-name": ${(error as Error).message}`);
  }
  classes.sort((a, b) => b.selector.length - a.selector.length || (a.name < b.name ? -1 : 1));
  return (labels) => classes.find(({ selector }) => selector.every(([key, value]) => labels?.[key] === value))?.name;
}

/** YAML reads `true` and `1` as what they are; labels are text. */
const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
