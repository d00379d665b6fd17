/** The certificate that all hosts of a domain share in one namespace (spec: serving-api 4.15). */
import { annotation, label } from "../../api/keys.ts";
import { apiVersionOf, type KubeObject } from "../../api/meta.ts";
import { certificates, type Certificate } from "../../api/networking.ts";
import { controllerReference } from "../../kube/write.ts";
import { certificateClass } from "../certificate/certificates.ts";
import type { NetworkConfig } from "../config/network.ts";

/** `*.default.example.com`. Throws where the domain template puts something before the name, or nothing behind it. */
export function wildcardName({ domainTemplate }: NetworkConfig, domain: string, namespace: string): string {
  const name = domainTemplate({ Name: "*", Namespace: namespace, Domain: domain, Annotations: {}, Labels: {} });
  if (!/^\*\..+$/u.test(name)) throw new Error(`invalid DomainTemplate: ${name}`);
  return name;
}

export function makeWildcardCertificate(
  namespace: KubeObject,
  domain: string,
  dnsName: string,
  network: NetworkConfig,
): Certificate {
  const name = dnsName.slice(dnsName.indexOf(".") + 1);
  return {
    apiVersion: apiVersionOf(certificates),
    kind: certificates.kind,
    metadata: {
      name,
      namespace: namespace.metadata.name ?? "",
      labels: { [label.wildcardDomain]: domain },
      annotations: { [annotation.certificateClass]: certificateClass(namespace, network) },
      ownerReferences: [controllerReference(namespace)],
    },
    spec: { dnsNames: [dnsName], secretName: name },
  };
}
