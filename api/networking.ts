/** networking.internal.knative.dev/v1alpha1: Ingress (KIngress), ServerlessService. */
import type { KubeObject, Resource } from "./meta.ts";
import type { KnativeStatus } from "./serving.ts";

export interface IngressSplit {
  serviceNamespace: string;
  serviceName: string;
  servicePort: number | string;
  percent?: number;
  appendHeaders?: Record<string, string>;
}

export interface IngressPath {
  /** A literal prefix; absent or "" matches everything. */
  path?: string;
  rewriteHost?: string;
  /** All must match. */
  headers?: Record<string, { exact: string }>;
  splits: IngressSplit[];
  appendHeaders?: Record<string, string>;
}

export interface IngressRule {
  hosts?: string[];
  visibility?: "ExternalIP" | "ClusterLocal";
  http: { paths: IngressPath[] };
}

export interface LoadBalancerStatus {
  ingress?: { ip?: string; domain?: string; domainInternal?: string; meshOnly?: boolean }[];
}

export interface KIngress extends KubeObject {
  spec: {
    httpOption?: "" | "Enabled" | "Redirected";
    tls?: { hosts?: string[]; secretName: string; secretNamespace: string }[];
    rules?: IngressRule[];
  };
  status?: KnativeStatus & { publicLoadBalancer?: LoadBalancerStatus; privateLoadBalancer?: LoadBalancerStatus };
}

export interface ServerlessService extends KubeObject {
  spec: {
    mode: "Serve" | "Proxy";
    objectRef: { apiVersion: string; kind: string; name: string };
    protocolType: "http1" | "h2c";
    /** 0 = all. */
    numActivators?: number;
  };
  status?: KnativeStatus & { serviceName?: string; privateServiceName?: string };
}

export interface Certificate extends KubeObject {
  spec: {
    dnsNames: string[];
    /** Equal to, or a suffix of, one of the names. */
    domain?: string;
    /** Where the key pair is put, in the same namespace. */
    secretName: string;
  };
  status?: KnativeStatus & {
    notAfter?: string;
    http01Challenges?: { url: string; serviceName: string; serviceNamespace: string; servicePort: number | string }[];
  };
}

/** Named as the domain that it reserves for one namespace. */
export interface ClusterDomainClaim extends KubeObject {
  spec: { namespace: string };
}

const group = "networking.internal.knative.dev";
export const kIngresses: Resource = {
  group,
  version: "v1alpha1",
  plural: "ingresses",
  kind: "Ingress",
  namespaced: true,
};
export const serverlessServices: Resource = {
  group,
  version: "v1alpha1",
  plural: "serverlessservices",
  kind: "ServerlessService",
  namespaced: true,
};
export const certificates: Resource = {
  group,
  version: "v1alpha1",
  plural: "certificates",
  kind: "Certificate",
  namespaced: true,
};
export const clusterDomainClaims: Resource = {
  group,
  version: "v1alpha1",
  plural: "clusterdomainclaims",
  kind: "ClusterDomainClaim",
  namespaced: false,
};

/** The ingress class that Swell's own gateway serves. */
export const swellIngressClass = "swell.ingress.networking.knative.dev";
