/** What of cert-manager.io/v1 and acme.cert-manager.io/v1 the bridge reads and writes. */
import type { KubeObject, Resource } from "../../api/meta.ts";
import type { Condition } from "../../api/serving.ts";
import type { IssuerReference } from "../config/certmanager.ts";

/** The class of Certificates that this bridge provides. */
export const certManagerClass = "cert-manager.certificate.networking.knative.dev";

export interface CmCertificate extends KubeObject {
  spec: {
    commonName?: string;
    secretName: string;
    dnsNames?: string[];
    issuerRef: IssuerReference;
    secretTemplate?: { labels?: Record<string, string>; annotations?: Record<string, string> };
  };
  status?: {
    conditions?: Pick<Condition, "type" | "status" | "reason" | "message">[];
    /** RFC 3339. */
    notAfter?: string;
    renewalTime?: string;
  };
}

export interface CmIssuer extends KubeObject {
  spec: { acme?: { solvers?: { http01?: object }[] } };
}

/** One name that an ACME issuer wants to see proof of. */
export interface CmChallenge extends KubeObject {
  spec: { token: string; dnsName: string };
}

const group = "cert-manager.io";
const version = "v1";
export const cmCertificates: Resource = {
  group,
  version,
  plural: "certificates",
  kind: "Certificate",
  namespaced: true,
};
export const cmIssuers: Resource = { group, version, plural: "issuers", kind: "Issuer", namespaced: true };
export const cmClusterIssuers: Resource = {
  group,
  version,
  plural: "clusterissuers",
  kind: "ClusterIssuer",
  namespaced: false,
};
export const cmChallenges: Resource = {
  group: `acme.${group}`,
  version,
  plural: "challenges",
  kind: "Challenge",
  namespaced: true,
};

/** While this one is there, so are the others. */
export const cmCertificatesDefinition = `${cmCertificates.plural}.${group}`;
