/** The HorizontalPodAutoscaler of a PodAutoscaler of the hpa class (spec: autoscaling 5.3). Pure. */
import {
  autoscalingAnnotation,
  findAnnotation,
  type Annotations,
  type RevisionScaling,
  type Spellings,
} from "../../api/autoscaling-annotations.ts";
import { int32Max, parseFloat64 } from "../../api/autoscaling-config.ts";
import type { PodAutoscaler } from "../../api/autoscaling.ts";
import { parseDuration } from "../../api/duration.ts";
import {
  horizontalPodAutoscalers,
  type HorizontalPodAutoscaler,
  type HorizontalPodAutoscalerSpec,
  type MetricSpec,
  type ScalingRules,
} from "../../api/horizontal-pod-autoscaler.ts";
import { apiVersionOf } from "../../api/meta.ts";
import { formatQuantity } from "../../api/quantity.ts";
import { controllerReference } from "../../kube/write.ts";
import { scaleBounds } from "../scale-to-zero.ts";
import { isReachable } from "../status.ts";

const nano = 1_000_000_000n;
const bytesPerMebibyte = 2n ** 20n;

export function makeHorizontalPodAutoscaler(pa: PodAutoscaler, scaling: RevisionScaling): HorizontalPodAutoscaler {
  const { annotations } = pa.metadata;
  const { apiVersion, kind, name } = pa.spec.scaleTargetRef;
  const { min, max } = scaleBounds(scaling, isReachable(pa));
  const metric = metricSpec(annotations);
  const windowMs = read(annotations, autoscalingAnnotation.window, parseDuration);
  const rules = windowMs === undefined ? undefined : { stabilizationWindowSeconds: Math.trunc(windowMs / 1000) };
  return {
    apiVersion: apiVersionOf(horizontalPodAutoscalers),
    kind: horizontalPodAutoscalers.kind,
    metadata: {
      name: pa.metadata.name!,
      namespace: pa.metadata.namespace!,
      labels: { ...pa.metadata.labels },
      annotations: { ...annotations },
      ownerReferences: [controllerReference(pa)],
    },
    spec: {
      scaleTargetRef: { apiVersion, kind, name },
      // Kubernetes' own bound is 1: no HorizontalPodAutoscaler scales to zero.
      ...(min > 0 ? { minReplicas: min } : {}),
      maxReplicas: max > 0 ? max : int32Max,
      ...(metric === undefined ? {} : { metrics: [metric] }),
      ...(rules === undefined ? {} : { behavior: { scaleUp: rules, scaleDown: { ...rules } } }),
    },
  };
}

/** undefined without a target: what Kubernetes does then is what the cluster wants. */
function metricSpec(annotations: Annotations): MetricSpec | undefined {
  const target = read(annotations, autoscalingAnnotation.target, parseFloat64);
  if (target === undefined) return undefined;
  const name = annotations?.[autoscalingAnnotation.metric[0]] || "cpu";
  if (name === "cpu") {
    const averageUtilization = Math.min(Math.ceil(target), int32Max);
    return { type: "Resource", resource: { name, target: { type: "Utilization", averageUtilization } } };
  }
  const whole = BigInt(Math.trunc(target)) * nano;
  if (name === "memory") {
    const averageValue = formatQuantity({ nano: whole * bytesPerMebibyte, format: "binary" });
    return { type: "Resource", resource: { name, target: { type: "AverageValue", averageValue } } };
  }
  const averageValue = formatQuantity({ nano: whole, format: "decimal" });
  return { type: "Pods", pods: { metric: { name }, target: { type: "AverageValue", averageValue } } };
}

/** What cannot be read counts as absent: the webhook has refused it already. */
function read<T>(annotations: Annotations, names: Spellings, parse: (text: string) => T | undefined): T | undefined {
  const found = findAnnotation(annotations, names);
  return found === undefined ? undefined : parse(found.value.trim());
}

/**
 * What to store in place of `found`: `found` itself when it says the same as `wanted` once the server has filled both
 * in, so that its defaults are no difference and a change made by hand is one.
 */
export function settledSpec(
  found: HorizontalPodAutoscalerSpec,
  wanted: HorizontalPodAutoscalerSpec,
): HorizontalPodAutoscalerSpec {
  return covers(filledIn(found), filledIn(wanted))
    ? found
    : { minReplicas: undefined, metrics: undefined, behavior: undefined, ...wanted };
}

const percent = { type: "Percent", value: 100, periodSeconds: 15 } as const;
const scaleUpRules: ScalingRules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: "Max",
  policies: [{ type: "Pods", value: 4, periodSeconds: 15 }, percent],
};
const scaleDownRules: ScalingRules = { selectPolicy: "Max", policies: [percent] };
const cpuAtEighty: MetricSpec = {
  type: "Resource",
  resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } },
};

/** As Kubernetes defaults it: absent members, and both rules where there is a behaviour. */
function filledIn({
  scaleTargetRef,
  minReplicas,
  maxReplicas,
  metrics,
  behavior,
}: HorizontalPodAutoscalerSpec): object {
  return {
    scaleTargetRef,
    minReplicas: minReplicas ?? 1,
    maxReplicas,
    metrics: metrics === undefined || metrics.length === 0 ? [cpuAtEighty] : metrics,
    behavior: {
      scaleUp: { ...scaleUpRules, ...behavior?.scaleUp },
      scaleDown: { ...scaleDownRules, ...behavior?.scaleDown },
    },
  };
}

/** Whether `found` has all that `wanted` has; members that only a newer server knows are its own. */
function covers(found: unknown, wanted: unknown): boolean {
  if (typeof wanted !== "object" || wanted === null) return found === wanted;
  if (typeof found !== "object" || found === null) return false;
  if (Array.isArray(wanted))
    return (
      Array.isArray(found) && found.length === wanted.length && wanted.every((item, at) => covers(found[at], item))
    );
  return Object.entries(wanted).every(([name, value]) => covers((found as Record<string, unknown>)[name], value));
}
