/** Validation of custom objects against their structural schema, in Kubernetes' words. */
import { isDeepStrictEqual } from "node:util";
import { isObject } from "../json-value.ts";
import type { FieldCause } from "../kind.ts";
import { duplicate, invalid, notSupported, required, tooLong, tooMany, typeInvalid } from "./field-cause.ts";
import type { Json } from "./json-object.ts";
import { isValidFormat } from "./schema-format.ts";
import type { SchemaNode } from "./structural-schema.ts";

/** Appends the problems of the value at the path. */
export function validateSchema(value: unknown, node: SchemaNode, path: string, causes: FieldCause[]): void {
  if (!validateType(value, node, path, causes)) return;
  if (value === null) return;
  const { source } = node;
  const allowed = source["enum"];
  if (Array.isArray(allowed) && !allowed.some((one) => isDeepStrictEqual(one, value)))
    causes.push(notSupported(path, value, allowed));
  if (typeof value === "string") validateString(value, node, path, causes);
  else if (typeof value === "number") validateNumber(value, source, path, causes);
  else if (Array.isArray(value)) validateList(value, node, path, causes);
  else if (isObject(value)) validateObject(value, node, path, causes);
  validateBranches(value, node, path, causes);
}

const inBody = (path: string, text: string): string => (path === "" ? text : `${path} in body ${text}`);

function validateType(value: unknown, node: SchemaNode, path: string, causes: FieldCause[]): boolean {
  const actual = typeOf(value);
  if (actual === "null") {
    if (node.isNullable || (node.type === undefined && !node.isIntOrString)) return true;
  } else if (node.isIntOrString) {
    if (actual === "integer" || actual === "string") return true;
  } else if (node.type === undefined || node.type === actual || (node.type === "number" && actual === "integer"))
    return true;
  const wanted = node.isIntOrString ? "integer,string" : (node.type ?? "");
  causes.push(typeInvalid(path, actual, inBody(path, `must be of type ${wanted}: "${actual}"`)));
  return false;
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value;
}

function validateString(value: string, { source, pattern }: SchemaNode, path: string, causes: FieldCause[]): void {
  const most = source["maxLength"];
  const least = source["minLength"];
  // Lengths count code points, as Go's runes.
  const length = typeof most === "number" || typeof least === "number" ? Array.from(value).length : 0;
  if (typeof most === "number" && length > most) causes.push(tooLong(path, most));
  if (typeof least === "number" && length < least)
    causes.push(invalid(path, value, inBody(path, `should be at least ${least} chars long`)));
  if (pattern !== undefined && !pattern.test(value))
    causes.push(invalid(path, value, inBody(path, `should match '${String(source["pattern"])}'`)));
  const format = source["format"];
  if (typeof format === "string" && !isValidFormat(format, value))
    causes.push(typeInvalid(path, value, inBody(path, `must be of type ${format}: ${JSON.stringify(value)}`)));
}

function validateNumber(value: number, source: Json, path: string, causes: FieldCause[]): void {
  const most = source["maximum"];
  const least = source["minimum"];
  const of = source["multipleOf"];
  const problem = (text: string) => causes.push(invalid(path, value, inBody(path, text)));
  if (typeof most === "number") {
    if (source["exclusiveMaximum"] === true ? value >= most : value > most)
      problem(`should be less than ${source["exclusiveMaximum"] === true ? "" : "or equal to "}${most}`);
  }
  if (typeof least === "number") {
    if (source["exclusiveMinimum"] === true ? value <= least : value < least)
      problem(`should be greater than ${source["exclusiveMinimum"] === true ? "" : "or equal to "}${least}`);
  }
  if (typeof of === "number" && of > 0 && Math.abs(value / of - Math.round(value / of)) > 1e-9)
    problem(`should be a multiple of ${of}`);
  const format = source["format"];
  if (format === "int32" && (value > 2 ** 31 - 1 || value < -(2 ** 31))) problem('must be of type int32: "integer"');
}

function validateList(value: unknown[], { source, items }: SchemaNode, path: string, causes: FieldCause[]): void {
  const most = source["maxItems"];
  const least = source["minItems"];
  if (typeof most === "number" && value.length > most) causes.push(tooMany(path, value.length, most));
  if (typeof least === "number" && value.length < least)
    causes.push(invalid(path, value.length, inBody(path, `should have at least ${least} items`)));
  if (
    source["uniqueItems"] === true &&
    value.some((one, at) => value.findIndex((other) => isDeepStrictEqual(one, other)) !== at)
  )
    causes.push(invalid(path, value, inBody(path, "shouldn't contain duplicates")));
  if (items !== undefined)
    for (const [index, item] of value.entries()) validateSchema(item, items, `${path}[${index}]`, causes);
  validateListType(value, source, path, causes);
}

/** Items of a set, or the keys of a map list, occur once. */
function validateListType(value: unknown[], source: Json, path: string, causes: FieldCause[]): void {
  const listType = source["x-kubernetes-list-type"];
  if (listType !== "set" && listType !== "map") return;
  const keys = Array.isArray(source["x-kubernetes-list-map-keys"])
    ? source["x-kubernetes-list-map-keys"].map(String)
    : [];
  const seen = new Set<string>();
  for (const [index, item] of value.entries()) {
    const identity =
      listType === "map" && isObject(item) ? Object.fromEntries(keys.map((key) => [key, item[key]])) : item;
    const text = JSON.stringify(identity);
    if (seen.has(text)) causes.push(duplicate(`${path}[${index}]`, identity));
    seen.add(text);
  }
}

function validateObject(value: Json, node: SchemaNode, path: string, causes: FieldCause[]): void {
  const { source } = node;
  const inner = (name: string) => (path === "" ? name : `${path}.${name}`);
  const most = source["maxProperties"];
  const least = source["minProperties"];
  const size = Object.keys(value).length;
  if (typeof most === "number" && size > most) causes.push(tooMany(path, size, most));
  if (typeof least === "number" && size < least)
    causes.push(invalid(path, size, inBody(path, `should have at least ${least} properties`)));
  for (const name of node.required) if (value[name] === undefined) causes.push(required(inner(name)));
  for (const [name, item] of Object.entries(value)) {
    const schema = node.properties.get(name);
    if (schema !== undefined) validateSchema(item, schema, inner(name), causes);
    else if (typeof node.additional === "object") validateSchema(item, node.additional, inner(name), causes);
  }
  if (node.isEmbedded)
    for (const name of ["apiVersion", "kind"])
      if (!value[name]) causes.push(required(inner(name), "must not be empty"));
}

function validateBranches(value: unknown, node: SchemaNode, path: string, causes: FieldCause[]): void {
  const fits = (branch: SchemaNode): boolean => {
    const own: FieldCause[] = [];
    validateSchema(value, branch, path, own);
    return own.length === 0;
  };
  const problem = (text: string) => causes.push(invalid(path, "", `"${path}" ${text}`));
  for (const branch of node.allOf) validateSchema(value, branch, path, causes);
  if (node.anyOf.length > 0 && !node.anyOf.some(fits)) problem("must validate at least one schema (anyOf)");
  if (node.oneOf.length > 0 && node.oneOf.filter(fits).length !== 1)
    problem("must validate one and only one schema (oneOf)");
  if (node.not !== undefined && fits(node.not)) problem("must not validate the schema (not)");
}
