/** A CRD's structural schema, compiled once: pruning and defaulting of custom objects. */

import { isObject } from "../json-value.ts";
import type { Json } from "./json-object.ts";

/** One place of the schema. Fields absent from the source are undefined. */
export interface SchemaNode {
  source: Json;
  type: string | undefined;
  properties: ReadonlyMap<string, SchemaNode>;
  /** What `additionalProperties` allows: a schema for the values, anything, or nothing. */
  additional: SchemaNode | true | undefined;
  items: SchemaNode | undefined;
  preservesUnknown: boolean;
  isEmbedded: boolean;
  isIntOrString: boolean;
  isNullable: boolean;
  default: unknown;
  required: readonly string[];
  pattern: RegExp | undefined;
  allOf: readonly SchemaNode[];
  anyOf: readonly SchemaNode[];
  oneOf: readonly SchemaNode[];
  not: SchemaNode | undefined;
  /** Whether anything at or below this place has a default. */
  hasDefaults: boolean;
}

export function compileSchema(source: Json): SchemaNode {
  const properties = new Map<string, SchemaNode>();
  if (isObject(source["properties"]))
    for (const [name, schema] of Object.entries(source["properties"]))
      if (isObject(schema)) properties.set(name, compileSchema(schema));
  const additional = source["additionalProperties"];
  const node: SchemaNode = {
    source,
    type: typeof source["type"] === "string" && source["type"] !== "" ? source["type"] : undefined,
    properties,
    additional: isObject(additional) ? compileSchema(additional) : additional === true ? true : undefined,
    items: isObject(source["items"]) ? compileSchema(source["items"]) : undefined,
    preservesUnknown: source["x-kubernetes-preserve-unknown-fields"] === true,
    isEmbedded: source["x-kubernetes-embedded-resource"] === true,
    isIntOrString: source["x-kubernetes-int-or-string"] === true,
    isNullable: source["nullable"] === true,
    default: source["default"],
    required: Array.isArray(source["required"]) ? source["required"].map(String) : [],
    pattern: compilePattern(source["pattern"]),
    allOf: compileAll(source["allOf"]),
    anyOf: compileAll(source["anyOf"]),
    oneOf: compileAll(source["oneOf"]),
    not: isObject(source["not"]) ? compileSchema(source["not"]) : undefined,
    hasDefaults: false,
  };
  node.hasDefaults =
    node.default !== undefined ||
    [...properties.values()].some((one) => one.hasDefaults) ||
    (typeof node.additional === "object" && node.additional.hasDefaults) ||
    node.items?.hasDefaults === true;
  return node;
}

const compileAll = (sources: unknown): SchemaNode[] =>
  Array.isArray(sources) ? sources.filter(isObject).map(compileSchema) : [];

/** Go's syntax where JavaScript's differs: inline flags and \A \z. undefined for what cannot be read. */
function compilePattern(source: unknown): RegExp | undefined {
  if (typeof source !== "string" || source === "") return undefined;
  const flags = /^\(\?([is]+)\)/.exec(source);
  const body = source
    .slice(flags?.[0].length ?? 0)
    .replace(/\\A/g, "^")
    .replace(/\\z/g, "$");
  try {
    return new RegExp(body, `u${flags?.[1] ?? ""}`);
  } catch {
    try {
      return new RegExp(body, flags?.[1] ?? ""); // escapes that only the lenient syntax knows
    } catch {
      return undefined;
    }
  }
}

/**
 * Removes in place what the schema does not specify and appends its paths to `unknown`. At a root, and where a
 * resource is embedded, apiVersion, kind and metadata stay: they are the API's own.
 */
export function prune(
  value: unknown,
  node: SchemaNode,
  path: string,
  unknown: string[],
  isRoot = node.isEmbedded,
): void {
  if (Array.isArray(value)) {
    if (node.items === undefined) return;
    for (let index = 0; index < value.length; index++) prune(value[index], node.items, `${path}[${index}]`, unknown);
    return;
  }
  if (!isObject(value)) return;
  for (const name of Object.keys(value)) {
    if (isRoot && (name === "apiVersion" || name === "kind" || name === "metadata")) continue;
    const inner = node.properties.get(name) ?? node.additional;
    const innerPath = path === "" ? name : `${path}.${name}`;
    if (typeof inner === "object") prune(value[name], inner, innerPath, unknown);
    else if (inner === undefined && !node.preservesUnknown && !node.isIntOrString) {
      delete value[name];
      unknown.push(innerPath);
    }
  }
}

/** Fills defaults in place, also into what was itself defaulted. A null where none is allowed counts as absent. */
export function applyDefaults(value: unknown, node: SchemaNode): void {
  if (!node.hasDefaults) return;
  if (Array.isArray(value)) {
    if (node.items?.hasDefaults === true) for (const item of value) applyDefaults(item, node.items);
    return;
  }
  if (!isObject(value)) return;
  for (const [name, inner] of node.properties) {
    if (!inner.hasDefaults) continue;
    if (inner.default !== undefined && (value[name] === undefined || (value[name] === null && !inner.isNullable)))
      value[name] = structuredClone(inner.default);
    applyDefaults(value[name], inner);
  }
  if (typeof node.additional === "object" && node.additional.hasDefaults)
    for (const name of Object.keys(value)) if (!node.properties.has(name)) applyDefaults(value[name], node.additional);
}
