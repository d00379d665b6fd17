/** The CA and the API server's certificate of a local cluster. Keys and certificates are PEM. */
import {
  authorityCertificate,
  serverCertificate,
  type KeyPair,
  type Subject,
  type Validity,
} from "../process/certificate-authority.ts";

/** By which clients on this machine, and programs that think they are in a cluster, call the API server. */
const serving: Subject = {
  name: "CN=swell-local-apiserver",
  dnsNames: [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
  ],
  ips: ["127.0.0.1", "::1"],
};

/** A self-signed CA certificate for a PKCS #8 key. */
export const makeCa = (key: string, validity: Validity): Promise<string> =>
  authorityCertificate(key, "CN=swell-local-ca", validity);

export const makeServing = (ca: KeyPair, key: string, validity: Validity): Promise<string> =>
  serverCertificate(ca, key, serving, validity);
