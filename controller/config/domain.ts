/** ConfigMap `config-domain` (spec: serving-api 4.9), and the cluster's own domain. */
import { parse } from "yaml";
import { label } from "../../api/keys.ts";
import { type Data, ConfigValues } from "./values.ts";

export interface DomainConfig {
  /** Those of whose hosts a namespace may have one certificate for all; sorted. */
  wildcardDomains: readonly string[];
  /** The domain of an object with these labels. */
  lookup: (labels: Readonly<Record<string, string>> | undefined) => string;
}

export { clusterDomain } from "../../process/cluster-domain.ts";

/** Throws ConfigError. `domain` is the cluster's domain. */
export function parseDomainConfig(data: Data | undefined, domain: string): Readonly<DomainConfig> {
  const values = new ConfigValues(data);
  const local = `svc.${domain}`;
  const entries: { domain: string; selector: [string, string][]; isWildcard: boolean }[] = [];
  for (const [key, text] of Object.entries(data ?? {})) {
    if (key.startsWith("_")) continue;
    try {
      const parsed = parse(text) as { selector?: Record<string, unknown>; type?: unknown } | null;
      const given = parsed !== null && typeof parsed === "object" ? parsed : {};
      const selector = Object.entries(given.selector ?? {}).map(([name, value]): [string, string] => [
        name,
        textOf(value),
      ]);
      entries.push({ domain: key, selector, isWildcard: selector.length === 0 || given.type === "wildcard" });
    } catch (error) {
      values.problem(`failed to parse "${key}": ${(error as Error).message}`);
    }
  }
  if (entries.every(({ selector }) => selector.length > 0))
    entries.push({ domain: local, selector: [], isWildcard: true });
  // The most specific selector first, then by name.
  entries.sort((a, b) => b.selector.length - a.selector.length || (a.domain < b.domain ? -1 : 1));
  return values.finish({
    wildcardDomains: entries
      .filter(({ isWildcard }) => isWildcard)
      .map(({ domain }) => domain)
      .sort(),
    lookup: (labels) => {
      if (labels?.[label.visibility] === "cluster-local") return local;
      const match = entries.find(({ selector }) => selector.every(([name, value]) => labels?.[name] === value));
      return match?.domain ?? local;
    },
  });
}

/** YAML reads `true` and `1` as what they are; labels are text. */
const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
