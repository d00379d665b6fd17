/** The environment and command line of a container, computed from its pod. Pure. */
import type { ConfigMap, Container, EnvVar, Pod, Secret } from "../../api/core.ts";
import { quantity, type Resources } from "./scheduling.ts";

/** The container cannot be made as described: waiting with reason CreateContainerConfigError. */
export class ContainerConfigError extends Error {
  override readonly name = "ContainerConfigError";
}

/** The objects that environment and volumes are filled from; a name that is not in it does not exist. */
export interface Sources {
  configMaps: ReadonlyMap<string, ConfigMap>;
  secrets: ReadonlyMap<string, Secret>;
}

export interface PodPlace {
  podIP: string;
  hostIP: string;
  nodeName: string;
  allocatable: Resources;
}

/** `$(NAME)` becomes the variable's value, `$$(NAME)` the text `$(NAME)`; what is unknown stays as it stands. */
export function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^()]*)\)/g, (match, name: string | undefined) =>
    match === "$$" ? "$" : name !== undefined && Object.hasOwn(variables, name) ? variables[name]! : match,
  );
}

/** Names of the ConfigMaps and Secrets that a container's environment reads. */
export function environmentSources(container: Container): { configMaps: string[]; secrets: string[] } {
  const configMaps = new Set<string>();
  const secrets = new Set<string>();
  for (const source of container.envFrom ?? []) {
    if (source.configMapRef !== undefined) configMaps.add(source.configMapRef.name);
    if (source.secretRef !== undefined) secrets.add(source.secretRef.name);
  }
  for (const { valueFrom } of container.env ?? []) {
    if (valueFrom?.configMapKeyRef !== undefined) configMaps.add(valueFrom.configMapKeyRef.name);
    if (valueFrom?.secretKeyRef !== undefined) secrets.add(valueFrom.secretKeyRef.name);
  }
  return { configMaps: [...configMaps], secrets: [...secrets] };
}

/**
 * `base` is what a container finds without asking (PATH, the image's variables), `forced` what the node decides and
 * nobody overrides (SWELL_…, the mapped PORT). Throws {@link ContainerConfigError}.
 */
export function containerEnvironment(input: {
  pod: Pod;
  container: Container;
  place: PodPlace;
  sources: Sources;
  base: Readonly<Record<string, string>>;
  forced: Readonly<Record<string, string>>;
}): Record<string, string> {
  const { pod, container, sources } = input;
  const env: Record<string, string> = { ...input.base, ...input.forced };
  for (const { prefix = "", configMapRef, secretRef } of container.envFrom ?? []) {
    const values =
      configMapRef !== undefined
        ? configMapValues(sources, configMapRef.name, configMapRef.optional, pod)
        : secretRef !== undefined
          ? secretValues(sources, secretRef.name, secretRef.optional, pod)
          : {};
    for (const [key, value] of Object.entries(values))
      if (/^[-._a-zA-Z][-._a-zA-Z0-9]*$/.test(prefix + key)) env[prefix + key] = value;
  }
  for (const variable of container.env ?? []) {
    const value = valueOf(variable, env, input);
    // A forced value is what later variables see too: URL=http://localhost:$(PORT).
    if (value !== undefined) env[variable.name] = input.forced[variable.name] ?? value;
  }
  return { ...env, ...input.forced };
}

function valueOf(
  { name, value, valueFrom }: EnvVar,
  known: Readonly<Record<string, string>>,
  { pod, container, place, sources }: { pod: Pod; container: Container; place: PodPlace; sources: Sources },
): string | undefined {
  if (valueFrom === undefined) return expand(value ?? "", known);
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  if (fieldRef !== undefined) return fieldValue(fieldRef.fieldPath, pod, place);
  if (resourceFieldRef !== undefined) {
    const owner = resourceFieldRef.containerName;
    const about = owner === undefined ? container : pod.spec.containers.find((other) => other.name === owner);
    if (about === undefined) throw new ContainerConfigError(`container ${owner ?? ""} of variable ${name} not found`);
    return resourceValue(resourceFieldRef, about, place.allocatable);
  }
  if (configMapKeyRef !== undefined) {
    const { name: source, key, optional } = configMapKeyRef;
    const found = configMapValues(sources, source, optional, pod)[key];
    if (found === undefined && optional !== true)
      throw new ContainerConfigError(`couldn't find key ${key} in ConfigMap ${namespaceOf(pod)}/${source}`);
    return found;
  }
  if (secretKeyRef !== undefined) {
    const { name: source, key, optional } = secretKeyRef;
    const found = secretValues(sources, source, optional, pod)[key];
    if (found === undefined && optional !== true)
      throw new ContainerConfigError(`couldn't find key ${key} in Secret ${namespaceOf(pod)}/${source}`);
    return found;
  }
  return "";
}

