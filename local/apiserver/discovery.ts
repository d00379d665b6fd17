/** What the server serves, told in the three forms that clients ask for: per version, per group, and all at once. */
import { apiVersionOf } from "../../api/meta.ts";
import type { Kind, KindRegistry } from "./kind.ts";
import type { DiscoveryVersion } from "./negotiation.ts";
import { reviewResources } from "./reviews.ts";

interface Listed {
  group: string;
  version: string;
  name: string;
  singular: string;
  namespaced: boolean;
  kind: string;
  verbs: readonly string[];
  shortNames: readonly string[];
  categories: readonly string[];
  /** Where the kind is not of the resource's own group and version. */
  responseKind: { group: string; version: string; kind: string };
  subresources: { name: string; verbs: readonly string[]; responseKind: Listed["responseKind"] }[];
}

const subresourceVerbs = ["get", "patch", "update"];

const streams = ["create", "get"];
const proxied = ["create", "delete", "get", "patch", "update"];
type Action = [name: string, verbs: readonly string[], responseKind?: Listed["responseKind"]];
const options = (kind: string): Listed["responseKind"] => ({ group: "", version: "v1", kind });

/** Subresources that are no view of the object, by `group/plural`. */
const actions: Readonly<Record<string, readonly Action[]>> = {
  "/pods": [
    ["attach", streams, options("PodAttachOptions")],
    ["eviction", ["create"], { group: "policy", version: "v1", kind: "Eviction" }],
    ["exec", streams, options("PodExecOptions")],
    ["log", ["get"]],
    ["portforward", streams, options("PodPortForwardOptions")],
    ["proxy", proxied, options("PodProxyOptions")],
  ],
  "/services": [["proxy", proxied, options("ServiceProxyOptions")]],
  "/serviceaccounts": [["token", ["create"], { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" }]],
};

function listedOf(kind: Kind): Listed {
  const { group, version, plural, namespaced } = kind.resource;
  const own = { group, version, kind: kind.resource.kind };
  const subresources: Listed["subresources"] = [];
  for (const [name, verbs, of = own] of actions[`${group}/${plural}`] ?? [])
    subresources.push({ name, verbs, responseKind: of });
  if (kind.scale !== undefined)
    subresources.push({
      name: "scale",
      verbs: subresourceVerbs,
      responseKind: { group: "autoscaling", version: "v1", kind: "Scale" },
    });
  if (kind.hasStatus) subresources.push({ name: "status", verbs: subresourceVerbs, responseKind: own });
  return {
    group,
    version,
    name: plural,
    singular: kind.singular,
    namespaced,
    kind: own.kind,
    verbs: kind.verbs,
    shortNames: kind.shortNames,
    categories: kind.categories,
    responseKind: own,
    subresources,
  };
}

const reviews: readonly Listed[] = reviewResources.map(({ group, plural, kind, namespaced }) => ({
  group,
  version: "v1",
  name: plural,
  singular: kind.toLowerCase(),
  namespaced,
  kind,
  verbs: ["create"],
  shortNames: [],
  categories: [],
  responseKind: { group, version: "v1", kind },
  subresources: [],
}));

/** Groups in the order of their registration, each with its versions, the preferred one first. */
function groupsOf(registry: KindRegistry): Map<string, Map<string, Listed[]>> {
  const groups = new Map<string, Map<string, Listed[]>>();
  for (const listed of [...registry.all().map(listedOf), ...reviews]) {
    const versions = groups.get(listed.group) ?? new Map<string, Listed[]>();
    groups.set(listed.group, versions);
    versions.set(listed.version, [...(versions.get(listed.version) ?? []), listed]);
  }
  return groups;
}

export const coreVersions = (address: string): object => ({
  kind: "APIVersions",
  versions: ["v1"],
  serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress: address }],
});

function groupOf(name: string, versions: Iterable<string>): object {
  const named = [...versions].map((version) => ({ groupVersion: apiVersionOf({ group: name, version }), version }));
  return { name, versions: named, preferredVersion: named[0] };
}

export function groupList(registry: KindRegistry): object {
  const groups = [...groupsOf(registry)].filter(([name]) => name !== "");
  return {
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: groups.map(([name, versions]) => groupOf(name, versions.keys())),
  };
}

export function group(registry: KindRegistry, name: string): object | undefined {
  const versions = groupsOf(registry).get(name);
  return versions === undefined ? undefined : { kind: "APIGroup", apiVersion: "v1", ...groupOf(name, versions.keys()) };
}

export function resourceList(registry: KindRegistry, groupName: string, version: string): object | undefined {
  const listed = groupsOf(registry).get(groupName)?.get(version);
  if (listed === undefined) return undefined;
  const resources = listed.flatMap((one) => [
    {
      name: one.name,
      singularName: one.singular,
      namespaced: one.namespaced,
      kind: one.kind,
      verbs: one.verbs,
      ...(one.shortNames.length > 0 && { shortNames: one.shortNames }),
      ...(one.categories.length > 0 && { categories: one.categories }),
    },
    ...one.subresources.map((sub) => ({
      name: `${one.name}/${sub.name}`,
      singularName: "",
      namespaced: one.namespaced,
      ...(sub.responseKind.group !== one.group && { group: sub.responseKind.group, version: sub.responseKind.version }),
      kind: sub.responseKind.kind,
      verbs: sub.verbs,
    })),
  ]);
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: apiVersionOf({ group: groupName, version }),
    resources,
  };
}

/** Body of `/api` (`core`) or `/apis` in the aggregated form. */
export function aggregated(registry: KindRegistry, core: boolean, version: DiscoveryVersion): object {
  const groups = [...groupsOf(registry)].filter(([name]) => (name === "") === core);
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map(([name, versions]) => ({
      metadata: { creationTimestamp: null, ...(name !== "" && { name }) },
      versions: [...versions].map(([ofVersion, listed]) => ({
        version: ofVersion,
        freshness: "Current",
        resources: listed.map((one) => ({
          resource: one.name,
          responseKind: one.responseKind,
          scope: one.namespaced ? "Namespaced" : "Cluster",
          singularResource: one.singular,
          verbs: one.verbs,
          ...(one.shortNames.length > 0 && { shortNames: one.shortNames }),
          ...(one.categories.length > 0 && { categories: one.categories }),
          ...(one.subresources.length > 0 && {
            subresources: one.subresources.map((sub) => ({
              subresource: sub.name,
              responseKind: sub.responseKind,
              verbs: sub.verbs,
            })),
          }),
        })),
      })),
    })),
  };
}
