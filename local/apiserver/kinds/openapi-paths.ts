/** The `paths` of the OpenAPI documents: what clients read from them is the kind, the action and the parameters. */
import type { Kind } from "../kind.ts";
import { documentPath } from "./openapi-schema.ts";

export type Json = Record<string, unknown>;
export interface Parameter {
  name: string;
  in: "query" | "path";
  type: "string" | "boolean" | "integer";
}
export interface Operation {
  method: "get" | "post" | "put" | "patch" | "delete";
  action: string;
  kind: { group: string; version: string; kind: string };
  parameters: Parameter[];
  operationId: string;
}
export interface PathItem {
  path: string;
  parameters: Parameter[];
  operations: Operation[];
}

const query = (name: string, type: Parameter["type"] = "string"): Parameter => ({ name, in: "query", type });
const write = [query("dryRun"), query("fieldManager"), query("fieldValidation")];
const reading = [
  query("allowWatchBookmarks", "boolean"),
  query("continue"),
  query("fieldSelector"),
  query("labelSelector"),
  query("limit", "integer"),
  query("resourceVersion"),
  query("resourceVersionMatch"),
  query("timeoutSeconds", "integer"),
  query("watch", "boolean"),
];
const deleting = [
  query("dryRun"),
  query("gracePeriodSeconds", "integer"),
  query("orphanDependents", "boolean"),
  query("propagationPolicy"),
];

export function pathItems(kind: Kind): PathItem[] {
  const { resource } = kind;
  const { group, version, plural, namespaced } = resource;
  const own = { group, version, kind: resource.kind };
  const root = `/${documentPath(resource)}`;
  const namespace: Parameter = { name: "namespace", in: "path", type: "string" };
  const name: Parameter = { name: "name", in: "path", type: "string" };
  const scope = namespaced ? [namespace] : [];
  const collection = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
  const operation = (
    method: Operation["method"],
    action: string,
    target: string,
    parameters: Parameter[],
    of = own,
  ): Operation => ({
    method,
    action,
    kind: of,
    parameters,
    operationId: `${action}${[group.split(".")[0] || "core", version, target].map((part) => part.charAt(0).toUpperCase() + part.slice(1)).join("")}`,
  });
  const single = (suffix: string, of = own): Operation[] => [
    operation("get", "get", resource.kind + suffix, [], of),
    operation("put", "put", resource.kind + suffix, write, of),
    operation("patch", "patch", resource.kind + suffix, [...write, query("force", "boolean")], of),
  ];
  const items: PathItem[] = [
    {
      path: collection,
      parameters: scope,
      operations: [
        operation("get", "list", resource.kind, reading),
        operation("post", "post", resource.kind, write),
        operation("delete", "deletecollection", resource.kind, [...reading, ...deleting]),
      ],
    },
    {
      path: `${collection}/{name}`,
      parameters: [...scope, name],
      operations: [...single(""), operation("delete", "delete", resource.kind, deleting)],
    },
  ];
  if (namespaced)
    items.push({
      path: `${root}/${plural}`,
      parameters: [],
      operations: [operation("get", "list", `${resource.kind}ForAllNamespaces`, reading)],
    });
  if (kind.hasStatus)
    items.push({ path: `${collection}/{name}/status`, parameters: [...scope, name], operations: single("Status") });
  if (kind.scale !== undefined) {
    const scale = { group: "autoscaling", version: "v1", kind: "Scale" };
    items.push({
      path: `${collection}/{name}/scale`,
      parameters: [...scope, name],
      operations: single("Scale", scale),
    });
  }
  return items;
}

/** The path items as JSON. In version 3 a parameter's type is a schema. */
export function pathsJson(items: readonly PathItem[], version: 2 | 3): Json {
  const parameterJson = ({ name, in: place, type }: Parameter): Json => ({
    name,
    in: place,
    ...(place === "path" && { required: true }),
    ...(version === 3 ? { schema: { type, uniqueItems: true } } : { type, uniqueItems: true }),
  });
  const json: Json = {};
  for (const { path, parameters, operations } of items) {
    const item: Json = { parameters: parameters.map(parameterJson) };
    for (const { method, action, kind, parameters: own, operationId } of operations)
      item[method] = {
        operationId,
        parameters: own.map(parameterJson),
        responses: { "200": { description: "OK" } },
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
      };
    json[path] = item;
  }
  return json;
}
