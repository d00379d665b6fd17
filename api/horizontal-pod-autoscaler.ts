/** autoscaling/v2 HorizontalPodAutoscaler: what is written to it, and what its controller tells. */
import type { KubeObject, Resource } from "./meta.ts";

export interface MetricTarget {
  type: "Utilization" | "AverageValue" | "Value";
  /** Percent of what the containers request. */
  averageUtilization?: number;
  /** A quantity, per pod. */
  averageValue?: string;
  value?: string;
}

export interface MetricSpec {
  type: "Resource" | "Pods" | "ContainerResource" | "Object" | "External";
  resource?: { name: string; target: MetricTarget };
  pods?: { metric: { name: string }; target: MetricTarget };
}

export interface ScalingRules {
  stabilizationWindowSeconds?: number;
  selectPolicy?: "Max" | "Min" | "Disabled";
  policies?: { type: "Pods" | "Percent"; value: number; periodSeconds: number }[];
}

export interface HorizontalPodAutoscalerSpec {
  scaleTargetRef: { apiVersion: string; kind: string; name: string };
  /** Absent: 1. */
  minReplicas?: number | undefined;
  maxReplicas: number;
  /** Absent: cpu at 80 %. */
  metrics?: MetricSpec[] | undefined;
  behavior?: { scaleUp?: ScalingRules; scaleDown?: ScalingRules } | undefined;
}

export interface HorizontalPodAutoscaler extends KubeObject {
  spec: HorizontalPodAutoscalerSpec;
  status?: {
    currentReplicas?: number;
    /** Stands there as 0 before the controller has looked. */
    desiredReplicas?: number;
    conditions?: { type: string; status: string; reason?: string; message?: string }[] | null;
  };
}

export const horizontalPodAutoscalers: Resource = {
  group: "autoscaling",
  version: "v2",
  plural: "horizontalpodautoscalers",
  kind: "HorizontalPodAutoscaler",
  namespaced: true,
};
