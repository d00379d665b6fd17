/** Keeps a Route's placeholder Services (spec: serving-api 4.7). */
import { endpoints, services, type Endpoints, type Service } from "../../api/core.ts";
import { sameValue } from "../../api/equality.ts";
import { label } from "../../api/keys.ts";
import type { KIngress } from "../../api/networking.ts";
import type { Route } from "../../api/serving.ts";
import { isNotFound } from "../../kube/client.ts";
import { isControlledBy } from "../../kube/write.ts";
import { index } from "../caches.ts";
import { ensureChild } from "../children.ts";
import { NotOwnedError, type Deps } from "../reconciler.ts";
import type { Host } from "./hosts.ts";
import { makePlaceholder, makePlaceholderEndpoints, placeholderDestination } from "./resources.ts";

/** One Service per host, created where missing. Throws {@link NotOwnedError}. */
export async function ensurePlaceholders(deps: Deps, route: Route, hosts: readonly Host[]): Promise<Service[]> {
  const { client, caches, record } = deps;
  const found = await Promise.all(
    hosts.map(async (host) => {
      const wanted = makePlaceholder(route, host);
      const child = await ensureChild(client, services, caches.services, route, wanted);
      if (child.is === "foreign")
        throw new NotOwnedError(`There is an existing placeholder Service "${host.name}" that we do not own.`);
      if (child.is === "created") record(route, "Normal", "Created", `Created placeholder service "${host.name}"`);
      // What others added stays: the visibility label of a tag, for one.
      const labels = { ...child.object.metadata.labels, ...wanted.metadata.labels };
      const annotations = { ...child.object.metadata.annotations, ...wanted.metadata.annotations };
      if (
        sameValue(child.object.metadata.labels ?? {}, labels) &&
        sameValue(child.object.metadata.annotations ?? {}, annotations)
      )
        return child.object;
      const metadata = { ...child.object.metadata, labels, annotations };
      return client.update<Service>(services, { ...child.object, metadata });
    }),
  );
  await removeOthers(deps, route, hosts);
  return found;
}

async function removeOthers({ client, caches }: Deps, route: Route, hosts: readonly Host[]): Promise<void> {
  const { name, namespace } = route.metadata;
  const wanted = new Set(hosts.map((host) => host.name));
  const stale = caches.services
    .byIndex(index.byRoute, `${namespace}/${name}`)
    .filter((service) => !wanted.has(service.metadata.name ?? "") && isControlledBy(service, route));
  for (const { metadata } of stale)
    for (const resource of [services, endpoints]) {
      if (resource === endpoints && caches.endpoints.get(`${namespace}/${metadata.name}`) === undefined) continue;
      await client.delete(resource, metadata.name ?? "", namespace).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    }
}

/** Leads the placeholders to the gateway that the Ingress names; leaves them while it names none. */
export async function leadPlaceholders(
  deps: Deps,
  route: Route,
  placeholders: readonly Service[],
  ingress: KIngress,
): Promise<void> {
  await Promise.all(
    placeholders.map(async (placeholder) => {
      const isPrivate = placeholder.metadata.labels?.[label.visibility] === "cluster-local";
      const destination = placeholderDestination(ingress, isPrivate);
      if (destination === undefined) return;
      await leadOne(deps, placeholder, destination.spec);
      if (destination.endpoints === undefined) return;
      const wanted = makePlaceholderEndpoints(placeholder, destination.endpoints, route);
      const child = await ensureChild<Endpoints>(deps.client, endpoints, deps.caches.endpoints, route, wanted);
      const { name } = placeholder.metadata;
      if (child.is === "foreign")
        throw new NotOwnedError(`There is an existing placeholder Endpoint "${name}" that we do not own.`);
      if (!sameValue(child.object.subsets, wanted.subsets))
        await deps.client.update<Endpoints>(endpoints, { ...child.object, ...wanted, metadata: child.object.metadata });
    }),
  );
}

async function leadOne({ client }: Deps, found: Service, wanted: Service["spec"]): Promise<void> {
  const same =
    found.spec.type === wanted.type &&
    found.spec.externalName === wanted.externalName &&
    // Headless or not is a kind of address too.
    (found.spec.clusterIP === "None") === (wanted.clusterIP === "None");
  if (same) return;
  if (found.spec.type === "ExternalName" && wanted.type === "ExternalName") {
    await client.update<Service>(services, { ...found, spec: { ...found.spec, ...wanted } });
    return;
  }
  // A Service's kind of address cannot be changed in place.
  const { name = "", namespace, labels = {}, annotations = {}, ownerReferences = [] } = found.metadata;
  await client.delete(services, name, namespace);
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }), labels, annotations, ownerReferences };
  await client.create<Service>(services, { apiVersion: found.apiVersion, kind: found.kind, metadata, spec: wanted });
}
