/** Objects as fields that have owners: which fields an object has, how two of them differ, how one is laid over another. */
import { isEmpty, leaf, stepText, type Fields } from "./field-set.ts";
import { isEqual, isObject, set } from "./json-value.ts";
import type { Structure } from "./kind.ts";

/** Items of a list cannot be told apart. */
export class ListKeyError extends Error {
  override readonly name = "ListKeyError";
}

type Items = Map<string, unknown>;

/** The key of an item that leaves it out, where its API has a default for it. */
const keyDefaults: Readonly<Record<string, string>> = { protocol: "TCP" };

/** The same few names come again and again, and a string that is made anew is slow as a member's name. */
function cachedSteps(make: (name: string) => string): (name: string) => string {
  const known = new Map<string, string>();
  return (name) => {
    const step = known.get(name);
    if (step !== undefined) return step;
    const made = make(name);
    if (known.size < mostSteps) known.set(name, made);
    return made;
  };
}

const mostSteps = 10_000;
const memberStep = cachedSteps((name) => `f:${name}`);
/** Of an item in a list by name. */
const nameStep = cachedSteps((name) => `k:{"name":${JSON.stringify(name)}}`);

/** Step → item, in order. Throws {@link ListKeyError} where two are the same or one has no key. */
function itemsOf(list: readonly unknown[], { listType }: Structure): Items {
  const items: Items = new Map();
  for (const item of list) {
    const step = listType.is === "map" ? keyStep(item, listType.keys) : `v:${JSON.stringify(item)}`;
    if (items.has(step)) throw new ListKeyError(`duplicate entries for key ${stepText(step)}`);
    items.set(step, item);
  }
  return items;
}

function keyStep(item: unknown, keys: readonly string[]): string {
  if (!isObject(item)) throw new ListKeyError("associative list with keys may not have non-map elements");
  const [only = ""] = keys;
  const first = item[only];
  // By far the most: lists by name.
  if (only === "name" && keys.length === 1 && typeof first === "string") return nameStep(first);
  const values: Record<string, unknown> = {};
  for (const key of keys.length > 1 ? [...keys].sort() : keys) {
    const value = item[key] ?? keyDefaults[key];
    if (value !== undefined) values[key] = value;
    else if (keys.length === 1)
      throw new ListKeyError(
        `associative list with keys has an element that omits key field ${JSON.stringify(key)} (and doesn't have default value)`,
      );
  }
  return `k:${JSON.stringify(values)}`;
}

function itemsOrNone(list: readonly unknown[], structure: Structure): Items | undefined {
  try {
    return itemsOf(list, structure);
  } catch (error) {
    if (error instanceof ListKeyError) return undefined;
    throw error;
  }
}

/**
 * The fields of a value, `leaf` for one that is owned as a whole. With `marked`, objects that are there count as fields
 * of their own besides what they hold. Throws {@link ListKeyError} where `strict`; else such a list is one value.
 */
export function fieldsOf(value: unknown, structure: Structure, options: { marked: boolean; strict: boolean }): Fields {
  if (structure.isAtomic) return leaf;
  if (isObject(value)) {
    const fields: Fields = {};
    for (const name in value) {
      const inner = value[name];
      if (inner !== undefined) fields[memberStep(name)] = fieldsOf(inner, structure.member(name), options);
    }
    return options.marked ? marked(fields) : fields;
  }
  if (!Array.isArray(value) || structure.listType.is === "atomic") return leaf;
  const items = options.strict ? itemsOf(value, structure) : itemsOrNone(value, structure);
  if (items === undefined) return leaf;
  const fields: Fields = {};
  const item = structure.item();
  // An item is there by itself, whatever it holds.
  for (const [step, inner] of items)
    fields[step] = structure.listType.is === "map" ? marked(fieldsOf(inner, item, options)) : leaf;
  return options.marked ? marked(fields) : fields;
}

function marked(fields: Fields): Fields {
  if (isEmpty(fields)) return leaf;
  fields["."] = leaf;
  return fields;
}

export interface Differences {
  /** Added or set to another value. */
  changed: Fields;
  removed: Fields;
}

const loose = { marked: true, strict: false } as const;

