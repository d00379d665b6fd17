/** Security contexts of pods and containers (spec: serving-api 2.1, 2.2, 2.6, 3.3). */
import type { Features } from "../features.ts";
import type { RevisionSpec } from "../serving.ts";
import { mask } from "./field-mask.ts";
import { at, type Problems } from "./problems.ts";

type Context = Readonly<Record<string, unknown>> | undefined;

const maxId = 2_147_483_647;
const containerFields = [
  ..."capabilities readOnlyRootFilesystem runAsUser runAsGroup runAsNonRoot allowPrivilegeEscalation".split(" "),
  "seccompProfile",
];
const podFields = "runAsUser runAsGroup runAsNonRoot fsGroup supplementalGroups seccompProfile".split(" ");

export function validatePodSecurity(problems: Problems, context: Context, features: Features, path: string): void {
  if (context === undefined) return;
  const allowed = features.securityContext !== "Disabled" ? podFields : [];
  // Those who want the secure defaults may still say no to one of them.
  const { type } = (context["seccompProfile"] ?? {}) as { type?: string };
  const optsOut = features.securePodDefaults !== "Disabled" && (type === "RuntimeDefault" || type === "Unconfined");
  mask(problems, context, optsOut ? [...allowed, "seccompProfile"] : allowed, path);
  validateIds(problems, context, ["runAsUser", "runAsGroup", "fsGroup"], path);
  for (const [index, group] of ((context["supplementalGroups"] ?? []) as number[]).entries())
    if (group < 0 || group > maxId) problems.outOfBounds(group, 0, maxId, at(at(path, "supplementalGroups"), index));
}

export function validateContainerSecurityFields(
  problems: Problems,
  context: Context,
  features: Features,
  path: string,
): void {
  if (context === undefined) return;
  const allowed = context["privileged"] === false ? [...containerFields, "privileged"] : containerFields;
  mask(problems, context, allowed, path);
  const { capabilities } = context as { capabilities?: { add?: string[] } };
  const bindsLowPort = capabilities?.add?.length === 1 && capabilities.add[0] === "NET_BIND_SERVICE";
  const mayAdd = features.addCapabilities === "Enabled" || (features.securePodDefaults !== "Disabled" && bindsLowPort);
  mask(problems, capabilities, mayAdd ? ["drop", "add"] : ["drop"], at(path, "capabilities"));
}

export const validateContainerUser = (problems: Problems, context: Context, path: string): void =>
  validateIds(problems, context, ["runAsUser", "runAsGroup"], path);

function validateIds(problems: Problems, context: Context, fields: readonly string[], path: string): void {
  for (const field of fields) {
    const value = context?.[field];
    if (typeof value === "number" && (value < 0 || value > maxId))
      problems.outOfBounds(value, 0, maxId, at(path, field));
  }
}

/** For every container what Kubernetes would leave open. Not for those who asked for secure defaults. */
export function warnOfInsecureDefaults(problems: Problems, spec: RevisionSpec, features: Features, path: string): void {
  if (features.securePodDefaults !== "Disabled") return;
  const pod = spec.securityContext ?? {};
  for (const list of ["containers", "initContainers"] as const)
    for (const [index, container] of (spec[list] ?? []).entries())
      warnOf(problems, container.securityContext ?? {}, pod, at(at(at(path, list), index), "securityContext"));
}

function warnOf(problems: Problems, own: NonNullable<Context>, pod: NonNullable<Context>, path: string): void {
  const warn = (field: string): void =>
    problems.warn(
      "Kubernetes default value is insecure, Knative may default this to secure in a future release",
      at(path, field),
    );
  if (own["runAsNonRoot"] === undefined && pod["runAsNonRoot"] === undefined) warn("runAsNonRoot");
  if (own["allowPrivilegeEscalation"] === undefined) warn("allowPrivilegeEscalation");
  const profiles = [own["seccompProfile"], pod["seccompProfile"]] as ({ type?: string } | undefined)[];
  if (profiles.every((profile) => profile === undefined)) warn("seccompProfile");
  else if (profiles.every((profile) => (profile?.type ?? "") === "")) warn("seccompProfile.type");
  const capabilities = own["capabilities"] as { drop?: string[] } | undefined;
  if (capabilities === undefined) warn("capabilities");
  else if (capabilities.drop === undefined) warn("capabilities.drop");
  else if (capabilities.drop[0] === "all")
    problems.warn("invalid value: all", at(path, "capabilities.drop"), "Must be spelled as 'ALL'");
}
