/** Finds what a DomainMapping refers to, and the host it has inside the cluster (spec: serving-api 4.14). */
import { services } from "../../api/core.ts";
import { keyOf, type KubeObject, type Resource } from "../../api/meta.ts";
import { kServices, routes, type DomainMapping } from "../../api/serving.ts";
import { isNotFound, type KubeClient } from "../../kube/client.ts";
import { createInformer, type Informer } from "../../kube/informer.ts";
import type { Logger } from "../../process/logger.ts";
import { objectTarget, type Caches } from "../caches.ts";
import type { Target } from "./resources.ts";

/** The reference leads nowhere; the message is the condition's. */
export class UnresolvedError extends Error {
  override readonly name = "UnresolvedError";
}

type Addressable = KubeObject & { status?: { address?: { url?: string }; addresses?: { url?: string }[] } };

export interface References {
  /** Throws {@link UnresolvedError}, and what the API server says. */
  resolve(mapping: DomainMapping): Promise<Target>;
  /** Calls back with the `objectTarget` of each object of a foreign kind that changed. Returns the way to stop. */
  onChange(listener: (target: string) => void): () => void;
}

/**
 * Services and Routes come from the caches. Any other addressable kind is read, and watched from its first use on, so
 * that a mapping to it follows its address.
 */
export function createReferences(options: {
  client: KubeClient;
  caches: Caches;
  clusterDomain: string;
  log: Logger;
}): References {
  const { client, caches, clusterDomain, log } = options;
  const watched = new Map<string, Informer<KubeObject>>();
  const listeners = new Set<(target: string) => void>();
  const stop = new AbortController();

  const known = (resource: Resource, key: string): KubeObject | undefined => {
    if (resource.group === kServices.group && resource.kind === kServices.kind) return caches.kServices.get(key);
    if (resource.group === routes.group && resource.kind === routes.kind) return caches.routes.get(key);
    return watched.get(nameOf(resource))?.get(key);
  };

  async function read(resource: Resource, name: string, namespace: string): Promise<KubeObject> {
    const found = known(resource, `${namespace}/${name}`);
    if (found !== undefined) return found;
    try {
      const object = await client.get<KubeObject>(resource, name, namespace);
      const isOurs = resource.group === kServices.group && [kServices.kind, routes.kind].includes(resource.kind);
      if (!isOurs) watch(resource);
      return object;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const kind = resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
      throw new UnresolvedError(`failed to get object ${namespace}/${name}: ${kind} "${name}" not found`, {
        cause: error,
      });
    }
  }

  function watch(resource: Resource): void {
    if (watched.has(nameOf(resource)) || stop.signal.aborted) return;
    const informer = createInformer<KubeObject>({ client, resource, log });
    watched.set(nameOf(resource), informer);
    informer.onChange(({ object }) => {
      const target = objectTarget(resource.group, resource.kind, keyOf(object));
      listeners.forEach((listener) => listener(target));
    });
    informer.run(stop.signal).catch((error: unknown) => log.error({ err: error }, "the watch of a reference ended"));
  }

  async function addressOf(mapping: DomainMapping): Promise<string> {
    const { ref } = mapping.spec;
    const namespace = ref.namespace ?? mapping.metadata.namespace ?? "";
    const { group, version } = splitVersion(ref.apiVersion ?? "");
    const resource: Resource = { group, version, plural: pluralOf(ref.kind), kind: ref.kind, namespaced: true };
    if (group === "" && ref.kind === services.kind) {
      if (caches.services.get(`${namespace}/${ref.name}`) === undefined) await read(services, ref.name, namespace);
      return `http://${ref.name}.${namespace}.svc.${clusterDomain}`;
    }
    const { status } = (await read(resource, ref.name, namespace)) as Addressable;
    const url = status?.address?.url ?? status?.addresses?.[0]?.url ?? "";
    if (url === "")
      throw new UnresolvedError(
        `address not set for Kind = ${ref.kind}, Namespace = ${namespace}, Name = ${ref.name}, APIVersion = ${ref.apiVersion ?? ""}`,
      );
    return url;
  }

  return {
    async resolve(mapping) {
      const uri = await addressOf(mapping);
      const shown = JSON.stringify(uri);
      const { host, pathname } = new URL(uri);
      if (pathname.replace(/\/$/u, "") !== "") throw new UnresolvedError(`resolved URI ${shown} contains a path`);
      const [name = "", namespace, ...rest] = host.split(".");
      if (rest.join(".") !== `svc.${clusterDomain}`)
        throw new UnresolvedError(`resolved URI ${shown} must be of the form {name}.{namespace}.svc.${clusterDomain}`);
      if (namespace !== mapping.metadata.namespace)
        throw new UnresolvedError(`resolved URI ${shown} must be in same namespace as DomainMapping`);
      return { host, serviceName: name };
    },
    onChange(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) stop.abort();
      };
    },
  };
}

const nameOf = ({ group, version, kind }: Resource): string => `${group}/${version} ${kind}`;

function splitVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/** A guess, as Kubernetes makes it for a kind that it has not discovered. */
export function pluralOf(kind: string): string {
  const singular = kind.toLowerCase();
  if (singular.endsWith("s")) return `${singular}es`;
  return /[^aeiou]y$/u.test(singular) ? `${singular.slice(0, -1)}ies` : `${singular}s`;
}
