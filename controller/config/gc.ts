/** ConfigMap `config-gc` (spec: serving-api 4.6). */
import { parseDuration } from "../../api/duration.ts";
import { type Data, ConfigValues } from "./values.ts";

export interface GcConfig {
  /** undefined = disabled. */
  retainSinceCreateMs: number | undefined;
  /** undefined = disabled. */
  retainSinceLastActiveMs: number | undefined;
  minNonActiveRevisions: number;
  /** undefined = no limit. */
  maxNonActiveRevisions: number | undefined;
}

const isDisabled = (text: string | undefined): boolean => text?.trim().toLowerCase() === "disabled";

/** Throws ConfigError. */
export function parseGcConfig(data: Data | undefined): Readonly<GcConfig> {
  const values = new ConfigValues(data);
  const durationMs = (key: string, fallbackMs: number): number | undefined => {
    const text = values.raw(key);
    if (isDisabled(text)) return undefined;
    if (text !== undefined && (parseDuration(text.trim()) ?? 0) < 0)
      values.problem(`${key} cannot be negative, was: ${text}`);
    return values.durationMs(key, fallbackMs);
  };
  const config: GcConfig = {
    retainSinceCreateMs: durationMs("retain-since-create-time", 48 * 3_600_000),
    retainSinceLastActiveMs: durationMs("retain-since-last-active-time", 15 * 3_600_000),
    minNonActiveRevisions: values.integer("min-non-active-revisions", 20),
    maxNonActiveRevisions: isDisabled(values.raw("max-non-active-revisions"))
      ? undefined
      : values.integer("max-non-active-revisions", 1000),
  };
  const { minNonActiveRevisions: min, maxNonActiveRevisions: max } = config;
  if (min < 0) values.problem(`min-non-active-revisions cannot be negative, was: ${min}`);
  if (max !== undefined && max < min)
    values.problem(`min-non-active-revisions(${min}) must be <= max-non-active-revisions(${max})`);
  return values.finish(config);
}
