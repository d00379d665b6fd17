/** autoscaling.internal.knative.dev/v1alpha1: PodAutoscaler, Metric. */
import type { KubeObject, Resource } from "./meta.ts";
import type { KnativeStatus } from "./serving.ts";

export interface PodAutoscaler extends KubeObject {
  spec: {
    containerConcurrency?: number;
    scaleTargetRef: { apiVersion: string; kind: string; name: string };
    reachability?: "" | "Reachable" | "Unreachable";
    protocolType: "http1" | "h2c";
  };
  status?: KnativeStatus & {
    serviceName?: string;
    metricsServiceName?: string;
    /** -1 while unknown. */
    desiredScale?: number;
    actualScale?: number;
  };
}

export interface Metric extends KubeObject {
  spec: {
    /** Nanoseconds. */
    stableWindow: number;
    /** Nanoseconds. */
    panicWindow: number;
    scrapeTarget: string;
  };
  status?: KnativeStatus;
}

const group = "autoscaling.internal.knative.dev";
export const podAutoscalers: Resource = {
  group,
  version: "v1alpha1",
  plural: "podautoscalers",
  kind: "PodAutoscaler",
  namespaced: true,
};
export const metrics: Resource = { group, version: "v1alpha1", plural: "metrics", kind: "Metric", namespaced: true };
export const images: Resource = {
  group: "caching.internal.knative.dev",
  version: "v1alpha1",
  plural: "images",
  kind: "Image",
  namespaced: true,
};
