/** The webhook's serving certificate and its CA: short-lived, made here, shared by all replicas through a Secret. */
import "reflect-metadata"; // the certificate library needs it in place before itself
import * as x509 from "@peculiar/x509";
import { randomBytes, X509Certificate, type webcrypto } from "node:crypto";

export interface Certificate {
  /** All PEM. */
  key: string;
  cert: string;
  ca: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const dayMs = 86_400_000;
const lifetimeMs = 7 * dayMs;
export const renewBeforeMs = dayMs;

x509.cryptoProvider.set(globalThis.crypto);

/** The names under which the API server calls Service `name` of `namespace`. */
export const serviceNames = (name: string, namespace: string, clusterDomain: string): string[] => [
  name,
  `${name}.${namespace}`,
  `${name}.${namespace}.svc`,
  `${name}.${namespace}.svc.${clusterDomain}`,
];

/** For seven days, with a CA that signs nothing else. */
export async function makeCertificate(names: readonly string[], nowMs: number): Promise<Certificate> {
  const validity = { notBefore: new Date(nowMs - dayMs), notAfter: new Date(nowMs + lifetimeMs) };
  const [caKeys, keys] = await Promise.all([generateKeys(), generateKeys()]);
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: "O=knative.dev, CN=webhook-ca",
    ...validity,
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(caKeys.publicKey),
    ],
  });
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: `O=knative.dev, CN=${names.at(-1)}`,
    issuer: ca.subject,
    ...validity,
    signingAlgorithm: algorithm,
    signingKey: caKeys.privateKey,
    publicKey: keys.publicKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: "dns", value }))),
      await x509.AuthorityKeyIdentifierExtension.create(ca),
    ],
  });
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return { key: x509.PemConverter.encode(pkcs8, "PRIVATE KEY"), cert: cert.toString("pem"), ca: ca.toString("pem") };
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

const generateKeys = (): Promise<webcrypto.CryptoKeyPair> =>
  crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);

/** A leading 0 keeps it positive. */
const serialNumber = (): string => `0${randomBytes(16).toString("hex").slice(1)}`;
