/** The webhook's serving certificate and its CA: short-lived, made here, shared by all replicas through a Secret. */
import { X509Certificate } from "node:crypto";
import { authorityCertificate, dayMs, newKey, serverCertificate } from "../../process/certificate-authority.ts";

export interface Certificate {
  /** All PEM. */
  key: string;
  cert: string;
  ca: string;
}

const lifetimeDays = 7;
export const renewBeforeMs = dayMs;

/** The names under which the API server calls Service `name` of `namespace`. */
export const serviceNames = (name: string, namespace: string, clusterDomain: string): string[] => [
  name,
  `${name}.${namespace}`,
  `${name}.${namespace}.svc`,
  `${name}.${namespace}.svc.${clusterDomain}`,
];

/** For seven days, with a CA that signs nothing else. */
export async function makeCertificate(names: readonly string[], nowMs: number): Promise<Certificate> {
  const validity = { nowMs, days: lifetimeDays };
  const [caKey, key] = [newKey(), newKey()];
  const ca = await authorityCertificate(caKey, "O=knative.dev, CN=webhook-ca", validity);
  const subject = { name: `O=knative.dev, CN=${names.at(-1)}`, dnsNames: names };
  return { key, cert: await serverCertificate({ cert: ca, key: caKey }, key, subject, validity), ca };
}

/** How long the certificate may still be used before it is to be renewed; 0 or less: renew. */
export function usableMs({ cert, ca, key }: Certificate, names: readonly string[], nowMs: number): number {
  try {
    const parsed = new X509Certificate(cert);
    const issuer = new X509Certificate(ca);
    if (key === "" || !parsed.verify(issuer.publicKey)) return 0;
    if (!names.every((name) => parsed.checkHost(name, { subject: "never" }) !== undefined)) return 0;
    return parsed.validToDate.getTime() - renewBeforeMs - nowMs;
  } catch {
    return 0; // no certificate at all, as in the Secret that the manifests bring
  }
}
