/** References to other objects (spec: serving-api 1.6, 1.7, 2.9). */
import { mask } from "./field-mask.ts";
import { dns1123LabelProblems, identifierProblems, qualifiedNameProblems } from "./names.ts";
import { at, type Problems } from "./problems.ts";

const fields = { apiVersion: qualifiedNameProblems, kind: identifierProblems, name: dns1123LabelProblems } as const;
const fieldNames = Object.keys(fields) as (keyof typeof fields)[];

/** One of the same namespace, by apiVersion, kind and name alone. */
export function validateObjectReference(problems: Problems, reference: object | undefined, path: string): void {
  mask(problems, reference, fieldNames, path);
  for (const field of fieldNames) {
    const value = (reference as Record<string, string> | undefined)?.[field] ?? "";
    const broken = fields[field](value);
    if (value === "") problems.missing(at(path, field));
    else if (broken.length > 0) problems.invalid(broken.join(", "), at(path, field));
  }
}

interface KReference {
  kind?: string;
  name?: string;
  apiVersion?: string;
  namespace?: string;
  group?: string;
}

/** A DomainMapping's, whose namespace is the object's own. */
export function validateKReference(
  problems: Problems,
  reference: KReference | undefined,
  parentNamespace: string,
  path: string,
): void {
  for (const field of fieldNames) if ((reference?.[field] ?? "") === "") problems.missing(at(path, field));
  const { group = "", namespace = "" } = reference ?? {};
  if (group !== "") problems.forbidden(at(path, "group"));
  if (namespace !== "" && parentNamespace !== "" && namespace !== parentNamespace)
    problems.add(
      "mismatched namespaces",
      at(path, "namespace"),
      `parent namespace: ${JSON.stringify(parentNamespace)} does not match ref: ${JSON.stringify(namespace)}`,
    );
}
