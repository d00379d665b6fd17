/** serving.knative.dev/v1: Service, Configuration, Revision, Route; v1beta1 DomainMapping. */
import type { PodSpec } from "./core.ts";
import type { KubeObject, Resource } from "./meta.ts";

/** A Knative condition: `severity` is absent for Ready and its dependents, `Info` for the others. */
export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  severity?: "Info" | "Warning";
  lastTransitionTime?: string;
  reason?: string;
  message?: string;
}

export interface KnativeStatus {
  observedGeneration?: number;
  /** Sorted by `type`. */
  conditions?: Condition[];
  annotations?: Record<string, string>;
}

export interface RevisionSpec extends PodSpec {
  containerConcurrency?: number;
  timeoutSeconds?: number;
  responseStartTimeoutSeconds?: number;
  idleTimeoutSeconds?: number;
}

export interface RevisionTemplateSpec {
  metadata?: {
    name?: string;
    generateName?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec: RevisionSpec;
}

export interface TrafficTarget {
  tag?: string;
  revisionName?: string;
  configurationName?: string;
  latestRevision?: boolean;
  percent?: number;
  url?: string;
}

export interface Addressable {
  url?: string;
  name?: string;
  CACerts?: string;
  audience?: string;
}

export interface KService extends KubeObject {
  spec: { template: RevisionTemplateSpec; traffic?: TrafficTarget[] };
  status?: KnativeStatus & {
    url?: string;
    address?: Addressable;
    traffic?: TrafficTarget[];
    latestCreatedRevisionName?: string;
    latestReadyRevisionName?: string;
  };
}

export interface Configuration extends KubeObject {
  spec: { template: RevisionTemplateSpec };
  status?: KnativeStatus & { latestCreatedRevisionName?: string; latestReadyRevisionName?: string };
}

export interface Revision extends KubeObject {
  spec: RevisionSpec;
  status?: KnativeStatus & {
    logUrl?: string;
    containerStatuses?: { name: string; imageDigest?: string }[];
    initContainerStatuses?: { name: string; imageDigest?: string }[];
    actualReplicas?: number;
    desiredReplicas?: number;
  };
}

export interface Route extends KubeObject {
  spec: { traffic?: TrafficTarget[] };
  status?: KnativeStatus & { url?: string; address?: Addressable; traffic?: TrafficTarget[] };
}

export interface DomainMapping extends KubeObject {
  spec: {
    ref: { kind: string; name: string; apiVersion?: string; namespace?: string; group?: string; address?: string };
    tls?: { secretName: string };
  };
  status?: KnativeStatus & { url?: string; address?: Addressable };
}

const group = "serving.knative.dev";
export const kServices: Resource = { group, version: "v1", plural: "services", kind: "Service", namespaced: true };
export const configurations: Resource = {
  group,
  version: "v1",
  plural: "configurations",
  kind: "Configuration",
  namespaced: true,
};
export const revisions: Resource = { group, version: "v1", plural: "revisions", kind: "Revision", namespaced: true };
export const routes: Resource = { group, version: "v1", plural: "routes", kind: "Route", namespaced: true };
export const domainMappings: Resource = {
  group,
  version: "v1beta1",
  plural: "domainmappings",
  kind: "DomainMapping",
  namespaced: true,
};
