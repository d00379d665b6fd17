/** Keeps the Secret `webhook-certs` filled with a certificate that is good for a day or more. */
import { secrets, type Secret } from "../../api/core.ts";
import { isAlreadyExists, isConflict, isNotFound, type KubeClient } from "../../kube/client.ts";
import type { Logger } from "../../process/logger.ts";
import { makeCertificate, usableMs, type Certificate } from "./certificate.ts";

const secretName = "webhook-certs";
const keys = { key: "server-key.pem", cert: "server-cert.pem", ca: "ca-cert.pem" } as const;
/** Certificates are looked at again at least this often, in case a replica renewed them. */
const longestWaitMs = 3_600_000;
const attempts = 20;

export interface CertificateSource {
  client: KubeClient;
  namespace: string;
  names: readonly string[];
  log: Logger;
  nowMs: () => number;
}

/** The certificate that all replicas share, made now if there is none that will do. */
export async function sharedCertificate(
  source: CertificateSource,
): Promise<{ certificate: Certificate; againMs: number }> {
  const { client, namespace, names, nowMs } = source;
  let problem: unknown;
  for (let attempt = 0; attempt < attempts; attempt++) {
    try {
      const secret = await read(client, namespace);
      const stored = certificateOf(secret);
      const leftMs = stored === undefined ? 0 : usableMs(stored, names, nowMs());
      if (stored !== undefined && leftMs > 0) return { certificate: stored, againMs: Math.min(leftMs, longestWaitMs) };
      const certificate = await makeCertificate(names, nowMs());
      await write(client, namespace, secret, certificate);
      source.log.info({ secret: secretName }, "made a certificate");
      return { certificate, againMs: longestWaitMs };
    } catch (error) {
      problem = error;
      // Another replica was quicker: its certificate is as good.
      if (isConflict(error) || isAlreadyExists(error)) continue;
      await new Promise((resolve) => setTimeout(resolve, Math.min(2000, 50 * 2 ** attempt) * (0.5 + Math.random())));
    }
  }
  throw new Error(`no certificate after ${attempts} attempts`, { cause: problem });
}

async function read(client: KubeClient, namespace: string): Promise<Secret | undefined> {
  try {
    return await client.get<Secret>(secrets, secretName, namespace);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function certificateOf(secret: Secret | undefined): Certificate | undefined {
  const text = (key: string): string => Buffer.from(secret?.data?.[key] ?? "", "base64").toString();
  const certificate = { key: text(keys.key), cert: text(keys.cert), ca: text(keys.ca) };
  return certificate.cert === "" ? undefined : certificate;
}

async function write(
  client: KubeClient,
  namespace: string,
  secret: Secret | undefined,
  certificate: Certificate,
): Promise<void> {
  const data = Object.fromEntries(
    Object.entries(keys).map(([part, key]) => [
      key,
      Buffer.from(certificate[part as keyof typeof keys]).toString("base64"),
    ]),
  );
  const base: Secret = secret ?? { apiVersion: "v1", kind: "Secret", metadata: { name: secretName, namespace } };
  const wanted = { ...base, data: { ...base.data, ...data } };
  await (secret === undefined ? client.create(secrets, wanted) : client.update(secrets, wanted));
}
