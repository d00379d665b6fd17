/**
 * Strategic merge patch: a merge patch in which lists of objects are merged by a key, and `$` directives say the rest.
 * Source of the rules: the Kubernetes API conventions; of the keys: the kinds tables.
 */
import type { KubeObject } from "../../../api/meta.ts";
import { isObject, set } from "../json-value.ts";
import { DecodeError } from "../kind.ts";
import type { Json } from "./json-object.ts";
import { messageOf, type Field, type Message } from "./message.ts";
const order = "$setElementOrder/";
const primitives = "$deleteFromPrimitiveList/";
// Other names may begin with a dollar: a CRD's schema has `$ref`.
const isDirective = (name: string): boolean =>
  name === "$patch" || name === "$retainKeys" || name.startsWith(order) || name.startsWith(primitives);

/** What a kind's `strategicMerge` is. Throws DecodeError for a patch that cannot be applied. */
export function strategicMergeOf(messageName: string): (object: KubeObject, patch: object) => KubeObject {
  const message = messageOf(messageName);
  return (object, patch) => mergeObject(object as unknown as Json, patch as Json, message) as unknown as KubeObject;
}

function mergeObject(current: Json, patch: Json, message: Message | undefined): Json {
  const directive = patch["$patch"];
  if (directive === "replace") return withoutDirectives(patch);
  if (directive === "delete") return {};
  if (directive !== undefined && directive !== "merge") throw unknownDirective(directive);

  const merged: Json = structuredClone(current);
  const retained = patch["$retainKeys"];
  if (Array.isArray(retained))
    for (const name of Object.keys(merged)) if (!retained.includes(name)) delete merged[name];

  for (const [name, value] of Object.entries(patch)) {
    if (isDirective(name)) continue;
    const field = message?.byName.get(name);
    const found = Object.hasOwn(merged, name) ? merged[name] : undefined;
    if (value === null) delete merged[name];
    else if (Array.isArray(value))
      merged[name] = mergeList(Array.isArray(found) ? found : [], value, field, patch[order + name]);
    else if (isObject(value)) {
      if (field?.strategies.includes("replace") === true) set(merged, name, withoutDirectives(value));
      else if (isObject(found)) {
        if (value["$patch"] === "delete") delete merged[name];
        else set(merged, name, mergeObject(found, value, innerOf(field)));
      } else if (value["$patch"] !== "delete") set(merged, name, mergeObject({}, value, innerOf(field)));
    } else set(merged, name, value);
  }
  applyListDirectives(merged, patch, message);
  return merged;
}

/** Directives whose list the patch does not carry itself: removals of primitives, and a new order alone. */
function applyListDirectives(merged: Json, patch: Json, message: Message | undefined): void {
  for (const [name, value] of Object.entries(patch)) {
    if (!Array.isArray(value)) continue;
    if (name.startsWith(primitives)) {
      const list = merged[name.slice(primitives.length)];
      if (Array.isArray(list)) merged[name.slice(primitives.length)] = list.filter((item) => !value.includes(item));
    } else if (name.startsWith(order)) {
      const listName = name.slice(order.length);
      const list = merged[listName];
      if (Array.isArray(list)) merged[listName] = inOrder(list, value, message?.byName.get(listName)?.mergeKey);
    }
  }
}

function mergeList(current: unknown[], patch: unknown[], field: Field | undefined, ordered: unknown): unknown[] {
  const replacing = patch.some((item) => isObject(item) && item["$patch"] === "replace");
  const mergeKey = field?.mergeKey;
  if (field === undefined || replacing || !field.strategies.includes("merge"))
    return patch.filter((item) => !(isObject(item) && item["$patch"] !== undefined)).map(withoutDirectivesDeep);
  if (mergeKey === undefined) return [...new Set([...current, ...patch])]; // a list of primitives is a set

  const merged = current.map((item) => structuredClone(item));
  for (const item of patch) {
    if (!isObject(item)) throw new DecodeError(`the list ${field.name} holds objects`);
    const key = item[mergeKey];
    const directive = item["$patch"];
    if (key === undefined) {
      if (directive === "merge") continue;
      throw new DecodeError(`map: ${JSON.stringify(item)} does not contain declared merge key: ${mergeKey}`);
    }
    // Several entries may carry the same key (a port under TCP and UDP): the first is the one that is merged.
    const index = merged.findIndex((found) => isObject(found) && found[mergeKey] === key);
    if (directive === "delete") {
      for (let at = merged.length - 1; at >= 0; at--) {
        const found = merged[at];
        if (isObject(found) && found[mergeKey] === key) merged.splice(at, 1);
      }
    } else if (index >= 0) merged[index] = mergeObject(merged[index] as Json, item, innerOf(field));
    else merged.push(mergeObject({}, item, innerOf(field)));
  }
  return Array.isArray(ordered) ? inOrder(merged, ordered, mergeKey) : merged;
}

/** Items named by the order come in it; others keep their place relative to the item they followed. */
function inOrder(list: unknown[], ordered: unknown[], mergeKey: string | undefined): unknown[] {
  const keyOf = (item: unknown) => (mergeKey !== undefined && isObject(item) ? item[mergeKey] : item);
  const rank = new Map(ordered.map((item, index) => [keyOf(item), index]));
  const named = list.filter((item) => rank.has(keyOf(item)));
  named.sort((first, second) => (rank.get(keyOf(first)) ?? 0) - (rank.get(keyOf(second)) ?? 0));
  const result: unknown[] = [...named];
  let previous: unknown;
  for (const item of list) {
    if (!rank.has(keyOf(item))) result.splice(previous === undefined ? 0 : result.indexOf(previous) + 1, 0, item);
    previous = item;
  }
  return result;
}

const innerOf = (field: Field | undefined): Message | undefined =>
  field?.type.is === "message" && field.of !== "map" ? field.type.message : undefined;

/** What a patch says of a place where nothing is yet. */
function withoutDirectives(patch: Json): Json {
  const plain: Json = {};
  for (const [name, value] of Object.entries(patch))
    if (!isDirective(name) && value !== null) set(plain, name, withoutDirectivesDeep(value));
  return plain;
}

const withoutDirectivesDeep = (value: unknown): unknown =>
  isObject(value) ? withoutDirectives(value) : Array.isArray(value) ? value.map(withoutDirectivesDeep) : value;

const unknownDirective = (directive: unknown): DecodeError =>
  new DecodeError(`Unknown patch type: ${String(directive)}`);
