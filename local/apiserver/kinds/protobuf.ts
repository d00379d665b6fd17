/**
 * Kubernetes' protobuf bodies: the magic `k8s\0`, a runtime.Unknown envelope, then the object in the encoding that
 * the kinds tables describe. Decoded to what the same object is as JSON.
 */
import type { KubeObject } from "../../../api/meta.ts";
import { set } from "../json-value.ts";
import { DecodeError } from "../kind.ts";
import type { Json } from "./json-object.ts";
import { messageOf, type Field, type Message, type Scalar } from "./message.ts";

export const protobufContentType = "application/vnd.kubernetes.protobuf";
const magic = [0x6b, 0x38, 0x73, 0x00];
/** Deeper nesting than any real object has: a guard against hostile input. */
const mostLevels = 100;

/** Throws DecodeError for what is not such a body, or of a kind that has no protobuf form. */
export function decodeProtobuf(bytes: Uint8Array): KubeObject {
  if (magic.some((byte, index) => bytes[index] !== byte))
    throw new DecodeError("provided data does not appear to be a protobuf message");
  let apiVersion = "";
  let kind = "";
  let raw: Uint8Array = new Uint8Array();
  for (const { number, bytes: value } of entries(bytes.subarray(magic.length))) {
    if (number === 2) raw = value;
    if (number !== 1) continue;
    for (const typeMeta of entries(value)) {
      if (typeMeta.number === 1) apiVersion = textOf(typeMeta.bytes);
      if (typeMeta.number === 2) kind = textOf(typeMeta.bytes);
    }
  }
  const message = protobufMessage(apiVersion, kind);
  return { apiVersion, kind, ...decodeMessage(raw, message, 0) } as KubeObject;
}

function protobufMessage(apiVersion: string, kind: string): Message {
  const [version = "", group = ""] = apiVersion.split("/").toReversed();
  const scope =
    kind === "DeleteOptions" || kind === "Status" ? "meta.v1" : `${group.split(".")[0] || "core"}.${version}`;
  try {
    return messageOf(`${scope}.${kind}`);
  } catch (cause) {
    throw new DecodeError(`no kind "${kind}" is registered for version "${apiVersion}" in protobuf`, { cause });
  }
}

interface Entry {
  number: number;
  /** Of a length-delimited value; empty otherwise. */
  bytes: Uint8Array;
  /** Of a varint or a fixed value. */
  value: bigint;
}

const nothing = new Uint8Array();

function* entries(bytes: Uint8Array): Generator<Entry> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw truncated();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new DecodeError("proto: integer overflow");
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0:
        yield { number, bytes: nothing, value: varint() };
        break;
      case 1:
      case 5: {
        const size = tag % 8 === 1 ? 8 : 4;
        if (at + size > bytes.length) throw truncated();
        yield {
          number,
          bytes: nothing,
          value: size === 8 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true)),
        };
        at += size;
        break;
      }
      case 2: {
        const size = Number(varint());
        if (at + size > bytes.length) throw truncated();
        yield { number, bytes: bytes.subarray(at, at + size), value: 0n };
        at += size;
        break;
      }
      default:
        throw new DecodeError(`proto: illegal wireType ${tag % 8}`);
    }
  }
}

const truncated = (): DecodeError => new DecodeError("unexpected EOF");

function decodeMessage(bytes: Uint8Array, message: Message, level: number): Json {
  if (level > mostLevels) throw new DecodeError("protobuf message is nested too deeply");
  const object: Json = {};
  for (const entry of entries(bytes)) {
    const field = message.byNumber.get(entry.number);
    if (field === undefined) continue; // a newer client's field
    const { name } = field;
    if (field.of === "list") {
      const list = (object[name] ??= []) as unknown[];
      list.push(decodeValue(entry, field, level));
    } else if (field.of === "map") {
      const [key, value] = decodeMapEntry(entry.bytes, field, level);
      set((object[name] ??= {}) as Json, key, value);
    } else {
      const value = decodeValue(entry, field, level);
      if (name === "") Object.assign(object, value);
      else if (value !== undefined && (field.required || field.keepsZero || !isZero(value))) object[name] = value;
    }
  }
  return object;
}

/** Values that Go's encoder writes although its JSON would leave them out. */
const isZero = (value: unknown): boolean => value === "" || value === 0 || value === false;

