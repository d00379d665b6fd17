/** ConfigMap `config-defaults`. */
import type { RevisionDefaults } from "../../api/revision-defaults.ts";
import { compileTemplate, type NameTemplate } from "./template.ts";
import { type Data, ConfigValues } from "./values.ts";

const quantity = /^[+-]?(\d+|\d+\.\d*|\.\d+)(([eE][+-]?\d+)|[numkMGTPE]|[KMGTPE]i)?$/u;

/** Throws ConfigError. */
export function parseDefaults(data: Data | undefined): Readonly<RevisionDefaults> {
  const values = new ConfigValues(data);
  const resources = (kind: "request" | "limit"): Record<string, string> => {
    const found: Record<string, string> = {};
    for (const resource of ["cpu", "memory", "ephemeral-storage"]) {
      const key = `revision-${resource}-${kind}`;
      const text = values.text(key, "");
      if (text === "") continue;
      if (!quantity.test(text))
        values.problem(`failed to parse "${key}": quantities must match the regular expression '${quantity.source}'`);
      found[resource] = text;
    }
    return Object.freeze(found);
  };
  const template = (key: string, fallback: string): NameTemplate => {
    try {
      return compileTemplate(values.text(key, fallback));
    } catch (error) {
      values.problem(`failed to parse "${key}": ${(error as Error).message}`);
      return () => fallback;
    }
  };
  const timeoutSeconds = values.integer("revision-timeout-seconds", 300);
  const links = values.text("enable-service-links", "false").toLowerCase();
  const config: RevisionDefaults = {
    timeoutSeconds,
    maxTimeoutSeconds: values.integer("max-revision-timeout-seconds", 600),
    responseStartTimeoutSeconds: values.integer("revision-response-start-timeout-seconds", timeoutSeconds),
    idleTimeoutSeconds: values.integer("revision-idle-timeout-seconds", 0),
    requests: resources("request"),
    limits: resources("limit"),
    containerName: template("container-name-template", "user-container"),
    initContainerName: template("init-container-name-template", "init-container"),
    containerConcurrency: values.integer("container-concurrency", 0),
    containerConcurrencyMaxLimit: values.integer("container-concurrency-max-limit", 1000),
    allowContainerConcurrencyZero: values.boolean("allow-container-concurrency-zero", true),
    enableServiceLinks: links === "true" ? true : links === "false" ? false : undefined,
  };
  const { maxTimeoutSeconds, responseStartTimeoutSeconds, idleTimeoutSeconds } = config;
  if (timeoutSeconds > maxTimeoutSeconds)
    values.problem(
      `revision-timeout-seconds (${timeoutSeconds}) cannot be greater than max-revision-timeout-seconds (${maxTimeoutSeconds})`,
    );
  if (responseStartTimeoutSeconds > timeoutSeconds)
    values.problem(
      `revision-response-start-timeout-seconds (${responseStartTimeoutSeconds}) cannot be greater than revision-timeout-seconds (${timeoutSeconds})`,
    );
  if (idleTimeoutSeconds > timeoutSeconds)
    values.problem(
      `revision-idle-timeout-seconds (${idleTimeoutSeconds}) cannot be greater than revision-timeout-seconds (${timeoutSeconds})`,
    );
  if (config.containerConcurrencyMaxLimit < 1)
    values.problem(`container-concurrency-max-limit = ${config.containerConcurrencyMaxLimit}, which is less than 1`);
  if (config.containerConcurrency < 0 || config.containerConcurrency > config.containerConcurrencyMaxLimit)
    values.problem(
      `container-concurrency (${config.containerConcurrency}) must be between 0 and container-concurrency-max-limit (${config.containerConcurrencyMaxLimit})`,
    );
  return values.finish(config);
}
