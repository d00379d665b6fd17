/** Reads the JSON form of a built-in kind as its field facts say: unknown fields go, wrong types are refused. */
import type { KubeObject } from "../../../api/meta.ts";
import { isObject } from "../json-value.ts";
import { DecodeError, type DecodeResult } from "../kind.ts";
import type { Json } from "./json-object.ts";
import { messageOf, type Field, type Message, type Scalar } from "./message.ts";
import { formatQuantity, parseQuantity } from "../../../api/quantity.ts";

interface Walk {
  path: (string | number)[];
  unknown: string[];
}

/** What a kind's `prune` is: changes the object in place. Throws DecodeError with the message the API answers with. */
export function knownFields(messageName: string): (object: KubeObject) => DecodeResult {
  const message = messageOf(messageName);
  return (object) => {
    const unknownFields: string[] = [];
    const { apiVersion, kind } = object;
    try {
      decodeMessage(message, object as unknown as Json, { path: [], unknown: unknownFields }, true);
      if (!isObject(object.metadata)) object.metadata = {};
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const version = apiVersion.split("/").at(-1);
      throw new DecodeError(`${kind} in version "${version}" cannot be handled as a ${kind}: ${error.message}`);
    }
    return { object, unknownFields };
  };
}

/** The same for a part of an object, at the path. Throws DecodeError without naming the kind. */
export function decodeKnown(message: Message, object: object, path: string[], unknown: string[]): void {
  decodeMessage(message, object as Json, { path: [...path], unknown }, false);
}

function decodeMessage(message: Message, object: Json, walk: Walk, isRoot: boolean): void {
  for (const name of Object.keys(object)) {
    if (isRoot && (name === "apiVersion" || name === "kind")) continue;
    const field = message.byName.get(name);
    const value = object[name];
    if (field === undefined) {
      walk.unknown.push(joinPath([...walk.path, name]));
      delete object[name];
    } else if (value === null || value === undefined) {
      delete object[name]; // a typed server has no null: it reads as absent
    } else {
      walk.path.push(name);
      object[name] = decodeField(message, field, value, walk);
      walk.path.pop();
    }
  }
}

function decodeField(owner: Message, field: Field, value: unknown, walk: Walk): unknown {
  if (field.of === "one") return decodeOne(owner, field, value, walk);
  if (field.of === "list") {
    if (!Array.isArray(value)) throw wrongType(value, owner, walk, `[]${goType(field)}`);
    for (let index = 0; index < value.length; index++) {
      walk.path.push(index);
      value[index] = decodeOne(owner, field, value[index] ?? emptyOf(field), walk);
      walk.path.pop();
    }
    return value;
  }
  if (!isObject(value)) throw wrongType(value, owner, walk, `map[string]${goType(field)}`);
  for (const key of Object.keys(value)) {
    walk.path.push(key);
    value[key] = decodeOne(owner, field, value[key] ?? emptyOf(field), walk);
    walk.path.pop();
  }
  return value;
}

const emptyOf = (field: Field): unknown =>
  field.type.is === "message"
    ? {}
    : field.type.scalar === "string" || field.type.scalar === "bytes"
      ? ""
      : field.type.scalar === "quantity"
        ? "0"
        : null;

function decodeOne(owner: Message, field: Field, value: unknown, walk: Walk): unknown {
  if (field.type.is === "message") {
    if (!isObject(value)) throw wrongType(value, owner, walk, goType(field));
    decodeMessage(field.type.message, value, walk, false);
    return value;
  }
  return decodeScalar(field.type.scalar, owner, value, walk);
}

