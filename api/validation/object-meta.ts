/** Names, labels and annotations of the users' kinds (spec: serving-api 2.6, 2.8, 3.4). */
import { sameValue } from "../equality.ts";
import { annotation } from "../keys.ts";
import type { KubeObject, ObjectMeta } from "../meta.ts";
import { dns1035PrefixProblems, dns1035Problems } from "./names.ts";
import { at, type Problems } from "./problems.ts";

export function validateName(problems: Problems, { name = "", generateName = "" }: ObjectMeta): void {
  if (name === "" && generateName === "") problems.add("name or generateName is required", "metadata.name");
  const brokenPrefix = generateName === "" ? [] : dns1035PrefixProblems(generateName);
  const broken = name === "" ? [] : dns1035Problems(name);
  if (brokenPrefix.length > 0)
    problems.add(`not a DNS 1035 label prefix: [${brokenPrefix.join(" ")}]`, "metadata.generateName");
  else if (broken.length > 0) problems.add(`not a DNS 1035 label: [${broken.join(" ")}]`, "metadata.name");
}

/** A label that says who owns the object needs that owner among its references. */
export function validateOwnerLabel(problems: Problems, { metadata }: KubeObject, key: string, ownerKind: string): void {
  const ownerName = metadata.labels?.[key];
  if (ownerName === undefined) return;
  const isOwned = (metadata.ownerReferences ?? []).some(({ kind, name }) => kind === ownerKind && name === ownerName);
  if (!isOwned) problems.missing(at("metadata.labels", key));
}

/** Who made an object never changes; who changed it last does so only with the spec. The specs in their stored form. */
export function validateUserAnnotations(
  problems: Problems,
  object: KubeObject & { spec?: unknown },
  old: (KubeObject & { spec?: unknown }) | undefined,
): void {
  if (old === undefined) return;
  const { creator, lastModifier } = annotation;
  const now = (key: string): string => object.metadata.annotations?.[key] ?? "";
  const before = (key: string): string => old.metadata.annotations?.[key] ?? "";
  if (now(creator) !== before(creator))
    problems.add("annotation value is immutable", at("metadata.annotations", creator));
  if (now(lastModifier) !== before(lastModifier) && sameValue(object.spec, old.spec))
    problems.invalid(now(lastModifier), at("metadata.annotations", lastModifier));
}
