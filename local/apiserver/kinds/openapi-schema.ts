/** OpenAPI schemas of the built-in messages and of custom kinds, for versions 2 and 3 of the document. */
import { apiVersionOf, type Resource } from "../../../api/meta.ts";
import type { Kind } from "../kind.ts";
import { messageOf, type Field, type Message, type Scalar } from "./message.ts";

export type Schema = Record<string, unknown>;
export type OpenApiVersion = 2 | 3;

const packages: Readonly<Record<string, string>> = {
  meta: "io.k8s.apimachinery.pkg.apis.meta",
  apiextensions: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
};
const jsonSchemaPackage = `${packages["apiextensions"]}.v1`;

/** `core.v1.Pod` → `io.k8s.api.core.v1.Pod` */
export function openApiName(message: string): string {
  const [group = "", ...rest] = message.split(".");
  return [packages[group] ?? `io.k8s.api.${group}`, ...rest].join(".");
}

/** `serving.knative.dev/v1 Service` → `dev.knative.serving.v1.Service` */
export function customName({ group, version, kind }: Resource): string {
  return [...group.split(".").toReversed(), version, kind].join(".");
}

export const nameOfKind = (kind: Kind): string =>
  kind.message === undefined ? customName(kind.resource) : openApiName(kind.message);

/** Special types that have a definition of their own: name, then schema in version 2 and in version 3. */
const named: Partial<Record<Scalar, { name: string; v2: Schema; v3?: Schema }>> = {
  quantity: {
    name: "io.k8s.apimachinery.pkg.api.resource.Quantity",
    v2: { type: "string" },
    v3: { oneOf: [{ type: "string" }, { type: "number" }] },
  },
  intOrString: {
    name: "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    v2: { type: "string", format: "int-or-string" },
    v3: { oneOf: [{ type: "integer" }, { type: "string" }], format: "int-or-string" },
  },
  time: { name: "io.k8s.apimachinery.pkg.apis.meta.v1.Time", v2: { type: "string", format: "date-time" } },
  microtime: { name: "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", v2: { type: "string", format: "date-time" } },
  duration: { name: "io.k8s.apimachinery.pkg.apis.meta.v1.Duration", v2: { type: "string" } },
  raw: { name: "io.k8s.apimachinery.pkg.runtime.RawExtension", v2: { type: "object" } },
  fields: { name: "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", v2: { type: "object" } },
  json: { name: `${jsonSchemaPackage}.JSON`, v2: {} },
  schemaOrArray: { name: `${jsonSchemaPackage}.JSONSchemaPropsOrArray`, v2: {} },
  schemaOrBool: { name: `${jsonSchemaPackage}.JSONSchemaPropsOrBool`, v2: {} },
  schemaOrStrings: { name: `${jsonSchemaPackage}.JSONSchemaPropsOrStringArray`, v2: {} },
};

const plain: Partial<Record<Scalar, Schema>> = {
  string: { type: "string" },
  bool: { type: "boolean" },
  int32: { type: "integer", format: "int32" },
  int64: { type: "integer", format: "int64" },
  double: { type: "number", format: "double" },
  bytes: { type: "string", format: "byte" },
  extra: { type: "array", items: { type: "string" } },
};

/** Collects the definitions that a document needs, each with all that it refers to. */
export class Definitions {
  readonly schemas: Record<string, Schema> = {};
  readonly #version: OpenApiVersion;

  constructor(version: OpenApiVersion) {
    this.#version = version;
  }

  addKind(kind: Kind): void {
    const schema = kind.message === undefined ? this.#custom(kind) : this.#addMessage(messageOf(kind.message));
    const { group, version, kind: name } = kind.resource;
    schema["properties"] = {
      apiVersion: { type: "string" },
      kind: { type: "string" },
      ...(schema["properties"] as Schema),
    };
    schema["x-kubernetes-group-version-kind"] = [{ group, kind: name, version }];
    this.schemas[nameOfKind(kind)] = schema;
  }

