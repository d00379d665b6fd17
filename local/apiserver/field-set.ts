/**
 * Sets of fields, in the form in which an object carries them (FieldsV1): a tree whose steps are `f:NAME` (a member),
 * `k:{"name":"x"}` (an item by its keys) and `v:"x"` (an item by its value). A place without anything below it belongs
 * to the set; one that has something below it does so where it holds a `.`.
 */

export interface Fields {
  [step: string]: Fields;
}

const self = ".";

export const nothing: Fields = Object.freeze({});
/** One place with nothing below it. */
export const leaf: Fields = nothing;

export function isEmpty(fields: Fields): boolean {
  for (const _ in fields) return false;
  return true;
}

const hasSelf = (fields: Fields): boolean => fields[self] !== undefined || isEmpty(fields);

/** Undefined for no place at all. */
function assembled(isMember: boolean, children: Fields): Fields | undefined {
  if (isEmpty(children)) return isMember ? leaf : undefined;
  return isMember ? { [self]: leaf, ...children } : children;
}

/** Of two whole sets. Shares parts with both. */
export function union(one: Fields, other: Fields): Fields {
  if (isEmpty(one)) return other;
  if (isEmpty(other)) return one;
  const all: Fields = { ...one };
  for (const step in other) {
    const known = one[step];
    all[step] = known === undefined ? other[step]! : unionAt(known, other[step]!);
  }
  return all;
}

function unionAt(one: Fields, other: Fields): Fields {
  if (one === other) return one;
  const isMember = hasSelf(one) || hasSelf(other);
  const children = union(withoutSelf(one), withoutSelf(other));
  return assembled(isMember, children) ?? leaf;
}

function withoutSelf(fields: Fields): Fields {
  if (fields[self] === undefined) return fields;
  const { [self]: _, ...rest } = fields;
  return rest;
}

/** What is in `fields` and not in `others`. With `deep`, a place in `others` takes everything below it along. */
export function difference(fields: Fields, others: Fields, deep = false): Fields {
  let rest: Fields | undefined;
  for (const step in others) {
    const own = fields[step];
    if (own === undefined || step === self) continue;
    const left = differenceAt(own, others[step]!, deep);
    if (left === own) continue;
    rest ??= { ...fields };
    if (left === undefined) delete rest[step];
    else rest[step] = left;
  }
  return rest ?? fields;
}

function differenceAt(fields: Fields, others: Fields, deep: boolean): Fields | undefined {
  const takesSelf = hasSelf(others);
  if (takesSelf && deep) return undefined;
  const children = withoutSelf(fields);
  const left = difference(children, others, deep);
  const isMember = hasSelf(fields);
  return left === children && !(isMember && takesSelf) ? fields : assembled(isMember && !takesSelf, left);
}

export function intersection(one: Fields, other: Fields): Fields {
  const both: Fields = {};
  for (const step in one) {
    if (step === self || other[step] === undefined) continue;
    const [left, right] = [one[step]!, other[step]];
    const common = assembled(hasSelf(left) && hasSelf(right), intersection(left, right));
    if (common !== undefined) both[step] = common;
  }
  return both;
}

/** `.spec.containers[name="app"].image`, as conflicts tell of them; sorted. */
export function pathsOf(fields: Fields, prefix = ""): string[] {
  return Object.keys(fields)
    .sort()
    .flatMap((step) => {
      if (step === self) return [];
      const inner = fields[step]!;
      const path = `${prefix}${stepText(step)}`;
      return [...(hasSelf(inner) ? [path] : []), ...pathsOf(inner, path)];
    });
}

/** `.name`, `[name="app"]` */
export function stepText(step: string): string {
  const rest = step.slice(2);
  if (step.startsWith("f:")) return `.${rest}`;
  if (step.startsWith("v:")) return `[=${rest}]`;
  if (step.startsWith("i:")) return `[${rest}]`;
  const keys = Object.entries(JSON.parse(rest) as Record<string, unknown>);
  return `[${keys.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(",")}]`;
}

/** Whether a value can be read as a set: what clients send is checked once, here. */
export function isFields(value: unknown): value is Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([step, inner]) => isStep(step) && isFields(inner));
}

function isStep(step: string): boolean {
  if (step === self || step.startsWith("f:")) return true;
  if (!/^[kvi]:/.test(step)) return false;
  try {
    const value: unknown = JSON.parse(step.slice(2));
    return step.startsWith("k:") ? typeof value === "object" && value !== null : true;
  } catch {
    return false;
  }
}
