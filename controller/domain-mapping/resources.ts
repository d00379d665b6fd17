/** The Ingress of a DomainMapping (spec: serving-api 4.14). */
import { annotation, label } from "../../api/keys.ts";
import { apiVersionOf } from "../../api/meta.ts";
import { domainMappingIngressName } from "../../api/names.ts";
import { kIngresses, type Certificate, type KIngress } from "../../api/networking.ts";
import type { DomainMapping } from "../../api/serving.ts";
import { controllerReference } from "../../kube/write.ts";
import type { IngressTls } from "../certificate/certificates.ts";
import type { PlatformConfig } from "../config/store.ts";
import { without } from "../reconciler.ts";
import { acmePaths, alternativeIngressClass, httpOption } from "../route/resources.ts";

/** Where a mapping leads: a host of the cluster, and the Service of the namespace that stands for it. */
export interface Target {
  host: string;
  serviceName: string;
}

/** Throws on an http-protocol annotation that is none. */
export function makeIngress(
  mapping: DomainMapping,
  target: Target,
  tls: readonly IngressTls[],
  challenges: NonNullable<NonNullable<Certificate["status"]>["http01Challenges"]>,
  config: Readonly<PlatformConfig>,
): KIngress {
  const { name = "", namespace = "", uid = "", labels = {}, annotations = {} } = mapping.metadata;
  return {
    apiVersion: apiVersionOf(kIngresses),
    kind: kIngresses.kind,
    metadata: {
      name: domainMappingIngressName(name),
      namespace,
      labels: { ...labels, [label.domainMappingUID]: uid, [label.domainMappingNamespace]: namespace },
      annotations: {
        ...without(annotations, [annotation.lastApplied, alternativeIngressClass]),
        [annotation.ingressClass]:
          annotations[annotation.ingressClass] ?? annotations[alternativeIngressClass] ?? config.network.ingressClass,
      },
      ownerReferences: [controllerReference(mapping)],
    },
    spec: {
      ...httpOption(annotations, config),
      ...(tls.length > 0 ? { tls: [...tls] } : {}),
      rules: [
        {
          hosts: [name],
          visibility: "ExternalIP",
          http: {
            paths: [
              ...acmePaths(name, challenges),
              {
                rewriteHost: target.host,
                splits: [
                  {
                    serviceNamespace: namespace,
                    serviceName: target.serviceName,
                    servicePort: 80,
                    percent: 100,
                    appendHeaders: { "K-Original-Host": name },
                  },
                ],
              },
            ],
          },
        },
      ],
    },
  };
}
