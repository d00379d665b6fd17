/** The template of a Service or Configuration, and the spec of a Revision (spec: serving-api 1.5, 2). */
import type { AutoscalerConfig } from "../autoscaling-config.ts";
import type { Features } from "../features.ts";
import type { ObjectMeta } from "../meta.ts";
import type { RevisionDefaults } from "../revision-defaults.ts";
import type { RevisionSpec, RevisionTemplateSpec } from "../serving.ts";
import {
  validateNetworking,
  validateProgressDeadline,
  validateScaling,
  validateSidecarResources,
} from "./annotations.ts";
import { validateContainers } from "./containers.ts";
import { dns1035PrefixProblems, dns1035Problems, dns1123SubdomainProblems } from "./names.ts";
import { validatePodFields } from "./pod-fields.ts";
import { at, type Problems } from "./problems.ts";
import { validatePodSecurity, warnOfInsecureDefaults } from "./security.ts";
import { validateVolumes } from "./volumes.ts";

/** What validation needs to know of the platform. */
export interface ValidationConfig {
  autoscaler: AutoscalerConfig;
  defaults: RevisionDefaults;
  features: Features;
}

export function validateRevisionSpec(
  problems: Problems,
  given: RevisionSpec,
  config: ValidationConfig,
  path: string,
): void {
  const { defaults, features } = config;
  // The type promises them, an object that goes around the schema need not have them.
  const spec = { ...given, containers: given.containers ?? [] };
  const { containers, initContainers = [], volumes = [], serviceAccountName = "", timeoutSeconds } = spec;
  validatePodFields(problems, spec, features, path);
  validatePodSecurity(problems, spec.securityContext, features, at(path, "securityContext"));
  warnOfInsecureDefaults(problems, spec, features, path);
  validateVolumes(problems, volumes, [...initContainers, ...containers], features, at(path, "volumes"));
  validateContainers(problems, spec, features, path);
  if (serviceAccountName !== "")
    for (const broken of dns1123SubdomainProblems(serviceAccountName))
      problems.invalid(serviceAccountName, at(path, "serviceAccountName"), broken);
  const longest = defaults.maxTimeoutSeconds;
  if (timeoutSeconds !== undefined && timeoutSeconds !== 0 && (timeoutSeconds < 0 || timeoutSeconds > longest))
    problems.outOfBounds(timeoutSeconds, 0, longest, at(path, "timeoutSeconds"));
  validateConcurrency(problems, spec.containerConcurrency, defaults, path);
}

export function validateConcurrency(
  problems: Problems,
  concurrency: number | undefined,
  { allowContainerConcurrencyZero, containerConcurrencyMaxLimit: most }: RevisionDefaults,
  path: string,
): void {
  const least = allowContainerConcurrencyZero ? 0 : 1;
  if (concurrency !== undefined && (concurrency < least || concurrency > most))
    problems.outOfBounds(concurrency, least, most, at(path, "containerConcurrency"));
}

export function validateTemplate(
  problems: Problems,
  template: RevisionTemplateSpec | undefined,
  parent: ObjectMeta,
  config: ValidationConfig,
  path: string,
): void {
  const { metadata = {}, spec = { containers: [] } } = template ?? {};
  validateRevisionSpec(problems, spec, config, at(path, "spec"));
  const { annotations } = metadata;
  const annotationsPath = at(path, "metadata.annotations");
  validateScaling(problems, annotations, config.autoscaler, annotationsPath);
  validateNetworking(problems, annotations, annotationsPath);
  validateSidecarResources(problems, annotations, annotationsPath);
  validateProgressDeadline(problems, annotations, annotationsPath);
  validateRevisionName(problems, metadata, parent, at(path, "metadata"));
}

/** A Revision may be given a name of its own if it says whose it is. */
function validateRevisionName(
  problems: Problems,
  { name = "", generateName = "" }: { name?: string; generateName?: string },
  parent: ObjectMeta,
  path: string,
): void {
  const brokenPrefix = generateName === "" ? [] : dns1035PrefixProblems(generateName);
  if (brokenPrefix.length > 0) {
    problems.invalid(`not a DNS 1035 label prefix: [${brokenPrefix.join(" ")}]`, at(path, "generateName"));
    return;
  }
  if (name === "") return;
  const broken = dns1035Problems(name);
  const { name: parentName = "", generateName: parentPrefix = "" } = parent;
  if (broken.length > 0) problems.invalid(`not a DNS 1035 label: [${broken.join(" ")}]`, at(path, "name"));
  // The parent's own name is not known yet, so no name can start with it.
  else if (parentName === "" && parentPrefix !== "") problems.forbidden(at(path, "name"));
  else if (!name.startsWith(`${parentName}-`))
    problems.invalid(`${JSON.stringify(name)} must have prefix ${JSON.stringify(`${parentName}-`)}`, at(path, "name"));
}
