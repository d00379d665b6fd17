/** Applies patches to objects: JSON patch (RFC 6902), merge patch (RFC 7396), and the kinds' strategic merge. */
import type { KubeObject } from "../../api/meta.ts";
import type { Patch } from "../../kube/client.ts";
import { copyOf, isEqual, isObject, memberOf, set } from "./json-value.ts";
import type { Kind } from "./kind.ts";
import { badRequest, unprocessable, unsupportedMediaType } from "./status-error.ts";

type JsonPatch = Extract<Patch, { is: "json" }>["operations"];

/** Of server-side apply, which is no patch of what is there. */
export const applyType = "application/apply-patch+yaml";

export const patchTypes: Readonly<Record<string, Patch["is"]>> = {
  "application/json-patch+json": "json",
  "application/merge-patch+json": "merge",
  "application/strategic-merge-patch+json": "strategic",
};

/** As many operations as a patch may have. */
const mostOperations = 10_000;

/** The patch in a request's body; `type` is its media type without parameters. */
export function parsePatch(type: string, decode: () => unknown): Patch {
  const is = patchTypes[type];
  if (is === undefined) throw unsupportedMediaType([...Object.keys(patchTypes), applyType]);
  const body = decode();
  if (is === "json") {
    if (!Array.isArray(body)) throw badRequest("error decoding patch: want a list of operations");
    if (body.length > mostOperations)
      throw badRequest(`the allowed maximum operations in a JSON patch is ${mostOperations}, got ${body.length}`);
    return { is, operations: body as JsonPatch };
  }
  if (!isObject(body)) throw badRequest("error decoding patch: want an object");
  return { is, body };
}

/** A new object that shares nothing with the old one. */
export function patched(kind: Kind, object: KubeObject, patch: Patch): KubeObject {
  if (patch.is === "json") return applyJsonPatch(copyOf(object), patch.operations) as KubeObject;
  if (patch.is === "merge") return mergePatched(copyOf(object), copyOf(patch.body)) as KubeObject;
  if (kind.strategicMerge === undefined)
    throw unsupportedMediaType(["application/json-patch+json", "application/merge-patch+json"]);
  return copyOf(kind.strategicMerge(copyOf(object), copyOf(patch.body)));
}

/** Whether the patch may look at or change the record of managers. */
export function concernsManagedFields(patch: Patch): boolean {
  if (patch.is !== "json") {
    const metadata = memberOf(patch.body, "metadata");
    return isObject(metadata) && "managedFields" in metadata;
  }
  const reaches = (path = ""): boolean =>
    path === "" || path === "/metadata" || path.startsWith("/metadata/managedFields");
  return patch.operations.some(({ path, from }) => reaches(path) || (from !== undefined && reaches(from)));
}

/** RFC 7396. Changes and returns `target`. */
export function mergePatched(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result = isObject(target) ? target : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else set(result, key, mergePatched(Object.hasOwn(result, key) ? result[key] : undefined, value));
  }
  return result;
}

/** RFC 6902. Changes `document` and returns the result. Throws ApiError 422 where the patch does not fit. */
export function applyJsonPatch(document: unknown, operations: JsonPatch): unknown {
  const root: Record<string, unknown> = { "": document };
  for (const [index, operation] of operations.entries()) {
    if (!isObject(operation) || typeof operation.path !== "string")
      throw badRequest(`error decoding patch: operation ${index} has no path`);
    const { op, path, from = "" } = operation;
    switch (op) {
      case "add":
        add(root, path, copyOf(operation.value ?? null));
        break;
      case "replace":
        read(root, path);
        write(root, path, copyOf(operation.value ?? null));
        break;
      case "remove":
        remove(root, path);
        break;
      case "test":
        if (!isEqual(readOr(root, path) ?? null, operation.value ?? null))
          throw unprocessable(`testing path ${path}: value does not match`);
        break;
      case "copy":
        add(root, path, copyOf(read(root, from)));
        break;
      case "move":
        if (path.startsWith(`${from}/`)) throw unprocessable(`cannot move ${from} into itself`);
        add(root, path, remove(root, from));
        break;
      default:
        throw badRequest(`error decoding patch: unexpected operation ${String(op)}`);
    }
  }
  return root[""];
}

type Container = Record<string, unknown> | unknown[];

/** The container of the path's last step. The whole document is the member "" of `root`. */
function locate(root: Container, path: string): { parent: Container; key: string } {
  if (path !== "" && !path.startsWith("/")) throw unprocessable(`not a JSON pointer: ${path}`);
  const steps = path.split("/").map((step) => step.replace(/~1/g, "/").replace(/~0/g, "~"));
  let parent = root;
  for (const step of steps.slice(0, -1)) {
    const next = member(parent, step);
    if (typeof next !== "object" || next === null) throw missing(path);
    parent = next as Container;
  }
  return { parent, key: steps.at(-1) ?? "" };
}

const missing = (path: string): Error =>
  unprocessable(`the server rejected our request due to an error in our request: path ${path} does not exist`);

const isIndex = (key: string): boolean => /^(0|[1-9]\d*)$/.test(key);

function member(parent: Container, key: string): unknown {
  if (Array.isArray(parent)) return isIndex(key) ? parent[Number(key)] : undefined;
  return Object.hasOwn(parent, key) ? parent[key] : undefined;
}

function readOr(root: Container, path: string): unknown {
  const { parent, key } = locate(root, path);
  return member(parent, key);
}

function read(root: Container, path: string): unknown {
  const value = readOr(root, path);
  if (value === undefined) throw missing(path);
  return value;
}

function write(root: Container, path: string, value: unknown): void {
  const { parent, key } = locate(root, path);
  if (Array.isArray(parent)) parent[Number(key)] = value;
  else set(parent, key, value);
}

function add(root: Container, path: string, value: unknown): void {
  const { parent, key } = locate(root, path);
  if (!Array.isArray(parent)) return set(parent, key, value);
  const index = key === "-" ? parent.length : isIndex(key) ? Number(key) : NaN;
  if (!(index <= parent.length)) throw missing(path);
  parent.splice(index, 0, value);
}

function remove(root: Container, path: string): unknown {
  const value = read(root, path);
  const { parent, key } = locate(root, path);
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
  return value;
}
