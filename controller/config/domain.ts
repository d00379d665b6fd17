/** ConfigMap `config-domain` (spec: serving-api 4.9), and the cluster's own domain. */
import { parse } from "yaml";
import { label } from "../../api/keys.ts";
import { type Data, ConfigValues } from "./values.ts";

export interface DomainConfig {
  /** The domain of an object with these labels. */
  lookup: (labels: Readonly<Record<string, string>> | undefined) => string;
}

export { clusterDomain } from "../../process/cluster-domain.ts";

/** Throws ConfigError. `domain` is the cluster's domain. */
export function parseDomainConfig(data: Data | undefined, domain: string): Readonly<DomainConfig> {
  const values = new ConfigValues(data);
  const local = `svc.${domain}`;
  const entries: { domain: string; selector: [string, string][] }[] = [];
  for (const [key, text] of Object.entries(data ?? {})) {
    if (key.startsWith("_")) continue;
    try {
      const parsed = parse(text) as { selector?: Record<string, unknown> } | null;
      const selector = parsed !== null && typeof parsed === "object" ? (parsed.selector ?? {}) : {};
      entries.push({ domain: key, selector: Object.entries(selector).map(([name, value]) => [name, textOf(value)]) });
    } catch (error) {
      values.problem(`failed to parse "${key}": ${(error as Error).message}`);
    }
  }
  if (entries.every(({ selector }) => selector.length > 0)) entries.push({ domain: local, selector: [] });
  // The most specific selector first, then by name.
  entries.sort((a, b) => b.selector.length - a.selector.length || (a.domain < b.domain ? -1 : 1));
  return values.finish({
    lookup: (labels) => {
      if (labels?.[label.visibility] === "cluster-local") return local;
      const match = entries.find(({ selector }) => selector.every(([name, value]) => labels?.[name] === value));
      return match?.domain ?? local;
    },
  });
}

/** YAML reads `true` and `1` as what they are; labels are text. */
const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
