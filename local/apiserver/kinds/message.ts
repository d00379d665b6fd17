/**
 * The built-in API types as field facts, one table for every use: protobuf decoding, unknown fields, OpenAPI,
 * strategic merge.
 *
 * A message is a string of fields, `name=number:type` each, with
 * - `!` after the name: the field is required in the published schema;
 * - `?` after the name: zero differs from absent (a pointer in the API's Go types);
 * - `^` for a name: the message's fields stand in its parent's JSON object, though protobuf nests them;
 * - `[]T` a list, `{}T` a map from strings; T is a scalar, a special type of {@link Scalar} or a message, whose name is
 *   complete (`core.v1.Pod`) or of the same group and version (`PodSpec`);
 * - `~merge(name)`: patch strategy and merge key; strategies are joined by commas;
 * - `@map(a,b)`, `@set`, `@atomic`: how server-side apply treats the list, map or object.
 * A leading `@atomic` says the last of the whole message.
 */
import { apiextensions } from "./tables/apiextensions.ts";
import { core } from "./tables/core.ts";
import { groups } from "./tables/groups.ts";
import { meta } from "./tables/meta.ts";

/** Group and version (`core.v1`) to message names to fields. */
export type MessageTable = Readonly<Record<string, Readonly<Record<string, string>>>>;

const scalars = [
  "string",
  "bool",
  "int32",
  "int64",
  "double",
  "bytes",
  "quantity",
  "intOrString",
  "time",
  "microtime",
  "duration",
  /** An embedded object of any kind (runtime.RawExtension). */
  "raw",
  /** A managedFields set. */
  "fields",
  /** Any JSON value. */
  "json",
  "schemaOrArray",
  "schemaOrBool",
  "schemaOrStrings",
  /** A list of strings that protobuf wraps into a message (the `extra` of a user). */
  "extra",
] as const;
export type Scalar = (typeof scalars)[number];

export type FieldType = { is: "scalar"; scalar: Scalar } | { is: "message"; message: Message };

export interface Field {
  /** As in JSON; "" where the message's fields stand in the parent's object. */
  name: string;
  number: number;
  of: "one" | "list" | "map";
  type: FieldType;
  required: boolean;
  /** Whether zero differs from absent. */
  keepsZero: boolean;
  mergeKey: string | undefined;
  strategies: readonly string[];
  listType: { is: "map"; keys: readonly string[] } | { is: "set" } | { is: "atomic" } | undefined;
}

export interface Message {
  /** `core.v1.PodSpec` */
  name: string;
  atomic: boolean;
  fields: readonly Field[];
  /** With the fields of inlined messages. */
  byName: ReadonlyMap<string, Field>;
  byNumber: ReadonlyMap<number, Field>;
}

const tables: MessageTable = { ...core, ...meta, ...groups, ...apiextensions };
const parsed = new Map<string, Message>();
const isScalar = (name: string): name is Scalar => (scalars as readonly string[]).includes(name);

/** The message of that complete name; throws for one that is not in the tables. */
export function messageOf(name: string): Message {
  const known = parsed.get(name);
  if (known !== undefined) return known;
  const dot = name.lastIndexOf(".");
  const scope = name.slice(0, dot);
  let source = tables[scope]?.[name.slice(dot + 1)];
  if (source === undefined) throw new Error(`no message ${name} in the kinds tables`);
  const fields: Field[] = [];
  const byName = new Map<string, Field>();
  const byNumber = new Map<number, Field>();
  const atomic = source.startsWith("@atomic");
  if (atomic) source = source.slice("@atomic".length).trimStart();
  // Registered before its fields are read: schemas refer to themselves.
  const message: Message = { name, atomic, fields, byName, byNumber };
  parsed.set(name, message);
  for (const text of source.split(" ")) {
    if (text === "") continue;
    const field = parseField(text, scope);
    fields.push(field);
    byNumber.set(field.number, field);
    if (field.name !== "") byName.set(field.name, field);
    else if (field.type.is === "message") for (const [inner, own] of field.type.message.byName) byName.set(inner, own);
  }
  return message;
}

const pattern =
  /^(\^|[\w$-]+)(\??)(!?)=(\d+):(\[\]|\{\})?([\w.]+)(?:~([\w,]*)(?:\((\w+)\))?)?(?:@(\w+)(?:\(([\w,]+)\))?)?$/;

function parseField(text: string, scope: string): Field {
  const match = pattern.exec(text);
  if (match === null) throw new Error(`not a field of the kinds tables: ${text}`);
  const [, name = "", optional, mark, number, container, type = "", strategies, mergeKey, listType, keys = ""] = match;
  return {
    name: name === "^" ? "" : name,
    number: Number(number),
    of: container === "[]" ? "list" : container === "{}" ? "map" : "one",
    type: isScalar(type)
      ? { is: "scalar", scalar: type }
      : { is: "message", message: messageOf(type.includes(".") ? type : `${scope}.${type}`) },
    required: mark === "!",
    keepsZero: optional === "?",
    mergeKey,
    strategies: strategies === undefined || strategies === "" ? [] : strategies.split(","),
    listType:
      listType === "map"
        ? { is: "map", keys: keys.split(",") }
        : listType === "set" || listType === "atomic"
          ? { is: listType }
          : undefined,
  };
}