export function configMapValues(
  sources: Sources,
  name: string,
  optional: boolean | undefined,
  pod: Pod,
): Record<string, string> {
  const found = sources.configMaps.get(name);
  if (found !== undefined) return found.data ?? {};
  if (optional === true) return {};
  throw new ContainerConfigError(`configmap "${name}" not found in namespace ${namespaceOf(pod)}`);
}

/** Decoded; values that are not text come out damaged, as they would in any environment. */
export function secretValues(
  sources: Sources,
  name: string,
  optional: boolean | undefined,
  pod: Pod,
): Record<string, string> {
  const found = sources.secrets.get(name);
  if (found !== undefined)
    return Object.fromEntries(
      Object.entries(found.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]),
    );
  if (optional === true) return {};
  throw new ContainerConfigError(`secret "${name}" not found in namespace ${namespaceOf(pod)}`);
}

/** The downward API. Throws {@link ContainerConfigError} for a path that Kubernetes does not know either. */
export function fieldValue(fieldPath: string, pod: Pod, place: PodPlace): string {
  const { metadata, spec } = pod;
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath);
  if (subscript !== null) return metadata[subscript[1] as "labels" | "annotations"]?.[subscript[2]!] ?? "";
  switch (fieldPath) {
    case "metadata.name":
      return metadata.name ?? "";
    case "metadata.namespace":
      return metadata.namespace ?? "";
    case "metadata.uid":
      return metadata.uid ?? "";
    case "metadata.labels":
      return keyValueLines(metadata.labels);
    case "metadata.annotations":
      return keyValueLines(metadata.annotations);
    case "spec.nodeName":
      return place.nodeName;
    case "spec.serviceAccountName":
      return spec.serviceAccountName ?? "default";
    case "status.podIP":
    case "status.podIPs":
      return place.podIP;
    case "status.hostIP":
    case "status.hostIPs":
      return place.hostIP;
    default:
      throw new ContainerConfigError(`unsupported fieldPath: ${fieldPath}`);
  }
}

/** Sorted `key="escaped value"` lines, as in a downward API file. */
function keyValueLines(values: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(values ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join("\n");
}

/** Rounded up to whole divisors; a limit that is not set is what the node offers. */
export function resourceValue(
  { resource, divisor }: { resource: string; divisor?: string },
  container: Container,
  allocatable: Resources,
): string {
  const [which, name = ""] = resource.split(".", 2);
  const { requests, limits } = container.resources ?? {};
  const stated = which === "limits" ? limits?.[name] : (requests?.[name] ?? limits?.[name]);
  const offered = name === "cpu" ? allocatable.cpuMillis / 1000 : name === "memory" ? allocatable.memoryBytes : 0;
  const amount = stated === undefined ? (which === "limits" ? offered : 0) : quantity(stated);
  const unit = quantity(divisor ?? "1") || 1;
  return String(Math.ceil(Number((amount / unit).toFixed(6))));
}

/** Container ports whose number a container announces in its own PORT: they are replaced by free ones. */
export function portOfEnvironment(container: Container): number | undefined {
  const text = container.env?.findLast(({ name }) => name === "PORT")?.value ?? "";
  const port = /^\d+$/.test(text) ? Number(text) : undefined;
  return port !== undefined && container.ports?.some(({ containerPort }) => containerPort === port) === true
    ? port
    : undefined;
}

/** `8080=43121,9000=43122`. */
export function formatPortMap(ports: ReadonlyMap<number, number>): string {
  return [...ports].map(([from, to]) => `${from}=${to}`).join(",");
}

/** What to run: a container's `command` replaces the image's, its `args` come after whichever it is. */
export function commandLine(
  image: { command: readonly string[] },
  container: Container,
  env: Readonly<Record<string, string>>,
): string[] {
  const own = container.command ?? [];
  const args = container.args ?? [];
  return [...(own.length > 0 ? own : image.command), ...args].map((part) => expand(part, env));
}

const namespaceOf = (pod: Pod): string => pod.metadata.namespace ?? "default";
