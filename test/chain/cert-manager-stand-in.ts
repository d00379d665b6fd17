/** As much of cert-manager as the bridge sees: its CustomResourceDefinitions, and a CA that signs what is asked for. */
import { secrets, customResourceDefinitions, type Secret } from "../../api/core.ts";
import type { KubeObject, Resource } from "../../api/meta.ts";
import {
  cmCertificates,
  cmChallenges,
  cmClusterIssuers,
  cmIssuers,
  type CmCertificate,
} from "../../controller/cert-manager/kinds.ts";
import { isAlreadyExists, type KubeClient } from "../../kube/client.ts";
import { createInformer } from "../../kube/informer.ts";
import { authorityCertificate, newKey, serverCertificate } from "../../process/certificate-authority.ts";
import { silentLogger } from "../../process/logger.ts";

export interface StandIn {
  /** PEM. */
  ca: string;
  /** Ends with its signal; rejects when something cannot be signed. */
  ended: Promise<void>;
}

const days = 90;

/** Installs it and signs until the signal aborts. */
export async function standInCertManager(client: KubeClient, signal: AbortSignal): Promise<StandIn> {
  for (const resource of [cmIssuers, cmClusterIssuers, cmChallenges, cmCertificates])
    await client.create(customResourceDefinitions, definition(resource)).catch((error: unknown) => {
      if (!isAlreadyExists(error)) throw error;
    });
  const key = newKey();
  const cert = await authorityCertificate(key, "CN=stand-in-ca", { nowMs: Date.now(), days });
  const failed = Promise.withResolvers<never>();
  const certificates = createInformer<CmCertificate>({ client, resource: cmCertificates, log: silentLogger });
  certificates.onChange(({ is, object }) => {
    if (is === "deleted" || object.status?.conditions !== undefined) return;
    sign(client, { cert, key }, object).catch(failed.reject);
  });
  return { ca: cert, ended: Promise.race([certificates.run(signal), failed.promise]) };
}

async function sign(client: KubeClient, ca: { cert: string; key: string }, wanted: CmCertificate): Promise<void> {
  const { namespace = "" } = wanted.metadata;
  const { commonName = "", dnsNames = [], secretName, secretTemplate } = wanted.spec;
  const nowMs = Date.now();
  const key = newKey();
  const cert = await serverCertificate(ca, key, { name: `CN=${commonName}`, dnsNames }, { nowMs, days });
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const secret: Secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: secretName,
      namespace,
      ...(secretTemplate?.labels === undefined ? {} : { labels: secretTemplate.labels }),
    },
    type: "kubernetes.io/tls",
    data: { "tls.crt": base64(cert), "tls.key": base64(key), "ca.crt": base64(ca.cert) },
  };
  await client.create(secrets, secret).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
    return client.update(secrets, secret);
  });
  const iso = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  const status: NonNullable<CmCertificate["status"]> = {
    conditions: [{ type: "Ready", status: "True", reason: "Ready", message: "Certificate is up to date" }],
    notAfter: iso(nowMs + days * 86_400_000),
    renewalTime: iso(nowMs + (days * 86_400_000 * 2) / 3),
  };
  const fresh = await client.get<CmCertificate>(cmCertificates, wanted.metadata.name ?? "", namespace);
  await client.update<CmCertificate>(cmCertificates, { ...fresh, status }, { subresource: "status" });
}

const anything = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

const definition = ({ group, version, plural, kind, namespaced }: Resource): KubeObject =>
  ({
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      scope: namespaced ? "Namespaced" : "Cluster",
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: "object", properties: { spec: anything, status: anything } } },
        },
      ],
    },
  }) as KubeObject;
