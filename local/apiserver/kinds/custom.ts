/** Kinds that a CustomResourceDefinition (apiextensions.k8s.io/v1) defines. */
import type { KubeObject } from "../../../api/meta.ts";
import { isObject } from "../json-value.ts";
import { DecodeError, type Column, type FieldCause, type Kind, type Structure } from "../kind.ts";
import { ageSince } from "./age.ts";
import { everyVerb } from "./builtin.ts";
import { ageColumn, column, nameColumn } from "./column.ts";
import { crdProblems, type Crd, type CrdVersion } from "./crd-validation.ts";
import { compileJsonPath } from "./json-path.ts";
import type { Json } from "./json-object.ts";
import { decodeKnown } from "./known-fields.ts";
import { messageOf } from "./message.ts";
import { metadataProblems } from "./metadata-validation.ts";
import { messageStructure, schemaStructure } from "./structure.ts";
import { validateSchema } from "./schema-validation.ts";
import { applyDefaults, compileSchema, prune, type SchemaNode } from "./structural-schema.ts";

/** The kinds of every served version, or the problems that forbid the CRD. */
export function customKinds(object: KubeObject): { kinds: Kind[]; problems: FieldCause[] } {
  const crd = object as Crd;
  const problems = crdProblems(crd);
  if (problems.length > 0) return { kinds: [], problems };
  return {
    kinds: crd.spec.versions.filter((version) => version.served).map((version) => customKind(crd, version)),
    problems,
  };
}

function customKind(crd: Crd, version: CrdVersion): Kind {
  const { group, names, scope } = crd.spec;
  const resource = {
    group,
    version: version.name,
    plural: names.plural,
    kind: names.kind,
    namespaced: scope === "Namespaced",
  };
  const source = version.schema?.openAPIV3Schema ?? { type: "object", "x-kubernetes-preserve-unknown-fields": true };
  const root = compileSchema(source);
  const { scale } = version.subresources ?? {};
  return {
    resource,
    singular: names.singular || names.kind.toLowerCase(),
    listKind: names.listKind || `${names.kind}List`,
    shortNames: names.shortNames ?? [],
    categories: names.categories ?? [],
    verbs: everyVerb,
    isCustom: true,
    hasStatus: version.subresources?.status !== undefined,
    ...(scale !== undefined && { scale }),
    fieldSelectors: Object.fromEntries(
      (version.selectableFields ?? []).map(({ jsonPath }) => selectableField(jsonPath)),
    ),
    columns: columnsOf(version),
    hasGeneration: true,
    openApiSchema: source,
    structure: customStructure(source),
    prune: pruneCustom(root),
    applyDefaults: (object) => applyDefaults(object, root),
    validate: (object, old) => {
      const causes = metadataProblems(object, old, resource.namespaced);
      validateRoot(object as unknown as Record<string, unknown>, root, causes);
      return causes;
    },
  };
}

/** Metadata is divided as in every kind, whatever the schema says of it. */
function customStructure(source: Json): Structure {
  const own = schemaStructure(source);
  const metadata = messageStructure("meta.v1.ObjectMeta");
  return { ...own, member: (name) => (name === "metadata" ? metadata : own.member(name)) };
}

function pruneCustom(root: SchemaNode): Kind["prune"] {
  const metadata = messageOf("meta.v1.ObjectMeta");
  return (object) => {
    const unknownFields: string[] = [];
    if (!isObject(object.metadata)) throw new DecodeError(`${object.kind} metadata must be an object`);
    decodeKnown(metadata, object.metadata, ["metadata"], unknownFields);
    prune(object, root, "", unknownFields, true);
    return { object, unknownFields };
  };
}

/** The API's own fields are checked as such; a schema may only say more of metadata.name. */
function validateRoot(object: Record<string, unknown>, root: SchemaNode, causes: FieldCause[]): void {
  const { apiVersion: _, kind: __, ...rest } = object;
  validateSchema(
    rest,
    { ...root, required: root.required.filter((name) => name !== "apiVersion" && name !== "kind") },
    "",
    causes,
  );
}

function columnsOf(version: CrdVersion): Column[] {
  const declared = version.additionalPrinterColumns ?? [];
  if (declared.length === 0) return [nameColumn, ageColumn];
  return [
    nameColumn,
    ...declared.map(({ name, type, jsonPath, format = "", description = "", priority = 0 }) => {
      const read = compileJsonPath(jsonPath);
      return {
        ...column(name, type, (object, nowMs) => cell(read(object)[0], type, nowMs), priority),
        format,
        description,
      };
    }),
  ];
}

function cell(value: unknown, type: Column["type"], nowMs: number): string | number | boolean | null {
  if (value === undefined || value === null) return null;
  switch (type) {
    case "integer":
      return typeof value === "number" ? Math.trunc(value) : null;
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "date":
      return ageSince(value, nowMs);
    case "string":
      break;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

function selectableField(jsonPath: string): [string, (object: KubeObject) => string] {
  const read = compileJsonPath(jsonPath);
  return [jsonPath.replace(/^\./, ""), (object) => String(cell(read(object)[0], "string", 0) ?? "")];
}