/** How `after` differs from `before`, each undefined where there is nothing. */
export function differences(before: unknown, after: unknown, structure: Structure): Differences {
  const found: Differences = { changed: {}, removed: {} };
  if (before === after) return found;
  const compare = (step: string, old: unknown, next: unknown, inner: Structure): void => {
    if (old === next) return;
    if (old === undefined) found.changed[step] = fieldsOf(next, inner, loose);
    else if (next === undefined) found.removed[step] = fieldsOf(old, inner, loose);
    else if (Array.isArray(old) && isEqual(old, next)) return; // cheaper than telling items apart
    else if (isDivided(old, next, inner)) {
      const { changed, removed } = differences(old, next, inner);
      if (!isEmpty(changed)) found.changed[step] = changed;
      if (!isEmpty(removed)) found.removed[step] = removed;
    } else if (!isEqual(old, next)) found.changed[step] = leaf;
  };
  if (isObject(before) && isObject(after)) {
    for (const name in after) compare(memberStep(name), before[name], after[name], structure.member(name));
    for (const name in before)
      if (after[name] === undefined) compare(memberStep(name), before[name], undefined, structure.member(name));
    return found;
  }
  const old = itemsOrNone(before as unknown[], structure)!;
  const next = itemsOrNone(after as unknown[], structure)!;
  const inner = structure.item();
  for (const [step, item] of next)
    if (!old.has(step)) found.changed[step] = marked(fieldsOf(item, inner, loose));
    else compare(step, old.get(step), item, inner);
  for (const [step, item] of old) if (!next.has(step)) found.removed[step] = marked(fieldsOf(item, inner, loose));
  return found;
}

/** Whether two values are compared part by part. */
function isDivided(before: unknown, after: unknown, structure: Structure): boolean {
  if (structure.isAtomic) return false;
  if (isObject(before) && isObject(after)) return true;
  return (
    Array.isArray(before) &&
    Array.isArray(after) &&
    structure.listType.is !== "atomic" &&
    itemsOrNone(before, structure) !== undefined &&
    itemsOrNone(after, structure) !== undefined
  );
}

/**
 * Lays `config` over `live`; shares parts with both, which stay as they are. Throws {@link ListKeyError} where
 * `config` has a list whose items cannot be told apart.
 */
export function merged(live: unknown, config: unknown, structure: Structure): unknown {
  if (live === undefined || structure.isAtomic) return config;
  if (isObject(config)) {
    if (!isObject(live)) return config;
    const result: Record<string, unknown> = { ...live };
    for (const name in config) {
      const known = Object.hasOwn(live, name) ? live[name] : undefined;
      set(result, name, merged(known, config[name], structure.member(name)));
    }
    return result;
  }
  if (!Array.isArray(config) || !Array.isArray(live) || structure.listType.is === "atomic") return config;
  const ours = itemsOf(config, structure);
  const theirs = itemsOrNone(live, structure);
  if (theirs === undefined) return config;
  const inner = structure.item();
  const result: unknown[] = [];
  const left = new Map(theirs);
  // In the order of `config`; what only `live` has stays before the item that it came before.
  for (const [step, item] of ours) {
    if (theirs.has(step) && left.has(step))
      for (const [before, only] of left) {
        if (before === step) break;
        if (ours.has(before)) continue;
        result.push(only);
        left.delete(before);
      }
    left.delete(step);
    result.push(merged(theirs.get(step), item, inner));
  }
  for (const [step, only] of left) if (!ours.has(step)) result.push(only);
  return result;
}

/** `value` without what `given` names and `kept` does not; shares parts with it. */
export function withoutFields(value: unknown, given: Fields, kept: Fields, structure: Structure): unknown {
  if (structure.isAtomic) return value;
  if (isObject(value)) {
    let result: Record<string, unknown> | undefined;
    for (const step in given) {
      if (step === ".") continue;
      const name = step.slice(2);
      if (!Object.hasOwn(value, name)) continue;
      const inner = kept[step];
      const next =
        inner === undefined ? undefined : withoutFields(value[name], given[step]!, inner, structure.member(name));
      if (next === value[name]) continue;
      result ??= { ...value };
      if (next === undefined) delete result[name];
      else set(result, name, next);
    }
    return result ?? value;
  }
  if (!Array.isArray(value) || structure.listType.is === "atomic") return value;
  const items = itemsOrNone(value, structure);
  if (items === undefined) return value;
  const inner = structure.item();
  let isChanged = false;
  const result: unknown[] = [];
  for (const [step, item] of items) {
    const [was, stays] = [given[step], kept[step]];
    const next = was === undefined ? item : stays === undefined ? undefined : withoutFields(item, was, stays, inner);
    if (next !== item) isChanged = true;
    if (next !== undefined) result.push(next);
  }
  return isChanged ? result : value;
}
