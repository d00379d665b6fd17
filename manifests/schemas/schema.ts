/** A small vocabulary for structural OpenAPI v3 schemas, as apiextensions.k8s.io/v1 takes them. */

export interface Schema {
  type?: "object" | "array" | "string" | "integer" | "number" | "boolean";
  description?: string;
  format?: string;
  pattern?: string;
  default?: unknown;
  required?: string[];
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
  nullable?: boolean;
  anyOf?: Schema[];
  "x-kubernetes-int-or-string"?: true;
  "x-kubernetes-preserve-unknown-fields"?: true;
  "x-kubernetes-map-type"?: "atomic";
  "x-kubernetes-list-type"?: "map" | "atomic" | "set";
  "x-kubernetes-list-map-keys"?: string[];
}

export const string: Schema = { type: "string" };
export const boolean: Schema = { type: "boolean" };
export const int32: Schema = { type: "integer", format: "int32" };
export const int64: Schema = { type: "integer", format: "int64" };
export const strings: Schema = { type: "array", items: string };
export const stringMap: Schema = { type: "object", additionalProperties: string };

/** A port, by number or by name. */
export const intOrString: Schema = {
  anyOf: [{ type: "integer" }, { type: "string" }],
  "x-kubernetes-int-or-string": true,
};

/** resource.Quantity: `100m`, `1.5Gi`, `2e3`. */
export const quantity: Schema = {
  ...intOrString,
  pattern:
    "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$",
};

/** An object whose content the schema leaves to the webhook: fields behind a feature flag. */
export const anything: Schema = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

export const described = (schema: Schema, description: string): Schema => ({ ...schema, description });

/** Names that end in `!` are required. */
export function object(properties: Record<string, Schema>, extra: Partial<Schema> = {}): Schema {
  const required = Object.keys(properties).filter((name) => name.endsWith("!"));
  const plain = Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [name.replace(/!$/, ""), schema]),
  );
  return {
    type: "object",
    ...(required.length === 0 ? {} : { required: required.map((name) => name.slice(0, -1)) }),
    properties: plain,
    ...extra,
  };
}

export const list = (items: Schema): Schema => ({ type: "array", items });

/** A list that is a map by `key`. */
export const listMap = (key: string, items: Schema): Schema => ({
  type: "array",
  items,
  "x-kubernetes-list-type": "map",
  "x-kubernetes-list-map-keys": [key],
});
