/**
 * The keys of one local cluster, kept in its data folder and readable by its owner only: a CA, the API server's
 * certificate, the admin's bearer token, and the key that signs service account tokens.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
  X509Certificate,
} from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import path from "node:path";

/** Whom a bearer token stands for; the shape of the API server's own `User`. */
export interface Identity {
  username: string;
  groups: string[];
}

export interface TokenOptions {
  seconds: number;
  /** [] for the API server. */
  audiences: readonly string[];
}

export interface Credentials {
  /** PEM. */
  ca: string;
  serving: { cert: string; key: string };
  adminToken: string;
  authenticate(bearer: string): Identity | undefined;
  /** A JWT as a kubelet would mount it; lives a year unless told otherwise, as the pod's folder is written once. */
  issueToken(namespace: string, serviceAccount: string, podUid: string, options?: TokenOptions): string;
}

const issuer = "https://kubernetes.default.svc.cluster.local";
const dayMs = 86_400_000;
const caDays = 3650;
const servingDays = 365;
/** A serving certificate with less than this left is replaced at start. */
const renewDays = 30;
const tokenSeconds = 365 * 86_400;

/** Reads the credentials in `folder`, making those that are missing or about to expire. */
export async function loadCredentials(folder: string, nowMs: number): Promise<Credentials> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const [ca, adminToken, signingKeyPem] = await Promise.all([
    loadCa(folder, nowMs),
    stored(folder, "admin.token", () => Promise.resolve(randomBytes(32).toString("base64url"))),
    stored(folder, "service-account.key", newKey),
  ]);
  const serving = await loadServing(folder, ca, nowMs);
  const tokens = tokenAuthority(signingKeyPem, () => Math.floor(Date.now() / 1000));
  const admin = digest(adminToken);
  return {
    ca: ca.cert,
    serving,
    adminToken,
    authenticate: (bearer) =>
      timingSafeEqual(digest(bearer), admin)
        ? { username: "kubernetes-admin", groups: ["system:masters", "system:authenticated"] }
        : tokens.authenticate(bearer),
    issueToken: (namespace, account, podUid, options) => tokens.issue(namespace, account, podUid, options),
  };
}

/** A kubeconfig for the admin, with a context named `swell`. */
export function kubeconfig(credentials: Pick<Credentials, "ca" | "adminToken">, server: string): string {
  return `apiVersion: v1
kind: Config
current-context: swell
contexts:
  - name: swell
    context: { cluster: swell, user: swell, namespace: default }
clusters:
  - name: swell
    cluster:
      server: ${server}
      certificate-authority-data: ${Buffer.from(credentials.ca).toString("base64")}
users:
  - name: swell
    user:
      token: ${credentials.adminToken}
`;
}

/** Writes a file that nobody else may read, all of it or nothing. */
export async function writePrivate(file: string, content: string): Promise<void> {
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, content, { mode: 0o600 });
  await rename(draft, file);
}

interface TokenAuthority {
  issue(namespace: string, serviceAccount: string, podUid: string, options?: TokenOptions): string;
  authenticate(token: string): Identity | undefined;
}

/** Signs and checks service account tokens (JWT, ES256). */
export function tokenAuthority(keyPem: string, nowSeconds: () => number): TokenAuthority {
  const key = { key: createPrivateKey(keyPem), dsaEncoding: "ieee-p1363" as const };
  const publicKey = { key: createPublicKey(keyPem), dsaEncoding: "ieee-p1363" as const };
  const header = encode({ alg: "ES256", typ: "JWT" });
  // Signature checks cost a tenth of a millisecond, and the same few tokens come with every request.
  const verified = new Map<string, Claims>();
  const maxVerified = 1000;

  function claimsOf(token: string): Claims | undefined {
    const known = verified.get(token);
    if (known !== undefined) return known;
    const parts = token.split(".");
    if (parts.length !== 3 || parts[0] !== header) return undefined;
    const signature = Buffer.from(parts[2]!, "base64url");
    if (!verify("sha256", Buffer.from(`${parts[0]}.${parts[1]}`), publicKey, signature)) return undefined;
    const claims = JSON.parse(Buffer.from(parts[1]!, "base64url").toString()) as Claims;
    if (verified.size >= maxVerified) verified.clear();
    verified.set(token, claims);
    return claims;
  }

  return {
    issue(namespace, serviceAccount, podUid, { seconds, audiences } = { seconds: tokenSeconds, audiences: [] }) {
      const now = nowSeconds();
      const body = encode({
        iss: issuer,
        aud: audiences.length === 0 ? [issuer] : [...audiences],
        sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
        iat: now,
        nbf: now,
        exp: now + seconds,
        "kubernetes.io": {
          namespace,
          serviceaccount: { name: serviceAccount },
          ...(podUid !== "" && { pod: { uid: podUid } }),
        },
      } satisfies Claims);
      const signature = sign("sha256", Buffer.from(`${header}.${body}`), key);
      return `${header}.${body}.${signature.toString("base64url")}`;
    },
    authenticate(token) {
      const claims = claimsOf(token);
      if (claims === undefined || claims.iss !== issuer || !claims.aud.includes(issuer) || claims.exp <= nowSeconds())
        return undefined;
      const { namespace } = claims["kubernetes.io"];
      return {
        username: claims.sub,
        groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
      };
    },
  };
}

interface Claims {
  iss: string;
  aud: string[];
  sub: string;
  iat: number;
  nbf: number;
  exp: number;
  "kubernetes.io": { namespace: string; serviceaccount: { name: string }; pod?: { uid: string } };
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const digest = (text: string) => createHash("sha256").update(text).digest();

/** Certificates are made once and read often, so the library that makes them is loaded only then. */
async function loadCa(folder: string, nowMs: number): Promise<{ cert: string; key: string }> {
  const key = await stored(folder, "ca.key", newKey);
  const cert = await stored(folder, "ca.crt", async () =>
    (await import("./certificates.ts")).makeCa(key, { nowMs, days: caDays }),
  );
  return { cert, key };
}

async function loadServing(
  folder: string,
  ca: { cert: string; key: string },
  nowMs: number,
): Promise<{ cert: string; key: string }> {
  const key = await stored(folder, "server.key", newKey);
  const file = path.join(folder, "server.crt");
  const present = await readIfThere(file);
  if (present !== undefined) {
    const cert = new X509Certificate(present);
    const isFresh = Date.parse(cert.validTo) - nowMs > renewDays * dayMs;
    if (isFresh && cert.verify(new X509Certificate(ca.cert).publicKey)) return { cert: present, key };
  }
  const { makeServing } = await import("./certificates.ts");
  const cert = await makeServing(ca, key, { nowMs, days: servingDays });
  await writePrivate(file, cert);
  return { cert, key };
}

async function stored(folder: string, name: string, make: () => Promise<string>): Promise<string> {
  const file = path.join(folder, name);
  const present = await readIfThere(file);
  if (present !== undefined) return present;
  const made = await make();
  await writePrivate(file, made);
  return made;
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function newKey(): Promise<string> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return Promise.resolve(privateKey.export({ type: "pkcs8", format: "pem" }) as string);
}
