/** The kinds that the controllers write to each other (spec: serving-api 1.7 to 1.9, 2.9). */
import type { Metric, PodAutoscaler } from "../autoscaling.ts";
import type { KubeObject } from "../meta.ts";
import type { IngressPath, IngressRule, IngressSplit, KIngress, ServerlessService } from "../networking.ts";
import { validateNetworking, validateScaling } from "./annotations.ts";
import { validateName } from "./object-meta.ts";
import { at, type Problems } from "./problems.ts";
import { validateObjectReference } from "./references.ts";
import { validateConcurrency, type ValidationConfig } from "./revision-template.ts";

/** What the types promise, the request need not keep. */
type Loose<T> = { [K in keyof T]?: T[K] | null };

const isEmpty = (object: object | undefined | null): boolean => Object.keys(object ?? {}).length === 0;

export function validatePodAutoscaler(problems: Problems, object: KubeObject, config: ValidationConfig): void {
  const { metadata } = object;
  const spec = (object as PodAutoscaler).spec as Loose<PodAutoscaler["spec"]> | undefined;
  validateName(problems, metadata);
  validateScaling(problems, metadata.annotations, config.autoscaler, "metadata.annotations");
  if (spec === undefined || isEmpty(spec)) {
    problems.missing("spec");
    return;
  }
  validateObjectReference(problems, spec.scaleTargetRef ?? undefined, "spec.scaleTargetRef");
  validateConcurrency(problems, spec.containerConcurrency ?? 0, config.defaults, "spec");
  validateProtocol(problems, spec.protocolType);
}

export function validateMetric(problems: Problems, object: KubeObject, config: ValidationConfig): void {
  validateName(problems, object.metadata);
  validateScaling(problems, object.metadata.annotations, config.autoscaler, "metadata.annotations");
  const { stableWindow = 0, panicWindow = 0, scrapeTarget = "" } = (object as Partial<Metric>).spec ?? {};
  if (stableWindow === 0 && panicWindow === 0 && scrapeTarget === "") problems.missing("spec");
}

export function validateServerlessService(problems: Problems, object: KubeObject): void {
  // As in Knative: the path lacks `metadata`.
  validateNetworking(problems, object.metadata.annotations, "annotations");
  const spec = (object as ServerlessService).spec as Loose<ServerlessService["spec"]> | undefined;
  if (spec === undefined || isEmpty(spec)) {
    problems.missing("spec");
    return;
  }
  const mode: string = spec.mode ?? "";
  if (mode === "") problems.missing("spec.mode");
  else if (mode !== "Serve" && mode !== "Proxy") problems.invalid(mode, "spec.mode");
  const { numActivators } = spec;
  if (typeof numActivators === "number" && numActivators < 0) problems.invalid(numActivators, "spec.numActivators");
  validateObjectReference(problems, spec.objectRef ?? undefined, "spec.objectRef");
  validateProtocol(problems, spec.protocolType);
}

function validateProtocol(problems: Problems, protocol: string | undefined | null): void {
  if ((protocol ?? "") === "") problems.missing("spec.protocolType");
  else if (protocol !== "http1" && protocol !== "h2c") problems.invalid(protocol, "spec.protocolType");
}

export function validateIngress(problems: Problems, object: KubeObject): void {
  const { spec, metadata } = object as Partial<KIngress> & KubeObject;
  if (spec === undefined || isEmpty(spec)) {
    problems.missing("spec");
    return;
  }
  const { rules = [], tls = [], httpOption = "" } = spec;
  if (rules.length === 0) problems.missing("spec.rules");
  for (const [index, rule] of rules.entries())
    validateRule(problems, rule, metadata.namespace ?? "", at("spec.rules", index));
  for (const [index, entry] of tls.entries()) {
    const here = at("spec.tls", index);
    if (isEmpty(entry)) problems.missing(here);
    else
      for (const field of ["secretName", "secretNamespace"] as const)
        if (((entry as Loose<typeof entry>)[field] ?? "") === "") problems.missing(at(here, field));
  }
  if (!["", "Enabled", "Redirected"].includes(httpOption)) problems.invalid(httpOption, "spec.httpOption");
}

function validateRule(problems: Problems, rule: IngressRule, namespace: string, path: string): void {
  const { http } = rule as Loose<IngressRule>;
  const paths = (http as Loose<IngressRule["http"]> | null | undefined)?.paths ?? [];
  if (isEmpty(rule)) problems.missing(path);
  else if (http === undefined || http === null) problems.missing(at(path, "http"));
  else if (paths.length === 0) problems.missing(at(path, "http.paths"));
  for (const [index, each] of paths.entries())
    validatePath(problems, each, namespace, at(at(path, "http.paths"), index));
}

function validatePath(problems: Problems, each: IngressPath, namespace: string, path: string): void {
  if (isEmpty(each)) {
    problems.missing(path);
    return;
  }
  const splits = (each as Loose<IngressPath>).splits ?? [];
  const splitsPath = at(path, "splits");
  if (splits.length === 0) problems.missing(splitsPath);
  let sum = 0;
  for (const [index, split] of splits.entries()) {
    // The first bad one says enough: the sum would mislead.
    if (validateSplit(problems, split, namespace, at(splitsPath, index))) return;
    sum += split.percent ?? 0;
  }
  if (splits.length > 0 && sum !== 100 && !(splits.length === 1 && sum === 0))
    problems.add(`traffic split percentage must total to 100, but was ${sum}`, splitsPath);
}

/** True when it found something. */
function validateSplit(problems: Problems, split: IngressSplit, namespace: string, path: string): boolean {
  const { serviceNamespace, serviceName, servicePort, percent = 0 } = split as Partial<IngressSplit>;
  const before = problems.count;
  if (percent < 0 || percent > 100) problems.invalid(percent, at(path, "percent"));
  if ((serviceNamespace ?? "") === "" && (serviceName ?? "") === "" && servicePort === undefined)
    problems.missing(path);
  else {
    if ((serviceNamespace ?? "") === "") problems.missing(at(path, "serviceNamespace"));
    else if (serviceNamespace !== namespace)
      problems.add("service namespace must match ingress namespace", at(path, "serviceNamespace"));
    if ((serviceName ?? "") === "") problems.missing(at(path, "serviceName"));
    if (servicePort === undefined || servicePort === 0) problems.missing(at(path, "servicePort"));
  }
  return problems.count > before;
}

export function validateCertificate(problems: Problems, object: KubeObject): void {
  const { spec = {} } = object as KubeObject & { spec?: { dnsNames?: string[]; secretName?: string; domain?: string } };
  const { dnsNames = [], secretName = "", domain = "" } = spec;
  if (dnsNames.length === 0) problems.missing("spec.dnsNames");
  for (const [index, name] of dnsNames.entries()) if (name === "") problems.invalid("", at("spec.dnsNames", index));
  if (secretName === "") problems.missing("spec.secretName");
  const covers = dnsNames.some((name) => name === domain || name.endsWith(`.${domain}`));
  // As in Knative: the sentence sits in the path.
  if (domain !== "" && dnsNames.length > 0 && !covers)
    problems.invalid(
      "domain",
      at("spec", "domain must be a suffix of, or match exactly, at least one entry in dnsNames"),
    );
}
