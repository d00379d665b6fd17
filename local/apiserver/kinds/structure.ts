/** How server-side apply divides an object into fields that have owners. */
import { isObject } from "../json-value.ts";
import type { Structure } from "../kind.ts";
import type { Json } from "./json-object.ts";
import { messageOf, type Field, type Message } from "./message.ts";

/** Where nothing is known: objects are divided into their members, lists are one value. */
const unknown: Structure = {
  isAtomic: false,
  listType: { is: "atomic" },
  member: () => unknown,
  item: () => unknown,
};

const ofMessage = new Map<string, Structure>();

/** Of a built-in kind, by message name. */
export function messageStructure(name: string): Structure {
  const known = ofMessage.get(name);
  if (known !== undefined) return known;
  const message: Message = messageOf(name);
  const members = new Map<string, Structure>();
  const structure: Structure = {
    isAtomic: message.atomic,
    listType: { is: "atomic" },
    member: (member) => {
      const found = members.get(member);
      if (found !== undefined) return found;
      const field = message.byName.get(member);
      const made = field === undefined ? unknown : fieldStructure(field);
      members.set(member, made);
      return made;
    },
    item: () => unknown,
  };
  ofMessage.set(name, structure);
  return structure;
}

function fieldStructure(field: Field): Structure {
  const isAtomic = field.listType?.is === "atomic";
  const one = (): Structure => (field.type.is === "message" ? messageStructure(field.type.message.name) : leaf(field));
  switch (field.of) {
    case "one":
      return isAtomic ? { ...one(), isAtomic } : one();
    case "list":
      return { isAtomic: false, listType: field.listType ?? { is: "atomic" }, member: () => unknown, item: one };
    case "map":
      break;
  }
  return { isAtomic, listType: { is: "atomic" }, member: one, item: () => unknown };
}

/** Values that look like objects but are written as a whole. */
const leaf = (field: Field): Structure =>
  field.type.is === "scalar" && (field.type.scalar === "raw" || field.type.scalar === "fields")
    ? { ...unknown, isAtomic: true }
    : unknown;

const ofSchema = new WeakMap<Json, Structure>();

/** Of a custom kind, or of a place in it, by its schema. */
export function schemaStructure(schema: Json): Structure {
  const known = ofSchema.get(schema);
  if (known !== undefined) return known;
  const listType = schema["x-kubernetes-list-type"];
  const keys = schema["x-kubernetes-list-map-keys"];
  const { items, properties, additionalProperties } = schema;
  const structure: Structure = {
    isAtomic: schema["x-kubernetes-map-type"] === "atomic",
    listType:
      listType === "map" && Array.isArray(keys)
        ? { is: "map", keys: keys.map(String) }
        : { is: listType === "set" ? "set" : "atomic" },
    member: (name) => {
      const inner = isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
      return isObject(inner) ? schemaStructure(inner) : unknown;
    },
    item: () => (isObject(items) ? schemaStructure(items) : unknown),
  };
  ofSchema.set(schema, structure);
  return structure;
}
