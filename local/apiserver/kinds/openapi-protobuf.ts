/**
 * OpenAPI version 2 in the protobuf encoding of gnostic's `openapi.v2.Document`: the only form that older kubectl
 * reads. Written bottom up; field numbers are those of its OpenAPIv2.proto.
 */
import type { Operation, Parameter, PathItem } from "./openapi-paths.ts";
import type { Schema } from "./openapi-schema.ts";

type Part = Uint8Array;
const bytesOf = (value: string): Uint8Array => Buffer.from(value, "utf8");

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

const message = (...parts: (Part | undefined)[]): Uint8Array =>
  Buffer.concat(parts.filter((part) => part !== undefined));
const field = (number: number, value: Uint8Array): Part => message(varint(number * 8 + 2), varint(value.length), value);
const text = (number: number, value: unknown): Part | undefined =>
  typeof value === "string" && value !== "" ? field(number, bytesOf(value)) : undefined;
const integer = (number: number, value: unknown): Part | undefined =>
  typeof value === "number" && value >= 0 ? message(varint(number * 8), varint(value)) : undefined;
const flag = (number: number, value: unknown): Part | undefined => (value === true ? integer(number, 1) : undefined);
function double(number: number, value: unknown): Part | undefined {
  if (typeof value !== "number") return undefined;
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return message(varint(number * 8 + 1), bytes);
}
/** Any: readers take its YAML, and JSON is YAML. */
const any = (value: unknown): Uint8Array => message(text(2, JSON.stringify(value)));
const extension = (number: number, name: string, value: unknown): Part =>
  field(number, message(text(1, name), field(2, any(value))));

/** The whole document. */
export function encodeOpenApiV2(document: {
  info: { title: string; version: string };
  paths: readonly PathItem[];
  definitions: Readonly<Record<string, Schema>>;
}): Uint8Array {
  const { info, paths, definitions } = document;
  return message(
    text(1, "2.0"),
    field(2, message(text(1, info.title), text(2, info.version))),
    field(8, message(...paths.map((item) => field(2, message(text(1, item.path), field(2, pathItem(item))))))),
    field(9, namedSchemas(definitions)),
  );
}

const methodNumbers = { get: 2, put: 3, post: 4, delete: 5, patch: 8 } as const;

const pathItem = ({ operations, parameters }: PathItem): Uint8Array =>
  message(
    ...operations.map((one) => field(methodNumbers[one.method], operation(one))),
    ...parameters.map((one) => field(9, parameter(one))),
  );

const okResponse = field(1, message(text(1, "200"), field(2, message(field(1, message(text(1, "OK")))))));

const operation = ({ action, kind, parameters, operationId }: Operation): Uint8Array =>
  message(
    text(5, operationId),
    ...parameters.map((one) => field(8, parameter(one))),
    field(9, okResponse),
    extension(13, "x-kubernetes-action", action),
    extension(13, "x-kubernetes-group-version-kind", kind),
  );

/** ParametersItem → Parameter → NonBodyParameter → the one for its place. */
function parameter({ name, in: place, type }: Parameter): Uint8Array {
  const own =
    place === "query"
      ? field(3, message(text(2, place), text(4, name), text(6, type)))
      : field(4, message(flag(1, true), text(2, place), text(4, name), text(5, type)));
  return message(field(1, message(field(2, own))));
}

/** Definitions and Properties have the same form: repeated NamedSchema. */
const namedSchemas = (schemas: Readonly<Record<string, Schema>>): Uint8Array =>
  message(
    ...Object.entries(schemas).map(([name, schema]) =>
      field(1, message(text(1, name), field(2, encodeSchema(schema)))),
    ),
  );

function encodeSchema(schema: Schema): Uint8Array {
  const { required, items, properties, additionalProperties, type } = schema;
  return message(
    text(1, schema["$ref"]),
    text(2, schema["format"]),
    text(3, schema["title"]),
    text(4, schema["description"]),
    double(6, schema["multipleOf"]),
    double(7, schema["maximum"]),
    flag(8, schema["exclusiveMaximum"]),
    double(9, schema["minimum"]),
    flag(10, schema["exclusiveMinimum"]),
    integer(11, schema["maxLength"]),
    integer(12, schema["minLength"]),
    text(13, schema["pattern"]),
    integer(14, schema["maxItems"]),
    integer(15, schema["minItems"]),
    flag(16, schema["uniqueItems"]),
    integer(17, schema["maxProperties"]),
    integer(18, schema["minProperties"]),
    ...(Array.isArray(required) ? required.map((name) => text(19, name)) : []),
    ...(Array.isArray(schema["enum"]) ? schema["enum"].map((value) => field(20, any(value))) : []),
    isSchema(additionalProperties) ? field(21, message(field(1, encodeSchema(additionalProperties)))) : undefined,
    typeof type === "string" ? field(22, message(text(1, type))) : undefined,
    isSchema(items) ? field(23, message(field(1, encodeSchema(items)))) : undefined,
    isSchema(properties) ? field(25, namedSchemas(properties as Record<string, Schema>)) : undefined,
    ...Object.entries(schema)
      .filter(([name]) => name.startsWith("x-"))
      .map(([name, value]) => extension(31, name, value)),
  );
}

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);
