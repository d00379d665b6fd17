/** Asks an image registry for the digest behind a tag (OCI distribution API: HEAD of the manifest). */
import { Agent, request } from "undici";
import type { ImageReference } from "../../api/image-reference.ts";

export interface RegistryLogin {
  username: string;
  password: string;
}

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

const agent = new Agent({ connect: { timeout: 5000 }, keepAliveTimeout: 10_000 });

/** `sha256:…`. Throws an Error whose message names the registry's answer. */
export async function fetchDigest(
  image: ImageReference,
  login: RegistryLogin | undefined,
  signal: AbortSignal,
): Promise<string> {
  const scheme = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/u.test(image.registry) ? "http" : "https";
  const host = image.registry === "index.docker.io" ? "registry-1.docker.io" : image.registry;
  const url = `${scheme}://${host}/v2/${image.repository}/manifests/${image.reference}`;
  const head = async (authorization: string | undefined) => {
    const answer = await request(url, {
      method: "HEAD",
      dispatcher: agent,
      signal,
      headers: {
        accept: manifestTypes,
        "user-agent": "swell (serving)",
        ...(authorization === undefined ? {} : { authorization }),
      },
    });
    await answer.body.dump();
    return answer;
  };
  let answer = await head(login === undefined ? undefined : basic(login));
  if (answer.statusCode === 401) {
    const challenge = header(answer.headers["www-authenticate"]);
    const token = await bearerToken(challenge, image, login, signal);
    if (token !== undefined) answer = await head(`Bearer ${token}`);
  }
  const digest = header(answer.headers["docker-content-digest"]);
  if (answer.statusCode === 200 && /^sha256:[0-9a-f]{64}$/u.test(digest)) return digest;
  throw new Error(
    answer.statusCode === 200
      ? `HEAD ${url}: the registry sent no digest`
      : `HEAD ${url}: unexpected status code ${answer.statusCode}`,
  );
}

async function bearerToken(
  challenge: string,
  image: ImageReference,
  login: RegistryLogin | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (!/^bearer /iu.test(challenge)) return undefined;
  const fields = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/gu)].map(([, key, value]) => [key, value]));
  if (fields["realm"] === undefined) return undefined;
  const realm = new URL(fields["realm"]);
  if (fields["service"] !== undefined) realm.searchParams.set("service", fields["service"]);
  realm.searchParams.set("scope", fields["scope"] ?? `repository:${image.repository}:pull`);
  const answer = await request(realm, {
    dispatcher: agent,
    signal,
    headers: login === undefined ? {} : { authorization: basic(login) },
  });
  if (answer.statusCode !== 200) {
    await answer.body.dump();
    throw new Error(`GET ${realm.origin}${realm.pathname}: unexpected status code ${answer.statusCode}`);
  }
  const body = (await answer.body.json()) as { token?: string; access_token?: string };
  return body.token ?? body.access_token;
}

const basic = ({ username, password }: RegistryLogin): string =>
  `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;

const header = (value: string | string[] | undefined): string =>
  Array.isArray(value) ? (value[0] ?? "") : (value ?? "");
