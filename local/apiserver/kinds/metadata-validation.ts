/** Rules on metadata that every kind shares. */
import type { KubeObject } from "../../../api/meta.ts";
import type { FieldCause } from "../kind.ts";
import { forbidden, invalid, required, tooLong } from "./field-cause.ts";

export const subdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
export const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
export const serviceNameRule =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const labelValueRule =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const qualifiedNameRule =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const mostAnnotationBytes = 256 * 1024;

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const serviceName = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const qualifiedName = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

export type NameRule = (name: string) => string | undefined;
const atMost = (bytes: number): string => `must be no more than ${bytes} bytes`;

export const subdomainName: NameRule = (name) =>
  name.length > 253 ? atMost(253) : subdomain.test(name) ? undefined : subdomainRule;
export const labelName: NameRule = (name) => (name.length > 63 ? atMost(63) : label.test(name) ? undefined : labelRule);
export const serviceLabelName: NameRule = (name) =>
  name.length > 63 ? atMost(63) : serviceName.test(name) ? undefined : serviceNameRule;
/** RBAC and lookups by path allow nearly anything. */
export const pathSegmentName: NameRule = (name) => {
  if (name === "." || name === "..") return `may not be '${name}'`;
  const bad = /[/%]/.exec(name);
  return bad === null ? undefined : `may not contain '${bad[0]}'`;
};

/** Problems of the metadata of a new object, or of a change to an old one. */
export function metadataProblems(
  object: KubeObject,
  old: KubeObject | undefined,
  namespaced: boolean,
  nameRule: NameRule = subdomainName,
): FieldCause[] {
  const { metadata } = object;
  const causes: FieldCause[] = [];
  if (!metadata.name) {
    if (metadata.generateName) generatedNameProblems(metadata.generateName, nameRule, causes);
    else causes.push(required("metadata.name", "name or generateName is required"));
  } else {
    const problem = nameRule(metadata.name);
    if (problem !== undefined) causes.push(invalid("metadata.name", metadata.name, problem));
  }
  if (!namespaced && metadata.namespace) causes.push(forbidden("metadata.namespace", "not allowed on this type"));
  labelProblems(metadata.labels, "metadata.labels", causes);
  annotationProblems(metadata.annotations, causes);
  for (const [index, owner] of (metadata.ownerReferences ?? []).entries())
    for (const name of ["apiVersion", "kind", "name", "uid"] as const)
      if (!owner[name])
        causes.push(invalid(`metadata.ownerReferences[${index}].${name}`, "", `${name} must not be empty`));
  for (const finalizer of metadata.finalizers ?? [])
    if (!isQualifiedName(finalizer)) causes.push(invalid("metadata.finalizers", finalizer, qualifiedNameRule));
  if (old !== undefined) {
    for (const name of ["name", "namespace"] as const)
      if ((metadata[name] ?? "") !== (old.metadata[name] ?? ""))
        causes.push(invalid(`metadata.${name}`, metadata[name] ?? "", "field is immutable"));
  }
  return causes;
}

/** Only a prefix: what is appended ends it well. */
function generatedNameProblems(prefix: string, nameRule: NameRule, causes: FieldCause[]): void {
  const problem = nameRule(`${prefix.slice(0, 58)}x`);
  if (problem !== undefined) causes.push(invalid("metadata.generateName", prefix, problem));
}

function isQualifiedName(name: string): boolean {
  const [first = "", second, ...rest] = name.split("/");
  if (rest.length > 0) return false;
  if (second === undefined) return first.length <= 63 && qualifiedName.test(first);
  return first.length <= 253 && subdomain.test(first) && second.length <= 63 && qualifiedName.test(second);
}

export function labelProblems(labels: unknown, path: string, causes: FieldCause[]): void {
  for (const [key, value] of Object.entries((labels ?? {}) as Record<string, string>)) {
    if (!isQualifiedName(key)) causes.push(invalid(path, key, qualifiedNameRule));
    if (value.length > 63) causes.push(invalid(path, value, atMost(63)));
    else if (!labelValue.test(value)) causes.push(invalid(path, value, labelValueRule));
  }
}

function annotationProblems(annotations: Record<string, string> | undefined, causes: FieldCause[]): void {
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    // Keys are compared without case, for historical clients.
    if (!isQualifiedName(key.toLowerCase())) causes.push(invalid("metadata.annotations", key, qualifiedNameRule));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > mostAnnotationBytes) causes.push(tooLong("metadata.annotations", mostAnnotationBytes));
}
