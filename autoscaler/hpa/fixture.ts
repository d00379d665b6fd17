/** For tests: a PodAutoscaler of the hpa class. */
import type { PodAutoscaler } from "../../api/autoscaling.ts";

/** Keys without their prefix. */
export const autoscalingAnnotations = (of: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(of).map(([key, value]) => [`autoscaling.knative.dev/${key}`, value]));

export function podAutoscaler(
  annotations: Record<string, string> = {},
  more: Partial<PodAutoscaler> & { reachability?: "Reachable" | "Unreachable" } = {},
): PodAutoscaler {
  const { reachability = "Reachable", ...rest } = more;
  return {
    apiVersion: "autoscaling.internal.knative.dev/v1alpha1",
    kind: "PodAutoscaler",
    metadata: {
      name: "hello-00001",
      namespace: "default",
      uid: "uid-of-pa",
      generation: 1,
      labels: { "serving.knative.dev/revision": "hello-00001" },
      annotations: autoscalingAnnotations({ class: "hpa.autoscaling.knative.dev", ...annotations }),
    },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "hello-00001-deployment" },
      protocolType: "http1",
      reachability,
    },
    ...rest,
  };
}
