/** The Certificates that Routes and DomainMappings ask for, and what they lead to (spec: serving-api 4.7, 4.9). */
import { conditionOf, isReady } from "../../api/conditions.ts";
import { sameValue } from "../../api/equality.ts";
import { annotation, label } from "../../api/keys.ts";
import { apiVersionOf, keyOf, type KubeObject } from "../../api/meta.ts";
import { certificates, type Certificate, type KIngress } from "../../api/networking.ts";
import { isNotFound } from "../../kube/client.ts";
import { controllerReference } from "../../kube/write.ts";
import { ensureChild } from "../children.ts";
import type { NetworkConfig } from "../config/network.ts";
import { type Deps, without } from "../reconciler.ts";

export type CertificateType = "external-domain" | "cluster-local-domain" | "system-internal";

export const alternativeCertificateClass = "networking.knative.dev/certificate-class";

/** Who provides the certificates of this object: as it says, else as configured. */
export const certificateClass = ({ metadata: { annotations = {} } }: KubeObject, network: NetworkConfig): string =>
  annotations[annotation.certificateClass] ?? annotations[alternativeCertificateClass] ?? network.certificateClass;

/** In order of precedence: the first that is present decides. */
const disabling = [
  "networking.knative.dev/disable-external-domain-tls",
  "networking.knative.dev/disableAutoTLS",
  "networking.knative.dev/disable-auto-tls",
];

/** Whether hosts of this object get certificates: as configured, unless the object says no. */
export function wantsExternalTls({ metadata: { annotations = {} } }: KubeObject, network: NetworkConfig): boolean {
  const key = disabling.find((candidate) => annotations[candidate] !== undefined);
  const isDisabled = key !== undefined && ["1", "t", "true"].includes((annotations[key] ?? "").toLowerCase());
  return network.externalDomainTls && !isDisabled;
}

/** The key pair goes into a Secret of the same name. */
export function makeCertificate(
  owner: KubeObject,
  wanted: { name: string; type: CertificateType; dnsNames: string[]; domain: string; labels?: Record<string, string> },
  network: NetworkConfig,
): Certificate {
  const { namespace = "", annotations = {} } = owner.metadata;
  const { name, type, dnsNames, domain, labels = {} } = wanted;
  return {
    apiVersion: apiVersionOf(certificates),
    kind: certificates.kind,
    metadata: {
      name,
      namespace,
      labels: { ...labels, [label.certificateType]: type },
      annotations: {
        ...without(annotations, [annotation.lastApplied, alternativeCertificateClass]),
        [annotation.certificateClass]: certificateClass(owner, network),
      },
      ownerReferences: [controllerReference(owner)],
    },
    spec: { dnsNames, domain, secretName: name },
  };
}

/** Created or brought up to date; undefined when the name is somebody else's. */
export async function ensureCertificate(
  deps: Pick<Deps, "client" | "caches" | "record">,
  owner: KubeObject,
  wanted: Certificate,
): Promise<Certificate | undefined> {
  const { client, caches, record } = deps;
  const child = await ensureChild(client, certificates, caches.certificates, owner, wanted);
  if (child.is === "foreign") return undefined;
  if (child.is === "created") record(owner, "Normal", "Created", `Created Certificate ${keyOf(wanted)}`);
  const { object: found } = child;
  if (sameValue(found.spec, wanted.spec)) return found;
  const updated = await client.update<Certificate>(certificates, { ...found, spec: wanted.spec });
  record(owner, "Normal", "Updated", `Updated Spec for Certificate ${keyOf(wanted)}`);
  return updated;
}

export async function removeCertificates(
  deps: Pick<Deps, "client" | "record">,
  owner: KubeObject,
  orphans: readonly Certificate[],
): Promise<void> {
  for (const orphan of orphans)
    try {
      await deps.client.delete(certificates, orphan.metadata.name ?? "", orphan.metadata.namespace);
      deps.record(owner, "Normal", "Deleted", `Deleted orphaned Knative Certificate ${keyOf(orphan)}`);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
}

/** `ready`, or why not; only for the Certificate's present spec. */
export type CertificateState = { is: "ready" } | { is: "not-ready"; reason: string } | { is: "failed"; reason: string };

export function certificateState(certificate: Certificate): CertificateState {
  if (isReady(certificate)) return { is: "ready" };
  const ready = conditionOf(certificate, "Ready");
  const isCurrent = certificate.status?.observedGeneration === certificate.metadata.generation;
  const reason = ready?.reason ?? "";
  return isCurrent && ready?.status === "False" ? { is: "failed", reason } : { is: "not-ready", reason };
}

/** It still serves, and its issuer wants to see the challenges of the next one. */
export const isRenewing = (certificate: Certificate): boolean => conditionOf(certificate, renewing)?.status === "True";
export const renewing = "Renewing";

export type IngressTls = NonNullable<KIngress["spec"]["tls"]>[number];

export function ingressTls(certificate: Certificate, hosts: readonly string[]): IngressTls {
  return {
    hosts: [...hosts].sort(),
    secretName: certificate.spec.secretName,
    secretNamespace: certificate.metadata.namespace ?? "",
  };
}
