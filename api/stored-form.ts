/**
 * The form in which Knative's typed clients write a Revision's template: what says nothing is left out (`""`, `0`,
 * `[]` of fields that have no "unset"), quantities are canonical. Two templates mean the same when these are equal.
 */
import { formatQuantity, parseQuantity } from "./quantity.ts";
import type { RevisionSpec, RevisionTemplateSpec } from "./serving.ts";

type Fields = Record<string, unknown>;

/** Maps and free-form objects: their content is not ours to judge. */
const opaque = new Set([
  ..."affinity topologySpreadConstraints tolerations dnsConfig hostAliases csi ephemeral".split(" "),
  ..."sysctls windowsOptions seLinuxOptions labelSelector".split(" "),
]);
const maps = new Set(["labels", "annotations", "nodeSelector", "matchLabels"]);
const quantities = new Set(["limits", "requests"]);
/** Text that is written even when it is empty: required, or a pointer. */
const keptTexts = new Set(["name", "key", "mountPath", "service", "mountPropagation", "runtimeClassName"]);
const probes = new Set(["readinessProbe", "livenessProbe", "startupProbe"]);
/** Numbers and booleans whose zero means "not set". Elsewhere they are pointers, and zero is a value. */
const zeroIsUnset = new Set([
  ..."initialDelaySeconds periodSeconds successThreshold failureThreshold".split(" "),
  ..."hostPort hostIPC hostPID hostNetwork stdin stdinOnce tty readOnly".split(" "),
]);

/** Of a value under `key` of a field `parent`; undefined when there is nothing to write. */
function stored(value: unknown, key: string, parent: string): unknown {
  if (value === undefined || value === null) return undefined;
  if (opaque.has(key)) return value;
  if (value === "") return keptTexts.has(key) || (key === "path" && parent !== "httpGet") ? value : undefined;
  if (value === 0 || value === false)
    return zeroIsUnset.has(key) || (key === "timeoutSeconds" && probes.has(parent)) ? undefined : value;
  if (key === "sizeLimit" || key === "divisor") return canonicalQuantity(value);
  if (Array.isArray(value)) {
    if (value.length === 0) return undefined;
    return value.map((item) => (isFields(item) ? storedFields(item, key) : item));
  }
  if (!isFields(value)) return value;
  if (maps.has(key)) return Object.keys(value).length === 0 ? undefined : value;
  if (quantities.has(key)) {
    const entries = Object.entries(value).map(([resource, amount]) => [resource, canonicalQuantity(amount)] as const);
    return entries.length === 0 ? undefined : Object.fromEntries(entries);
  }
  const fields = storedFields(value, key);
  if (key === "tcpSocket" || key === "httpGet") fields["port"] ??= 0;
  return fields;
}

function storedFields(object: Fields, key: string): Fields {
  const fields: Fields = {};
  for (const [name, value] of Object.entries(object)) {
    const kept = stored(value, name, key);
    if (kept !== undefined) fields[name] = kept;
  }
  // A struct that Go always writes.
  if (key === "containers" || key === "initContainers") fields["resources"] ??= {};
  return fields;
}

function canonicalQuantity(value: unknown): unknown {
  const quantity = typeof value === "string" || typeof value === "number" ? parseQuantity(String(value)) : undefined;
  return quantity === undefined ? value : formatQuantity(quantity);
}

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export function storedSpec(spec: RevisionSpec): RevisionSpec {
  const form = storedFields(spec as unknown as Fields, "spec");
  // An empty list of containers stays visible: it is refused.
  if (Array.isArray(spec.containers)) form["containers"] ??= [];
  return form as unknown as RevisionSpec;
}

export function storedTemplate({ metadata, spec, ...rest }: RevisionTemplateSpec): RevisionTemplateSpec {
  return {
    ...rest,
    metadata: storedFields(metadata ?? {}, "metadata"),
    // Absent in objects that go around the schema.
    ...((spec as RevisionSpec | undefined | null) ? { spec: storedSpec(spec) } : {}),
  } as RevisionTemplateSpec;
}

/** A list of plain items, such as traffic targets. */
export function storedList<T extends object>(items: readonly T[]): T[] {
  return items.map((item) => storedFields(item as Fields, "") as T);
}
