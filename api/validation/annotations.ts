/** Annotations of a revision template and of the kinds above and below it (spec: serving-api 2.6, 2.7). */
import { validateAutoscalingAnnotations } from "../autoscaling-annotations.ts";
import { parseFloat64, type AutoscalerConfig } from "../autoscaling-config.ts";
import { parseDuration } from "../duration.ts";
import { annotation, autoscalingPrefix } from "../keys.ts";
import { parseQuantity } from "../quantity.ts";
import { at, type Problems } from "./problems.ts";

type Annotations = Readonly<Record<string, string>> | undefined;

const networkingPrefix = "networking.knative.dev/";
const knownNetworking = new Set(
  [
    ..."ingress.class ingress-class certificate.class certificate-class httpOption http-protocol".split(" "),
    ..."disable-external-domain-tls disableAutoTLS disable-auto-tls".split(" "),
  ].map((name) => networkingPrefix + name),
);
const sidecarPrefix = "queue.sidecar.serving.knative.dev/";
const sidecarQuantities = ["cpu", "memory", "ephemeral-storage"].flatMap((resource) =>
  ["request", "limit"].map((kind) => `${sidecarPrefix}${resource}-resource-${kind}`),
);
const sidecarPercentages = [`${sidecarPrefix}resource-percentage`, `${sidecarPrefix}resourcePercentage`];

export function validateScaling(
  problems: Problems,
  annotations: Annotations,
  config: AutoscalerConfig,
  path: string,
): void {
  for (const { message, paths, details } of validateAutoscalingAnnotations(annotations, config))
    problems.add(
      message,
      paths.map((key) => at(path, key)),
      details,
    );
}

export function validateNetworking(problems: Problems, annotations: Annotations, path: string): void {
  for (const key of Object.keys(annotations ?? {}))
    if (key.startsWith(networkingPrefix) && !knownNetworking.has(key)) problems.invalidKey(key, path);
}

/** Resources of queue-proxy. */
export function validateSidecarResources(problems: Problems, annotations: Annotations, path: string): void {
  const percentageKey = sidecarPercentages.find((key) => annotations?.[key] !== undefined);
  if (percentageKey !== undefined) {
    const text = annotations![percentageKey]!;
    const percentage = parseFloat64(text);
    problems.warn(
      "Queue proxy resource percentage annotation is deprecated. Please use the available annotations to explicitly set resource values per service",
      [],
    );
    const here = `${path}.[${percentageKey}]`;
    if (percentage === undefined) problems.invalid(text, here);
    else if (percentage < 0.1 || percentage > 100) problems.outOfBounds(percentage, 0.1, 100, here);
  }
  for (const key of sidecarQuantities) {
    const text = annotations?.[key];
    if (text !== undefined && parseQuantity(text) === undefined) problems.invalid(text, `${path}.[${key}]`);
  }
}

export const validateProgressDeadline = (problems: Problems, annotations: Annotations, path: string): void =>
  wholeSeconds(problems, annotations, [annotation.progressDeadline], "progress-deadline", path);

export const validateRollout = (problems: Problems, annotations: Annotations, path: string): void =>
  wholeSeconds(
    problems,
    annotations,
    [annotation.rolloutDuration, "serving.knative.dev/rolloutDuration"],
    "rollout-duration",
    path,
  );

/** A duration of whole seconds, 0 or more, under the first of `keys` that is present; "" says nothing. */
function wholeSeconds(
  problems: Problems,
  annotations: Annotations,
  keys: readonly string[],
  label: string,
  path: string,
): void {
  const key = keys.find((name) => annotations?.[name] !== undefined);
  const value = key === undefined ? "" : annotations![key]!;
  if (key === undefined || value === "") return;
  const durationMs = parseDuration(value);
  if (durationMs === undefined) problems.invalid(value, at(path, key));
  else if (durationMs % 1000 !== 0) problems.add(`${label}=${value} is not at second precision`, at(path, key));
  else if (durationMs < 0) problems.add(`${label}=${value} must be positive`, at(path, key));
}

/** Scaling is a revision's affair: on anything above it these annotations would do nothing. */
export function refuseScaling(problems: Problems, annotations: Annotations, path: string): void {
  for (const key of Object.keys(annotations ?? {}))
    if (key.startsWith(autoscalingPrefix))
      problems.invalidKey(
        key,
        path,
        'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
      );
}