function decodeMapEntry(bytes: Uint8Array, field: Field, level: number): [string, unknown] {
  let key = "";
  let value: unknown;
  for (const entry of entries(bytes)) {
    if (entry.number === 1) key = textOf(entry.bytes);
    if (entry.number === 2) value = decodeValue(entry, field, level);
  }
  return [key, value ?? (field.type.is === "message" ? {} : "")];
}

function decodeValue(entry: Entry, field: Field, level: number): unknown {
  return field.type.is === "message"
    ? decodeMessage(entry.bytes, field.type.message, level + 1)
    : decodeScalar(entry, field.type.scalar, level);
}

function decodeScalar(entry: Entry, scalar: Scalar, level: number): unknown {
  switch (scalar) {
    case "string":
      return textOf(entry.bytes);
    case "bytes":
      return Buffer.from(entry.bytes).toString("base64");
    case "bool":
      return entry.value !== 0n;
    case "int32":
    case "int64":
      return integerOf(entry.value);
    case "double": {
      const view = new DataView(new ArrayBuffer(8));
      view.setBigUint64(0, entry.value);
      return view.getFloat64(0);
    }
    case "quantity":
      return textOf(inner(entry.bytes, 1)?.bytes ?? nothing) || "0";
    case "intOrString":
      return integerOf(inner(entry.bytes, 1)?.value ?? 0n) === 0
        ? integerOf(inner(entry.bytes, 2)?.value ?? 0n)
        : textOf(inner(entry.bytes, 3)?.bytes ?? nothing);
    case "time":
    case "microtime":
      return timeOf(entry.bytes, scalar);
    case "duration":
      return durationText(inner(entry.bytes, 1)?.value ?? 0n);
    case "raw":
    case "fields":
    case "json":
      return jsonOf(inner(entry.bytes, 1)?.bytes ?? nothing);
    case "extra":
      return [...entries(entry.bytes)].map((item) => textOf(item.bytes));
    case "schemaOrBool":
    case "schemaOrArray":
    case "schemaOrStrings":
      break;
  }
  return schemaOr(entry.bytes, scalar, level);
}

/** A schema, or its alternative form: a boolean, a list of schemas, a list of names. */
function schemaOr(
  bytes: Uint8Array,
  scalar: "schemaOrBool" | "schemaOrArray" | "schemaOrStrings",
  level: number,
): unknown {
  const schema = messageOf("apiextensions.v1.JSONSchemaProps");
  const own = inner(bytes, scalar === "schemaOrBool" ? 2 : 1);
  if (own !== undefined) return decodeMessage(own.bytes, schema, level + 1);
  if (scalar === "schemaOrBool") return (inner(bytes, 1)?.value ?? 0n) !== 0n;
  const others = [...entries(bytes)].filter((entry) => entry.number === 2);
  return others.map((entry) =>
    scalar === "schemaOrArray" ? decodeMessage(entry.bytes, schema, level + 1) : textOf(entry.bytes),
  );
}

function inner(bytes: Uint8Array, number: number): Entry | undefined {
  let found: Entry | undefined;
  for (const entry of entries(bytes)) if (entry.number === number) found = entry;
  return found;
}

const integerOf = (value: bigint): number => Number(BigInt.asIntN(64, value));
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const textOf = (bytes: Uint8Array): string => decoder.decode(bytes);

/** undefined for the zero time, which JSON writes as null. */
function timeOf(bytes: Uint8Array, scalar: "time" | "microtime"): string | undefined {
  if (bytes.length === 0) return undefined;
  const seconds = integerOf(inner(bytes, 1)?.value ?? 0n);
  const nanos = integerOf(inner(bytes, 2)?.value ?? 0n);
  const time = new Date(seconds * 1000);
  if (Number.isNaN(time.getTime())) throw new DecodeError("proto: time out of range");
  const second = time.toISOString().slice(0, -5);
  return scalar === "time" ? `${second}Z` : `${second}.${String(Math.floor(nanos / 1000)).padStart(6, "0")}Z`;
}

/** As Go writes it: `1h0m0s`. */
function durationText(nanos: bigint): string {
  const total = integerOf(nanos) / 1e9;
  if (Math.abs(total) < 1) return total === 0 ? "0s" : `${total * 1000}ms`;
  const seconds = Math.abs(total);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const head = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : "";
  return `${total < 0 ? "-" : ""}${head}${seconds % 60}s`;
}

function jsonOf(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(textOf(bytes)) as unknown;
  } catch (cause) {
    throw new DecodeError("cannot parse the JSON inside the protobuf message", { cause });
  }
}
