/** One validating function per kind that the webhook is asked about (spec: serving-api 2). */
import { sameValue } from "../equality.ts";
import { label } from "../keys.ts";
import type { KubeObject } from "../meta.ts";
import type { Configuration, DomainMapping, KService, Revision, RevisionTemplateSpec, Route } from "../serving.ts";
import { storedSpec, storedTemplate } from "../stored-form.ts";
import { refuseScaling, validateRollout, validateScaling } from "./annotations.ts";
import { fieldChanges } from "./field-changes.ts";
import {
  validateCertificate,
  validateIngress,
  validateMetric,
  validatePodAutoscaler,
  validateServerlessService,
} from "./internal-kinds.ts";
import { domainProblem } from "./names.ts";
import { validateName, validateOwnerLabel, validateUserAnnotations } from "./object-meta.ts";
import { Problems } from "./problems.ts";
import { validateKReference } from "./references.ts";
import { validateRevisionSpec, validateTemplate, type ValidationConfig } from "./revision-template.ts";
import { validateTraffic } from "./traffic.ts";

export interface ValidationRequest {
  object: KubeObject;
  /** On updates. */
  old?: KubeObject;
  /** "" or `status`. */
  subresource: string;
  clusterDomain: string;
}

type Validate = (problems: Problems, request: ValidationRequest, config: ValidationConfig) => void;

const metadataAnnotations = "metadata.annotations";

const service: Validate = (problems, request, config) => {
  const object = inStoredForm(request.object as KService);
  const old = request.old === undefined ? undefined : inStoredForm(request.old as KService);
  const { metadata } = object;
  validateName(problems, metadata);
  refuseScaling(problems, metadata.annotations, metadataAnnotations);
  validateRollout(problems, metadata.annotations, metadataAnnotations);
  validateUserAnnotations(problems, object, old);
  validateTemplate(problems, object.spec?.template, metadata, config, "spec.template");
  validateNameChange(problems, object.spec?.template, old?.spec?.template);
  validateTraffic(problems, object.spec?.traffic ?? [], "Service", "spec.traffic");
};

const configuration: Validate = (problems, request, config) => {
  const object = inStoredForm(request.object as Configuration);
  const old = request.old === undefined ? undefined : inStoredForm(request.old as Configuration);
  const { metadata } = object;
  validateName(problems, metadata);
  refuseScaling(problems, metadata.annotations, metadataAnnotations);
  validateOwnerLabel(problems, object, label.service, "Service");
  if (!isOwned(object)) validateUserAnnotations(problems, object, old);
  validateTemplate(problems, object.spec?.template, metadata, config, "spec.template");
  validateNameChange(problems, object.spec?.template, old?.spec?.template);
};

const route: Validate = (problems, { object, old }) => {
  const { spec, metadata } = object as Partial<Route> & KubeObject;
  validateName(problems, metadata);
  refuseScaling(problems, metadata.annotations, metadataAnnotations);
  validateOwnerLabel(problems, object, label.service, "Service");
  validateRollout(problems, metadata.annotations, metadataAnnotations);
  if (!isOwned(object)) validateUserAnnotations(problems, object, old);
  validateTraffic(problems, spec?.traffic ?? [], "Route", "spec.traffic");
};

const revision: Validate = (problems, request, config) => {
  const object = request.object as Partial<Revision> & KubeObject;
  const spec = storedSpec(object.spec ?? { containers: [] });
  const before = (request.old as Revision | undefined)?.spec;
  if (before !== undefined) {
    const changes = fieldChanges(storedSpec(before), spec, "{v1.RevisionSpec}");
    // Whatever else may be wrong, this comes first.
    if (changes !== "") {
      problems.add("Immutable fields changed (-old +new)", "spec", changes);
      return;
    }
  }
  validateName(problems, object.metadata);
  validateOwnerLabel(problems, object, label.configuration, "Configuration");
  validateScaling(problems, object.metadata.annotations, config.autoscaler, metadataAnnotations);
  if (request.old === undefined) validateRevisionSpec(problems, spec, config, "spec");
};

const domainMapping: Validate = (problems, { object, old, clusterDomain }) => {
  const { metadata, spec } = object as Partial<DomainMapping> & KubeObject;
  const { name = "", generateName = "", namespace = "" } = metadata;
  const quoted = JSON.stringify(name);
  if (generateName !== "") problems.forbidden("metadata.generateName");
  const problem = domainProblem(name);
  if (problem !== undefined) problems.add(`invalid name ${quoted}: ${problem}`, "metadata.name");
  if (name.endsWith(`.${clusterDomain}`))
    problems.add(
      `invalid name ${quoted}: must not be a subdomain of cluster local domain ${JSON.stringify(clusterDomain)}`,
      "metadata.name",
    );
  validateUserAnnotations(problems, object, old);
  validateKReference(problems, spec?.ref, namespace, "spec.ref");
};

const isOwned = ({ metadata }: KubeObject): boolean => (metadata.ownerReferences ?? []).length > 0;

function inStoredForm<T extends KService | Configuration>(object: T): T {
  const template = object.spec?.template as RevisionTemplateSpec | undefined;
  if (template === undefined) return object;
  return { ...object, spec: { ...object.spec, template: storedTemplate(template) } };
}

/** A template that names its Revision is that Revision's for good. */
function validateNameChange(
  problems: Problems,
  wanted: RevisionTemplateSpec | undefined,
  before: RevisionTemplateSpec | undefined,
): void {
  const name = wanted?.metadata?.name ?? "";
  if (name === "" || before?.metadata?.name !== name || sameValue(wanted, before)) return;
  problems.add(
    "Saw the following changes without a name change (-old +new)",
    "spec.template.metadata.name",
    fieldChanges(before, wanted, "{*v1.RevisionTemplateSpec}"),
  );
}

/** `group/Kind` → its rules. */
const validators: Readonly<Record<string, Validate>> = {
  "serving.knative.dev/Service": service,
  "serving.knative.dev/Configuration": configuration,
  "serving.knative.dev/Route": route,
  "serving.knative.dev/Revision": revision,
  "serving.knative.dev/DomainMapping": domainMapping,
  "autoscaling.internal.knative.dev/PodAutoscaler": (problems, { object }, config) =>
    validatePodAutoscaler(problems, object, config),
  "autoscaling.internal.knative.dev/Metric": (problems, { object }, config) => validateMetric(problems, object, config),
  "networking.internal.knative.dev/Ingress": (problems, { object }) => validateIngress(problems, object),
  "networking.internal.knative.dev/ServerlessService": (problems, { object }) =>
    validateServerlessService(problems, object),
  "networking.internal.knative.dev/Certificate": (problems, { object }) => validateCertificate(problems, object),
};

/**
 * Everything that is wrong with the object; kinds that are not ours have nothing wrong. An update of the status cannot
 * touch the rest, and rules that have become stricter since must not stop the controllers' writes.
 */
export function validate(request: ValidationRequest, config: ValidationConfig): Problems {
  const problems = new Problems();
  const { apiVersion, kind } = request.object;
  const group = apiVersion.slice(0, apiVersion.indexOf("/"));
  if (request.subresource !== "status") validators[`${group}/${kind}`]?.(problems, request, config);
  return problems;
}
