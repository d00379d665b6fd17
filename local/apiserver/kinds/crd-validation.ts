/** What makes a CustomResourceDefinition acceptable: names, versions, and a schema that is structural. */
import type { KubeObject } from "../../../api/meta.ts";
import { isObject } from "../json-value.ts";
import type { FieldCause } from "../kind.ts";
import { invalid, notSupported, required } from "./field-cause.ts";
import { compileJsonPath } from "./json-path.ts";

export interface CrdVersion {
  name: string;
  served: boolean;
  storage: boolean;
  schema?: { openAPIV3Schema?: Record<string, unknown> };
  subresources?: {
    status?: object;
    scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  };
  additionalPrinterColumns?: {
    name: string;
    type: "string" | "integer" | "number" | "boolean" | "date";
    jsonPath: string;
    format?: string;
    description?: string;
    priority?: number;
  }[];
  selectableFields?: { jsonPath: string }[];
}

export interface Crd extends KubeObject {
  spec: {
    group: string;
    scope: "Namespaced" | "Cluster";
    names: {
      kind: string;
      plural: string;
      singular?: string;
      listKind?: string;
      shortNames?: string[];
      categories?: string[];
    };
    versions: CrdVersion[];
  };
}

const dnsLabel = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

export function crdProblems(crd: Crd): FieldCause[] {
  const spec = isObject(crd.spec) ? (crd.spec as Partial<Crd["spec"]>) : {};
  const names: Partial<Crd["spec"]["names"]> = spec.names ?? {};
  const causes: FieldCause[] = [];
  if (!spec.group) causes.push(required("spec.group"));
  else if (!spec.group.includes("."))
    causes.push(invalid("spec.group", spec.group, "should be a domain with at least one dot"));
  for (const name of ["plural", "kind"] as const) if (!names[name]) causes.push(required(`spec.names.${name}`));
  if (names.plural && !dnsLabel.test(names.plural))
    causes.push(invalid("spec.names.plural", names.plural, dnsLabelRule));
  if (names.plural && spec.group && crd.metadata.name !== `${names.plural}.${spec.group}`)
    causes.push(invalid("metadata.name", crd.metadata.name ?? "", 'must be spec.names.plural+"."+spec.group'));
  if (spec.scope !== "Namespaced" && spec.scope !== "Cluster")
    causes.push(
      spec.scope === undefined
        ? required("spec.scope")
        : notSupported("spec.scope", spec.scope, ["Cluster", "Namespaced"]),
    );
  const versions = spec.versions ?? [];
  if (versions.filter((version) => version.storage).length !== 1)
    causes.push(
      invalid(
        "spec.versions",
        versions.map(({ name }) => name),
        "must have exactly one version marked as storage version",
      ),
    );
  for (const [index, version] of versions.entries()) versionProblems(version, `spec.versions[${index}]`, causes);
  return causes;
}

const dnsLabelRule =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

function versionProblems(version: CrdVersion, path: string, causes: FieldCause[]): void {
  if (!version.name) causes.push(required(`${path}.name`));
  else if (!dnsLabel.test(version.name)) causes.push(invalid(`${path}.name`, version.name, dnsLabelRule));
  const schema = version.schema?.openAPIV3Schema;
  const schemaPath = `${path}.schema.openAPIV3Schema`;
  if (!isObject(schema)) causes.push(required(schemaPath, "schemas are required"));
  else {
    if (schema["type"] === undefined) causes.push(required(`${schemaPath}.type`, "must not be empty at the root"));
    else if (schema["type"] !== "object")
      causes.push(invalid(`${schemaPath}.type`, schema["type"], "must be object at the root"));
    structureProblems(schema, schemaPath, causes, true);
  }
  for (const [index, { name, type, jsonPath }] of (version.additionalPrinterColumns ?? []).entries()) {
    const columnPath = `${path}.additionalPrinterColumns[${index}]`;
    if (!name) causes.push(required(`${columnPath}.name`));
    if (!columnTypes.includes(type)) causes.push(notSupported(`${columnPath}.type`, type, columnTypes));
    if (!jsonPath) causes.push(required(`${columnPath}.jsonPath`));
    else
      try {
        compileJsonPath(jsonPath);
      } catch (error) {
        causes.push(
          invalid(`${columnPath}.jsonPath`, jsonPath, `is not a valid jsonpath: ${(error as Error).message}`),
        );
      }
  }
}

const columnTypes = ["boolean", "date", "integer", "number", "string"];
const types = ["array", "boolean", "integer", "number", "object", "string"];

/** Every place has a type, or says why it has none. */
function structureProblems(schema: Record<string, unknown>, path: string, causes: FieldCause[], isRoot: boolean): void {
  const type = schema["type"];
  const isFree =
    schema["x-kubernetes-int-or-string"] === true || schema["x-kubernetes-preserve-unknown-fields"] === true;
  if (type === undefined && !isFree && !isRoot)
    causes.push(required(`${path}.type`, "must not be empty for specified object fields"));
  if (type !== undefined && !types.includes(type as string)) causes.push(notSupported(`${path}.type`, type, types));
  if (type === "array" && !isObject(schema["items"])) causes.push(required(`${path}.items`, "must be specified"));
  if (isObject(schema["properties"])) {
    if (schema["additionalProperties"] !== undefined && schema["additionalProperties"] !== false)
      causes.push({
        reason: "FieldValueForbidden",
        field: `${path}.additionalProperties`,
        message: "Forbidden: must not be used together with properties",
      });
    for (const [name, inner] of Object.entries(schema["properties"]))
      if (isObject(inner))
        structureProblems(inner, `${path}.properties[${name}]`, causes, isRoot && name === "metadata");
  }
  if (isObject(schema["items"])) structureProblems(schema["items"], `${path}.items`, causes, false);
  if (isObject(schema["additionalProperties"]))
    structureProblems(schema["additionalProperties"], `${path}.additionalProperties`, causes, false);
}
