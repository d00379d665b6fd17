/** Certificate authorities and what they sign: ECDSA P-256, all in PEM, keys as PKCS #8. */
import "reflect-metadata"; // the certificate library needs it in place before itself
import * as x509 from "@peculiar/x509";
import { createPublicKey, generateKeyPairSync, randomBytes, type webcrypto } from "node:crypto";

export interface KeyPair {
  cert: string;
  key: string;
}

/** Starts a day before `nowMs`, for clocks that are behind. */
export interface Validity {
  nowMs: number;
  days: number;
}

/** Whom a server's certificate is for. */
export interface Subject {
  /** A distinguished name: `O=knative.dev, CN=webhook`. */
  name: string;
  dnsNames: readonly string[];
  ips?: readonly string[];
}

export const dayMs = 86_400_000;

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

x509.cryptoProvider.set(globalThis.crypto);

export function newKey(): string {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return privateKey.export({ type: "pkcs8", format: "pem" }) as string;
}

/** The self-signed certificate of an authority that has this key. `name` is its distinguished name. */
export async function authorityCertificate(key: string, name: string, validity: Validity): Promise<string> {
  const publicKey = await publicPart(key);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name,
    ...period(validity),
    signingAlgorithm: algorithm,
    keys: { privateKey: await privatePart(key), publicKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return cert.toString("pem");
}

/** A server's certificate for `key`, signed by `authority`. */
export async function serverCertificate(
  authority: KeyPair,
  key: string,
  { name, dnsNames, ips = [] }: Subject,
  validity: Validity,
): Promise<string> {
  const issuer = new x509.X509Certificate(authority.cert);
  const names = [
    ...dnsNames.map((value) => ({ type: "dns", value }) as const),
    ...ips.map((value) => ({ type: "ip", value }) as const),
  ];
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: name,
    issuer: issuer.subject,
    ...period(validity),
    signingAlgorithm: algorithm,
    signingKey: await privatePart(authority.key),
    publicKey: await publicPart(key),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return cert.toString("pem");
}

const period = ({ nowMs, days }: Validity): { notBefore: Date; notAfter: Date } => ({
  notBefore: new Date(nowMs - dayMs),
  notAfter: new Date(nowMs + days * dayMs),
});

/** A leading 0 keeps it positive. */
const serialNumber = (): string => `0${randomBytes(16).toString("hex").slice(1)}`;

function privatePart(pem: string): Promise<webcrypto.CryptoKey> {
  return crypto.subtle.importKey("pkcs8", x509.PemConverter.decodeFirst(pem), algorithm, true, ["sign"]);
}

function publicPart(pem: string): Promise<webcrypto.CryptoKey> {
  const spki = createPublicKey(pem).export({ type: "spki", format: "der" });
  return crypto.subtle.importKey("spki", spki, algorithm, true, ["verify"]);
}
