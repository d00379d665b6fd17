/** Turns the image tags of a Revision into digests, in the background (spec: serving-api 4.11). */
import PQueue from "p-queue";
import { secrets, serviceAccounts, type Secret } from "../../api/core.ts";
import { parseImage, type ImageReference } from "../../api/image-reference.ts";
import type { KubeObject } from "../../api/meta.ts";
import { keyOf } from "../../api/meta.ts";
import type { Revision } from "../../api/serving.ts";
import type { KubeClient } from "../../kube/client.ts";
import type { Logger } from "../../process/logger.ts";
import type { ConfigStore } from "../config/store.ts";
import type { Enqueue } from "../reconciler.ts";
import { fetchDigest, type RegistryLogin } from "./registry.ts";

type Statuses = NonNullable<NonNullable<Revision["status"]>["containerStatuses"]>;

export type Resolution =
  | { is: "resolved"; containers: Statuses; initContainers: Statuses }
  | { is: "resolving" }
  | { is: "failed"; message: string };

export interface DigestResolver {
  /** What is known now; starts the search where nothing is. */
  resolve(revision: Revision): Resolution;
  /** Drops what is known of a Revision that is gone. */
  forget(key: string): void;
  /** Calls back with the Revision's key when an answer has come. */
  onResolved(listener: Enqueue): () => void;
}

type Fetch = (image: ImageReference, login: RegistryLogin | undefined, signal: AbortSignal) => Promise<string>;

interface Search {
  uid: string;
  /** Image → `repository@digest`, or "" where the tag is used as it is. */
  found: Map<string, string>;
  failure: string;
  isDone: boolean;
  stop: AbortController;
}

const retryMaxMs = 1_000_000;

export function createDigestResolver(options: {
  client: KubeClient;
  config: ConfigStore;
  log: Logger;
  fetch?: Fetch;
}): DigestResolver {
  const { client, config, log, fetch = fetchDigest } = options;
  const searches = new Map<string, Search>();
  const listeners = new Set<Enqueue>();
  const work = new PQueue({ concurrency: 100 });
  const announce = (key: string): void => listeners.forEach((listener) => listener(key));

  /** "" where the tag stays; undefined where only the registry knows. */
  const known = (image: string): string | undefined => {
    const parsed = parseImage(image);
    if (parsed === undefined) return ""; // The webhook refuses it; the node will say what is wrong with it.
    if (parsed.isDigest) return image;
    return config.current.deployment.registriesSkippingTagResolving.has(parsed.registry) ? "" : undefined;
  };

  async function attempt(revision: Revision, search: Search, images: readonly string[]): Promise<void> {
    for (const image of images) {
      if (search.found.has(image)) continue;
      const parsed = parseImage(image)!;
      const limit = AbortSignal.timeout(config.current.deployment.digestResolutionTimeoutMs);
      try {
        const login = await loginFor(client, revision, parsed.registry);
        const digest = await fetch(parsed, login, AbortSignal.any([limit, search.stop.signal]));
        search.found.set(image, `${parsed.registry}/${parsed.repository}@${digest}`);
      } catch (error) {
        throw new Error(
          `Unable to fetch image "${image}": failed to resolve image to digest: ${(error as Error).message}`,
          { cause: error },
        );
      }
    }
  }

  function start(key: string, revision: Revision, images: readonly string[]): Search {
    const search: Search = {
      uid: revision.metadata.uid ?? "",
      found: new Map(),
      failure: "",
      isDone: false,
      stop: new AbortController(),
    };
    searches.set(key, search);
    let waitMs = 1000;
    const run = async (): Promise<void> => {
      if (search.stop.signal.aborted) return;
      try {
        await attempt(revision, search, images);
        search.isDone = true;
        search.failure = "";
      } catch (error) {
        if (search.stop.signal.aborted) return;
        search.failure = (error as Error).message;
        const timer = setTimeout(() => enqueue(), waitMs * (0.75 + 0.5 * Math.random()));
        timer.unref();
        search.stop.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
        waitMs = Math.min(waitMs * 2, retryMaxMs);
      }
      announce(key);
    };
    const enqueue = (): void => {
      work.add(run).catch((error: unknown) => log.error({ err: error, revision: key }, "digest resolution broke"));
    };
    enqueue();
    return search;
  }

  const forget = (key: string): void => {
    searches.get(key)?.stop.abort();
    searches.delete(key);
  };

  return {
    resolve(revision) {
      const { containers, initContainers = [] } = revision.spec;
      const { containerStatuses = [], initContainerStatuses = [] } = revision.status ?? {};
      const key = keyOf(revision);
      if (containerStatuses.length + initContainerStatuses.length === containers.length + initContainers.length) {
        forget(key); // It is in the status now.
        return { is: "resolved", containers: containerStatuses, initContainers: initContainerStatuses };
      }
      const images = [...new Set([...containers, ...initContainers].map(({ image = "" }) => image))];
      const open = images.filter((image) => known(image) === undefined);
      let search = searches.get(key);
      if (search !== undefined && search.uid !== revision.metadata.uid) {
        forget(key);
        search = undefined;
      }
      if (open.length > 0) {
        search ??= start(key, revision, open);
        if (search.failure !== "") return { is: "failed", message: search.failure };
        if (!search.isDone) return { is: "resolving" };
      }
      const digestOf = (image = ""): string => known(image) ?? search?.found.get(image) ?? "";
      const statuses = (list: typeof containers): Statuses =>
        list.map(({ name, image }) => {
          const imageDigest = digestOf(image);
          return { name, ...(imageDigest === "" ? {} : { imageDigest }) };
        });
      return { is: "resolved", containers: statuses(containers), initContainers: statuses(initContainers) };
    },
    forget,
    onResolved(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** From the pull secrets of the Revision, then of its service account; undefined where none names the registry. */
async function loginFor(client: KubeClient, revision: Revision, registry: string): Promise<RegistryLogin | undefined> {
  const { namespace } = revision.metadata;
  const account = await client
    .get<KubeObject & { imagePullSecrets?: { name: string }[] }>(
      serviceAccounts,
      revision.spec.serviceAccountName ?? "default",
      namespace,
    )
    .catch(() => undefined);
  for (const { name } of [...(revision.spec.imagePullSecrets ?? []), ...(account?.imagePullSecrets ?? [])]) {
    const secret = await client.get<Secret>(secrets, name, namespace).catch(() => undefined);
    const text = secret?.data?.[".dockerconfigjson"];
    if (text === undefined) continue;
    const found = loginIn(Buffer.from(text, "base64").toString("utf8"), registry);
    if (found !== undefined) return found;
  }
  return undefined;
}

function loginIn(dockerConfig: string, registry: string): RegistryLogin | undefined {
  let auths: Record<string, { auth?: string; username?: string; password?: string }>;
  try {
    auths = (JSON.parse(dockerConfig) as { auths?: typeof auths }).auths ?? {};
  } catch {
    return undefined;
  }
  for (const [server, entry] of Object.entries(auths)) {
    if (server.replace(/^https?:\/\//u, "").split("/")[0] !== registry) continue;
    if (entry.username !== undefined && entry.password !== undefined)
      return { username: entry.username, password: entry.password };
    const [username = "", ...password] = Buffer.from(entry.auth ?? "", "base64")
      .toString("utf8")
      .split(":");
    if (username !== "") return { username, password: password.join(":") };
  }
  return undefined;
}