  #custom(kind: Kind): Schema {
    const source = structuredClone(kind.openApiSchema) as Schema;
    const schema = this.#version === 2 ? reduceForV2(source) : source;
    schema["properties"] = {
      ...(schema["properties"] as Schema | undefined),
      metadata: this.#refTo(messageOf("meta.v1.ObjectMeta")),
    };
    return schema;
  }

  #addMessage(message: Message): Schema {
    const name = openApiName(message.name);
    const known = this.schemas[name];
    if (known !== undefined) return known;
    const properties: Record<string, Schema> = {};
    const schema: Schema = { type: "object" };
    this.schemas[name] = schema;
    for (const [fieldName, field] of message.byName) properties[fieldName] = this.#property(field);
    const required = [...message.byName.values()].filter((field) => field.required).map((field) => field.name);
    if (Object.keys(properties).length > 0) schema["properties"] = properties;
    if (required.length > 0) schema["required"] = required;
    if (message.atomic) schema["x-kubernetes-map-type"] = "atomic";
    return schema;
  }

  #property(field: Field): Schema {
    const one = this.#typeOf(field);
    const schema: Schema =
      field.of === "list"
        ? { type: "array", items: one }
        : field.of === "map"
          ? { type: "object", additionalProperties: one }
          : one;
    const extensions: Schema = {};
    if (field.strategies.length > 0) extensions["x-kubernetes-patch-strategy"] = field.strategies.join(",");
    if (field.mergeKey !== undefined) extensions["x-kubernetes-patch-merge-key"] = field.mergeKey;
    if (field.listType !== undefined) {
      if (field.of === "list") extensions["x-kubernetes-list-type"] = field.listType.is;
      else if (field.listType.is === "atomic") extensions["x-kubernetes-map-type"] = "atomic";
      if (field.listType.is === "map") extensions["x-kubernetes-list-map-keys"] = field.listType.keys;
    }
    if (Object.keys(extensions).length === 0) return schema;
    // In version 3 nothing may stand beside a reference.
    if (this.#version === 3 && schema["$ref"] !== undefined) return { allOf: [schema], ...extensions };
    return { ...schema, ...extensions };
  }

  #typeOf(field: Field): Schema {
    if (field.type.is === "message") return this.#refTo(field.type.message);
    const special = named[field.type.scalar];
    if (special === undefined) return { ...plain[field.type.scalar] };
    this.schemas[special.name] ??= (this.#version === 3 ? special.v3 : undefined) ?? special.v2;
    return this.#ref(special.name);
  }

  #refTo(message: Message): Schema {
    this.#addMessage(message);
    return this.#ref(openApiName(message.name));
  }

  #ref(name: string): Schema {
    return { $ref: `${this.#version === 3 ? "#/components/schemas/" : "#/definitions/"}${name}` };
  }
}

const notInV2 = ["nullable", "oneOf", "anyOf", "allOf", "not", "default"];

/** Version 2 cannot say everything: what it cannot is left open, so that no client refuses what the server takes. */
function reduceForV2(schema: Schema): Schema {
  const reduced: Schema = {};
  for (const [name, value] of Object.entries(schema)) if (!notInV2.includes(name)) reduced[name] = value;
  if (reduced["x-kubernetes-int-or-string"] === true) {
    delete reduced["type"];
    return reduced;
  }
  if (reduced["x-kubernetes-preserve-unknown-fields"] === true) {
    delete reduced["properties"];
    delete reduced["required"];
    return reduced;
  }
  if (schema["nullable"] === true) {
    for (const name of ["type", "properties", "items", "additionalProperties"]) delete reduced[name];
    return reduced;
  }
  const { properties, items, additionalProperties } = reduced;
  if (isSchema(properties))
    reduced["properties"] = Object.fromEntries(
      Object.entries(properties).map(([name, inner]) => [name, isSchema(inner) ? reduceForV2(inner) : inner]),
    );
  if (isSchema(items)) reduced["items"] = reduceForV2(items);
  if (isSchema(additionalProperties)) reduced["additionalProperties"] = reduceForV2(additionalProperties);
  else delete reduced["additionalProperties"];
  return reduced;
}

const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** `apis/apps/v1`, `api/v1`: how the version 3 index names a group and version. */
export const documentPath = (resource: Pick<Resource, "group" | "version">): string =>
  `${resource.group === "" ? "api" : "apis"}/${apiVersionOf(resource)}`;