function decodeScalar(scalar: Scalar, owner: Message, value: unknown, walk: Walk): unknown {
  switch (scalar) {
    case "string":
      if (typeof value !== "string") throw wrongType(value, owner, walk, "string");
      return value;
    case "bool":
      if (typeof value !== "boolean") throw wrongType(value, owner, walk, "bool");
      return value;
    case "int32":
    case "int64": {
      if (typeof value !== "number") throw wrongType(value, owner, walk, scalar);
      const limit = scalar === "int32" ? 2 ** 31 : 2 ** 63;
      if (!Number.isInteger(value) || value >= limit || value < -limit)
        throw new DecodeError(
          `json: cannot unmarshal number ${value} into Go struct field ${goField(owner, walk)} of type ${scalar}`,
        );
      return value;
    }
    case "double":
      if (typeof value !== "number") throw wrongType(value, owner, walk, "float64");
      return value;
    case "bytes":
      if (typeof value !== "string") throw wrongType(value, owner, walk, "[]uint8");
      return decodeBase64(value);
    case "quantity": {
      const text = typeof value === "number" ? String(value) : value;
      const quantity = typeof text === "string" ? parseQuantity(text.trim()) : undefined;
      if (quantity === undefined) throw new DecodeError(quantityError);
      return formatQuantity(quantity);
    }
    case "intOrString":
      if (typeof value !== "string" && typeof value !== "number")
        throw wrongType(value, owner, walk, "intstr.IntOrString");
      if (typeof value === "number" && !Number.isInteger(value)) throw wrongType(value, owner, walk, "int32");
      return value;
    case "time":
    case "microtime":
      return decodeTime(scalar, owner, value, walk);
    case "duration":
      if (typeof value !== "string") throw wrongType(value, owner, walk, "string");
      return value;
    case "raw":
    case "fields":
      if (!isObject(value)) throw wrongType(value, owner, walk, "map[string]interface {}");
      return value;
    case "extra":
      if (!Array.isArray(value)) throw wrongType(value, owner, walk, "[]string");
      return value;
    case "json":
    case "schemaOrArray":
    case "schemaOrBool":
    case "schemaOrStrings":
      break;
  }
  return value; // a CRD's schema is read where it is compiled
}

const quantityError = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

function decodeBase64(text: string): string {
  const compact = text.replace(/[\r\n]/g, "");
  const bad = /[^A-Za-z0-9+/=]/.exec(compact);
  const wrongLength = compact.length % 4 !== 0 || /=[^=]/.test(compact) || /={3}/.test(compact);
  if (bad !== null || wrongLength)
    throw new DecodeError(
      `illegal base64 data at input byte ${bad?.index ?? Math.max(0, compact.length - (compact.length % 4))}`,
    );
  return compact;
}

const rfc3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

function decodeTime(scalar: "time" | "microtime", owner: Message, value: unknown, walk: Walk): string {
  if (typeof value !== "string") throw wrongType(value, owner, walk, "string");
  const match = rfc3339.exec(value);
  const ms = Date.parse(value);
  if (match === null || Number.isNaN(ms))
    throw new DecodeError(`parsing time "${value}" as "2006-01-02T15:04:05Z07:00": cannot parse "${value}" as "2006"`);
  const second = new Date(ms).toISOString().slice(0, 19);
  return scalar === "time" ? `${second}Z` : `${second}.${(match[1] ?? ".").slice(1, 7).padEnd(6, "0")}Z`;
}

function wrongType(value: unknown, owner: Message, walk: Walk, wanted: string): DecodeError {
  const got = Array.isArray(value)
    ? "array"
    : value !== null && typeof value === "object"
      ? "object"
      : typeof value === "boolean"
        ? "bool"
        : typeof value;
  return new DecodeError(
    `json: cannot unmarshal ${got} into Go struct field ${goField(owner, walk)} of type ${wanted}`,
  );
}

const goField = (owner: Message, walk: Walk): string =>
  `${shortName(owner)}.${walk.path.filter((part) => typeof part === "string").join(".")}`;
const shortName = (message: Message): string => message.name.slice(message.name.lastIndexOf(".") + 1);

function goType(field: Field): string {
  if (field.type.is === "scalar") return field.type.scalar === "quantity" ? "resource.Quantity" : field.type.scalar;
  const [, version = "", name = ""] = field.type.message.name.split(".");
  return `${version}.${name}`;
}

/** `spec.containers[0].name` */
export function joinPath(path: readonly (string | number)[]): string {
  let text = "";
  for (const part of path) text += typeof part === "number" ? `[${part}]` : text === "" ? part : `.${part}`;
  return text;
}
