/** The objects that a PodAutoscaler owns, as they should be (spec: serving-api 4.13). */
import { autoscalingAnnotation, type RevisionScaling } from "../api/autoscaling-annotations.ts";
import type { Metric, PodAutoscaler } from "../api/autoscaling.ts";
import type { ObjectMeta } from "../api/meta.ts";
import type { ServerlessService } from "../api/networking.ts";
import { controllerReference } from "../kube/write.ts";

const nanosecondsPerMs = 1_000_000;

function childMetadata(pa: PodAutoscaler, annotations: Record<string, string>): ObjectMeta {
  return {
    name: pa.metadata.name!,
    namespace: pa.metadata.namespace!,
    labels: { ...pa.metadata.labels },
    annotations,
    ownerReferences: [controllerReference(pa)],
  };
}

export function makeServerlessService(
  pa: PodAutoscaler,
  mode: "Serve" | "Proxy",
  numActivators: number,
): ServerlessService {
  const annotations = { ...pa.metadata.annotations };
  delete annotations[autoscalingAnnotation.metric[0]];
  const { apiVersion, kind, name } = pa.spec.scaleTargetRef;
  return {
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "ServerlessService",
    metadata: childMetadata(pa, annotations),
    spec: { mode, objectRef: { apiVersion, kind, name }, protocolType: pa.spec.protocolType, numActivators },
  };
}

/** `scrapeTarget` is the private Service, "" where nothing is to be scraped since every request passes an activator. */
export function makeMetric(pa: PodAutoscaler, scaling: RevisionScaling, privateServiceName: string): Metric {
  return {
    apiVersion: "autoscaling.internal.knative.dev/v1alpha1",
    kind: "Metric",
    metadata: childMetadata(pa, { ...pa.metadata.annotations }),
    spec: {
      stableWindow: scaling.stableWindowMs * nanosecondsPerMs,
      panicWindow: scaling.panicWindowMs * nanosecondsPerMs,
      scrapeTarget: scaling.targetBurstCapacity === -1 ? "" : privateServiceName,
    },
  };
}
