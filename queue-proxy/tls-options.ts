/** A TLS listener's variables: a quartet of versions, cipher suites and curves in Go's names (data-plane 1.2). */
import type { EnvReader } from "../process/env.ts";

/** In node's and OpenSSL's terms; what is undefined is theirs to choose. */
export interface TlsSettings {
  minVersion: "TLSv1.2" | "TLSv1.3";
  maxVersion: "TLSv1.2" | "TLSv1.3";
  /** For OpenSSL, joined by colons. */
  ciphers: string | undefined;
  curves: string | undefined;
}

export interface NodeTlsSettings {
  minVersion: TlsSettings["minVersion"];
  maxVersion: TlsSettings["maxVersion"];
  ciphers?: string;
  ecdhCurve?: string;
}

const versions = { "1.2": "TLSv1.2", "1.3": "TLSv1.3" } as const;

/** TLS 1.3's are not configurable in Go: they are always offered, so naming them changes nothing. */
const tls13Suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/** Go's name → OpenSSL's. Suites without an ECDHE key exchange or an AEAD are those that Go still implements. */
const suites: Readonly<Record<string, string>> = {
  TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA",
  TLS_RSA_WITH_AES_256_CBC_SHA: "AES256-SHA",
  TLS_RSA_WITH_AES_128_CBC_SHA256: "AES128-SHA256",
  TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256",
  TLS_RSA_WITH_AES_256_GCM_SHA384: "AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: "ECDHE-ECDSA-AES128-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: "ECDHE-RSA-AES128-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: "ECDHE-ECDSA-CHACHA20-POLY1305",
};

const curves: Readonly<Record<string, string>> = {
  CurveP256: "P-256",
  CurveP384: "P-384",
  CurveP521: "P-521",
  "P-256": "P-256",
  "P-384": "P-384",
  "P-521": "P-521",
  X25519: "X25519",
  X25519MLKEM768: "X25519MLKEM768",
};

/** `prefix`: `QUEUE_PROXY_TLS` or `METRICS_PROMETHEUS_TLS`. What is wrong goes to the reader's problems. */
export function tlsSettings(read: EnvReader, prefix: string): TlsSettings {
  const known = Object.keys(versions) as (keyof typeof versions)[];
  const minVersion = versions[read.oneOf(`${prefix}_MIN_VERSION`, known, "1.3")];
  const maxVersion = versions[read.oneOf(`${prefix}_MAX_VERSION`, known, "1.3")];
  if (minVersion > maxVersion) read.problems.push(`${prefix}_MIN_VERSION is later than ${prefix}_MAX_VERSION`);
  const names = (variable: string, table: Readonly<Record<string, string>>, without: readonly string[]): string[] =>
    read
      .string(variable, "")
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "" && !without.includes(name))
      .flatMap((name) => {
        const found = table[name];
        if (found === undefined) read.problems.push(`${variable}: unknown name ${JSON.stringify(name)}`);
        return found ?? [];
      });
  const ciphers = names(`${prefix}_CIPHER_SUITES`, suites, tls13Suites);
  const groups = names(`${prefix}_CURVE_PREFERENCES`, curves, []);
  return {
    minVersion,
    maxVersion,
    ciphers: ciphers.length === 0 ? undefined : [...tls13Suites, ...ciphers].join(":"),
    curves: groups.length === 0 ? undefined : groups.join(":"),
  };
}

/** Under node's names. */
export function nodeTlsOptions({ minVersion, maxVersion, ciphers, curves }: TlsSettings): NodeTlsSettings {
  return {
    minVersion,
    maxVersion,
    ...(ciphers === undefined ? {} : { ciphers }),
    ...(curves === undefined ? {} : { ecdhCurve: curves }),
  };
}
