/** What the webhook fills into the spec of a Revision (spec: serving-api 3.2, 3.3). Changes the object it is given. */
import type { Container, Probe } from "../core.ts";
import type { Features } from "../features.ts";
import { childName } from "../names.ts";
import type { RevisionDefaults } from "../revision-defaults.ts";
import { hasHandler } from "../revision-shape.ts";
import type { RevisionSpec } from "../serving.ts";
import { isWritable } from "../validation/volumes.ts";

export interface DefaultingConfig {
  defaults: RevisionDefaults;
  features: Features;
}

/** `baseline`: the object before an update, given defaults only to be compared. */
export type Verb = "create" | "update" | "baseline";

/** `spec` in its stored form. `parent`: metadata of the object with the template, for the names of containers. */
export function defaultRevisionSpec(
  spec: RevisionSpec,
  { defaults, features }: DefaultingConfig,
  parent: object,
  verb: Verb,
): void {
  spec.timeoutSeconds ||= defaults.timeoutSeconds;
  // Stock values stay out of the object: only a limit that is shorter than the whole says anything.
  for (const field of ["idleTimeoutSeconds", "responseStartTimeoutSeconds"] as const)
    if (defaults[field] !== 0 && defaults[field] < spec.timeoutSeconds) spec[field] ??= defaults[field];
  spec.containerConcurrency ??= defaults.containerConcurrency;

  const { initContainers = [] } = spec;
  const containers = spec.containers ?? [];
  const taken = new Set([...containers, ...initContainers].map(({ name = "" }: Partial<Container>) => name));
  nameContainers(containers, defaults.containerName(parent), taken);
  nameContainers(initContainers, defaults.initContainerName(parent), taken);

  for (const container of containers) {
    defaultResources(container, defaults);
    if (containers.length === 1 || (container.ports?.length ?? 0) > 0) defaultReadiness(container);
    defaultProbes(container);
    readOnlyMounts(container, spec);
    secure(container, spec, features);
  }
  for (const container of initContainers) secure(container, spec, features);
  if (verb === "create" && containers.length > 0 && defaults.enableServiceLinks !== undefined)
    spec.enableServiceLinks ??= defaults.enableServiceLinks;
}

/** The plain name for a lone container that does not clash; numbered ones, skipping those taken, otherwise. */
function nameContainers(containers: readonly Container[], name: string, taken: Set<string>): void {
  let number = 0;
  for (const container of containers) {
    if (container.name) continue;
    let candidate = name;
    if (containers.length > 1 || taken.has(name)) {
      do candidate = childName(name, `-${number++}`);
      while (taken.has(candidate));
    }
    container.name = candidate;
    taken.add(candidate);
  }
}

function defaultResources(container: Container, { requests, limits }: RevisionDefaults): void {
  const resources = (container.resources ??= {});
  for (const [field, values] of Object.entries({ requests, limits }) as ["requests" | "limits", typeof limits][])
    if (Object.keys(values).length > 0) resources[field] = { ...values, ...resources[field] };
}

/** Port 0 stands for the port that requests come to. */
function defaultReadiness(container: Container): void {
  const probe: Probe = (container.readinessProbe ??= {});
  if (!hasHandler(probe)) probe.tcpSocket = { port: 0 };
}

function defaultProbes({ readinessProbe, livenessProbe, startupProbe }: Container): void {
  for (const probe of [readinessProbe, livenessProbe, startupProbe])
    if (probe?.grpc !== undefined) probe.grpc.service ??= "";
  if (readinessProbe === undefined) return;
  readinessProbe.successThreshold ||= 1;
  if ((readinessProbe.periodSeconds ?? 0) === 0) return;
  readinessProbe.failureThreshold ||= 3;
  readinessProbe.timeoutSeconds ||= 1;
}

function readOnlyMounts(container: Container, { volumes = [] }: RevisionSpec): void {
  const writable = new Set(volumes.filter(isWritable).map(({ name }) => name));
  for (const mount of container.volumeMounts ?? []) if (!writable.has(mount.name)) mount.readOnly = true;
}

function secure(container: Container, spec: RevisionSpec, { securePodDefaults }: Features): void {
  if (securePodDefaults === "Disabled") return;
  const context = (container.securityContext ??= {});
  const pod = spec.securityContext ?? {};
  context["allowPrivilegeEscalation"] ??= false;
  const typeOf = (profile: unknown): string => (profile as { type?: string } | undefined)?.type ?? "";
  if (typeOf(pod["seccompProfile"]) === "" && typeOf(context["seccompProfile"]) === "")
    context["seccompProfile"] = { ...(context["seccompProfile"] as object | undefined), type: "RuntimeDefault" };
  const bindsLowPort = (container.ports ?? []).some(({ containerPort }) => (containerPort ?? 0) < 1024);
  context["capabilities"] ??= { drop: ["ALL"], ...(bindsLowPort ? { add: ["NET_BIND_SERVICE"] } : {}) };
  if (securePodDefaults === "Enabled" && pod["runAsNonRoot"] === undefined) context["runAsNonRoot"] ??= true;
}
