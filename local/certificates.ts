/** Makes the CA and the serving certificate of a local cluster (ECDSA P-256). */
import "reflect-metadata"; // the certificate library needs it in place before itself
import * as x509 from "@peculiar/x509";
import { createPublicKey, randomBytes, type webcrypto } from "node:crypto";

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const dayMs = 86_400_000;

/** By which clients on this machine, and programs that think they are in a cluster, call the API server. */
const servingNames: x509.JsonGeneralName[] = [
  { type: "dns", value: "localhost" },
  { type: "dns", value: "kubernetes" },
  { type: "dns", value: "kubernetes.default" },
  { type: "dns", value: "kubernetes.default.svc" },
  { type: "dns", value: "kubernetes.default.svc.cluster.local" },
  { type: "ip", value: "127.0.0.1" },
  { type: "ip", value: "::1" },
];

x509.cryptoProvider.set(globalThis.crypto);

export interface Validity {
  nowMs: number;
  days: number;
}

/** A self-signed CA certificate for a PKCS #8 key, both PEM. */
export async function makeCa(keyPem: string, validity: Validity): Promise<string> {
  const publicKey = await publicPart(keyPem);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: "CN=swell-local-ca",
    ...period(validity),
    signingAlgorithm: algorithm,
    keys: { privateKey: await privatePart(keyPem), publicKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return cert.toString("pem");
}

/** The API server's certificate. */
export async function makeServing(
  ca: { cert: string; key: string },
  keyPem: string,
  validity: Validity,
): Promise<string> {
  const issuer = new x509.X509Certificate(ca.cert);
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: "CN=swell-local-apiserver",
    issuer: issuer.subject,
    ...period(validity),
    signingAlgorithm: algorithm,
    signingKey: await privatePart(ca.key),
    publicKey: await publicPart(keyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(servingNames),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return cert.toString("pem");
}

/** Starts a day early, for clocks that are behind. */
function period({ nowMs, days }: Validity): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(nowMs - dayMs), notAfter: new Date(nowMs + days * dayMs) };
}

/** A leading 0 keeps it positive. */
const serialNumber = () => `0${randomBytes(16).toString("hex").slice(1)}`;

function privatePart(pem: string): Promise<webcrypto.CryptoKey> {
  return crypto.subtle.importKey("pkcs8", x509.PemConverter.decodeFirst(pem), algorithm, true, ["sign"]);
}

function publicPart(pem: string): Promise<webcrypto.CryptoKey> {
  const spki = createPublicKey(pem).export({ type: "spki", format: "der" });
  return crypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]);
}
