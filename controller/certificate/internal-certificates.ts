/**
 * The Certificates between gateway, activator and sidecars, while system-internal-tls is on (spec: serving-api 4.11,
 * data-plane 2.10). They belong to their namespace: every Revision of it mounts the same Secret.
 */
import { annotation, internalTls, label } from "../../api/keys.ts";
import { apiVersionOf, keyOf, type KubeObject } from "../../api/meta.ts";
import { certificates, type Certificate } from "../../api/networking.ts";
import { done } from "../../kube/reconciler.ts";
import { controllerReference } from "../../kube/write.ts";
import type { Deps, Reconciler } from "../reconciler.ts";
import { ensureCertificate } from "./certificates.ts";

/** `by` is the name under which whoever has it proves who it is. */
export function makeInternalCertificate(
  namespace: KubeObject,
  { name, by }: { name: string; by: string },
  certificateClass: string,
): Certificate {
  return {
    apiVersion: apiVersionOf(certificates),
    kind: certificates.kind,
    metadata: {
      name,
      namespace: namespace.metadata.name ?? "",
      labels: { [label.certificateType]: "system-internal" },
      annotations: { [annotation.certificateClass]: certificateClass },
      ownerReferences: [controllerReference(namespace)],
    },
    // The second is the one that is asked for, by ingresses too that know no other.
    spec: { dnsNames: [by, internalTls.serverName], secretName: name },
  };
}

/** Has the certificate of gateway and activator made. One that was installed by hand stays as it is. */
export function routingCertificateReconciler(deps: Deps): Reconciler {
  const { caches, config, systemNamespace } = deps;
  const name = internalTls.routingSecret;
  const key = `${systemNamespace}/${name}`;
  return {
    name: "routing-certificate-controller",
    lease: "swell.dev.controller.certificate.routing",
    async reconcile() {
      const { network } = config.current;
      const namespace = caches.namespaces.get(systemNamespace);
      if (!network.systemInternalTls || namespace === undefined) return done;
      const wanted = makeInternalCertificate(
        namespace,
        { name, by: internalTls.routingName },
        network.certificateClass,
      );
      await ensureCertificate(deps, namespace, wanted);
      return done;
    },
    watch: (enqueue) => [
      caches.namespaces.onChange(({ object }) => {
        if (object.metadata.name === systemNamespace) enqueue(key);
      }),
      caches.certificates.onChange(({ object }) => {
        if (keyOf(object) === key) enqueue(key);
      }),
      config.onChange((part) => {
        if (part === "network") enqueue(key);
      }),
    ],
  };
}
