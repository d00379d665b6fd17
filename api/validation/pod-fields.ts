/** Which fields of a PodSpec a Revision may set, given the flags (spec: serving-api 2.1, 2.2). */
import type { Features } from "../features.ts";
import type { Container } from "../core.ts";
import { mask } from "./field-mask.ts";
import { at, type Problems } from "./problems.ts";
import { validateContainerSecurityFields } from "./security.ts";

const always = ["serviceAccountName", "containers", "volumes", "imagePullSecrets", "enableServiceLinks"];
/** The Revision's own. */
const revisionFields = ["containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds", "idleTimeoutSeconds"];

/** Fields that pass when the flag of the same name is Enabled or Allowed. */
const flagged = [
  ..."affinity topologySpreadConstraints hostAliases nodeSelector tolerations runtimeClassName".split(" "),
  ..."dnsPolicy dnsConfig securityContext shareProcessNamespace hostIPC hostPID hostNetwork".split(" "),
  ..."priorityClassName schedulerName initContainers".split(" "),
] as (keyof Features)[];

const containerFields = [
  ..."name image imagePullPolicy command args workingDir env envFrom ports resources securityContext".split(" "),
  ..."livenessProbe readinessProbe startupProbe terminationMessagePath terminationMessagePolicy".split(" "),
  "volumeMounts",
];

export function validatePodFields(problems: Problems, spec: object, features: Features, path: string): void {
  const allowed: string[] = [
    ...always,
    ...revisionFields,
    ...flagged.filter((field) => features[field] !== "Disabled"),
    ...(features.securePodDefaults === "Disabled" ? [] : ["securityContext"]),
  ];
  const { automountServiceAccountToken } = spec as { automountServiceAccountToken?: boolean };
  if (automountServiceAccountToken === false) allowed.push("automountServiceAccountToken");
  mask(problems, spec, allowed, path);
}

export function validateContainerFields(
  problems: Problems,
  container: Container,
  features: Features,
  path: string,
): void {
  mask(problems, container, containerFields, path);
  mask(problems, container.resources, ["limits", "requests"], at(path, "resources"));
  validateContainerSecurityFields(problems, container.securityContext, features, at(path, "securityContext"));
}
