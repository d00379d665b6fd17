/**
 * Who owns which field of an object: `metadata.managedFields`, kept at every write, and server-side apply, which goes
 * by it. What an update changes becomes the updater's; what an apply says is the applier's, and what it no longer says
 * goes when nobody else owns it.
 */
import { apiVersionOf, type KubeObject } from "../../api/meta.ts";
import { difference, intersection, isEmpty, isFields, leaf, pathsOf, union, type Fields } from "./field-set.ts";
import { copyOf, isEqual, isObject } from "./json-value.ts";
import type { Kind } from "./kind.ts";
import { differences, fieldsOf, merged, withoutFields, type Differences } from "./typed-merge.ts";

export interface ManagedEntry {
  manager: string;
  operation: "Apply" | "Update";
  apiVersion: string;
  /** Of the last change; RFC 3339. */
  time?: string;
  fieldsType: "FieldsV1";
  fieldsV1: Fields;
  subresource?: string;
}

/** Who writes, through what, and when. */
export interface Writing {
  kind: Kind;
  manager: string;
  /** Whether a new object gets a record. */
  isTracked: boolean;
  /** "" for the object itself. */
  subresource: string;
  now: string;
}

export const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

/** More updaters than this share one entry. */
const mostUpdaters = 10;
/** Fields that nobody owns: they say which object it is, or the server sets them. */
const unowned = [
  "name",
  "namespace",
  "creationTimestamp",
  "selfLink",
  "uid",
  "generation",
  "managedFields",
  "resourceVersion",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
];

/** The entries of an object; [] where it has none, or none that can be read. */
export function entriesOf({ metadata }: KubeObject): readonly ManagedEntry[] {
  return (metadata.managedFields ?? []) as ManagedEntry[];
}

/** What a client sent in their place: undefined where it cannot be read. One empty entry asks to forget them. */
export function readEntries(given: unknown): readonly ManagedEntry[] | undefined {
  if (!Array.isArray(given) || given.length === 0) return undefined;
  const entries = given as unknown[];
  if (entries.length === 1 && isObject(entries[0]) && Object.keys(entries[0]).length === 0) return [];
  return entries.every(isEntry) ? entries : undefined;
}

const isEntry = (entry: unknown): entry is ManagedEntry =>
  isObject(entry) &&
  typeof (entry["manager"] ?? "") === "string" &&
  (entry["operation"] === "Apply" || entry["operation"] === "Update") &&
  typeof entry["apiVersion"] === "string" &&
  entry["fieldsType"] === "FieldsV1" &&
  isFields(entry["fieldsV1"]);

/** The fields that can have owners, of a whole object. */
function owned(object: KubeObject, { structure }: Kind, options: { marked: boolean; strict: boolean }): Fields {
  const fields: Fields = {};
  const members = object as unknown as Record<string, unknown>;
  for (const name in members) {
    if (name === "apiVersion" || name === "kind" || members[name] === undefined) continue;
    const value = name === "metadata" ? ownedMetadata(object) : members[name];
    const inner = fieldsOf(value, structure.member(name), options);
    // The parts of an object are there from the start.
    const { ".": _, ...rest } = inner;
    if (!isObject(value)) fields[`f:${name}`] = inner;
    else if (!isEmpty(rest)) fields[`f:${name}`] = rest;
    else if (name !== "metadata") fields[`f:${name}`] = inner;
  }
  return fields;
}

function ownedMetadata({ metadata }: KubeObject): Record<string, unknown> {
  const rest: Record<string, unknown> = { ...metadata };
  for (const name of unowned) delete rest[name];
  return rest;
}

const comparable = (object: KubeObject): object => {
  const { apiVersion: _, kind: __, ...rest } = object;
  return { ...rest, metadata: ownedMetadata(object) };
};

function compared(before: KubeObject | undefined, after: KubeObject, kind: Kind): Differences {
  if (before === undefined) return { changed: owned(after, kind, { marked: true, strict: false }), removed: {} };
  return differences(comparable(before), comparable(after), kind.structure);
}

const isSame = (entry: ManagedEntry, operation: ManagedEntry["operation"], { manager, subresource, kind }: Writing) =>
  entry.operation === operation &&
  entry.manager === manager &&
  (entry.subresource ?? "") === subresource &&
  // An applier has one set of fields, whatever version it speaks.
  (operation === "Apply" || entry.apiVersion === apiVersionOf(kind.resource));

const entryOf = (
  { manager, subresource, kind, now }: Writing,
  operation: ManagedEntry["operation"],
  fieldsV1: Fields,
): ManagedEntry => ({
  manager,
  operation,
  apiVersion: apiVersionOf(kind.resource),
  time: now,
  fieldsType: "FieldsV1",
  fieldsV1,
  ...(subresource !== "" && { subresource }),
});

/** The entries after a write that is no apply. Shares those that stay as they are. */
export function afterUpdate(
  writing: Writing,
  entries: readonly ManagedEntry[],
  before: KubeObject | undefined,
  after: KubeObject,
): readonly ManagedEntry[] {
  const { changed, removed } = compared(before, after, writing.kind);
  if (isEmpty(changed) && isEmpty(removed)) return entries;
  let own: Fields = {};
  const others: ManagedEntry[] = [];
  for (const entry of entries) {
    const isOwn = isSame(entry, "Update", writing);
    const kept = isOwn ? entry.fieldsV1 : difference(entry.fieldsV1, changed);
    const fieldsV1 = difference(kept, removed, true);
    if (isOwn) own = union(own, fieldsV1);
    else if (fieldsV1 === entry.fieldsV1) others.push(entry);
    else if (!isEmpty(fieldsV1)) others.push({ ...entry, fieldsV1 });
  }
  own = union(own, changed);
  return settled(isEmpty(own) ? others : [...others, entryOf(writing, "Update", own)]);
}

/** Appliers first, then by time. */
function settled(entries: ManagedEntry[]): ManagedEntry[] {
  const text = ({ operation, time = "", manager }: ManagedEntry): string => `${operation} ${time} ${manager}`;
  const sorted = entries.sort((left, right) => (text(left) < text(right) ? -1 : text(left) > text(right) ? 1 : 0));
  const updaters = sorted.filter(({ operation }) => operation === "Update");
  if (updaters.length <= mostUpdaters) return sorted;
  const oldest = updaters.slice(0, updaters.length - mostUpdaters + 1);
  const last = oldest.at(-1)!;
  const shared: ManagedEntry = {
    manager: "ancient-changes",
    operation: "Update",
    apiVersion: last.apiVersion,
    ...(last.time !== undefined && { time: last.time }),
    fieldsType: "FieldsV1",
    fieldsV1: oldest.reduce((all, { fieldsV1 }) => union(all, fieldsV1), {} as Fields),
  };
  const at = sorted.indexOf(oldest[0]!);
  return [...sorted.slice(0, at), shared, ...sorted.slice(at).filter((entry) => !oldest.includes(entry))];
}

/** Whether two records say the same of every field, whenever it was written. */
export function isSameRecord(one: readonly ManagedEntry[], other: readonly ManagedEntry[]): boolean {
  if (one === other) return true;
  if (one.length !== other.length) return false;
  const timeless = (entry: ManagedEntry): object => ({ ...entry, time: undefined });
  // The order goes by time too.
  return one.every((entry) => other.some((same) => isEqual(timeless(entry), timeless(same))));
}

export interface FieldConflict {
  entry: ManagedEntry;
  /** `.spec.replicas` */
  paths: string[];
}

/** Fields of others that an apply would change. */
export class ApplyConflict extends Error {
  override readonly name = "ApplyConflict";
  readonly conflicts: readonly FieldConflict[];

  constructor(conflicts: readonly FieldConflict[]) {
    super("fields have other managers");
    this.conflicts = conflicts;
  }
}

/**
 * The object after `config` is applied, a new one that carries its entries. Throws {@link ApplyConflict}, and
 * ListKeyError for a list whose items cannot be told apart.
 */
export function applied(
  writing: Writing,
  live: KubeObject | undefined,
  config: KubeObject,
  force: boolean,
): KubeObject {
  try {
    return appliedOnce(writing, live, config, force);
  } catch (error) {
    if (!(error instanceof ApplyConflict) || live === undefined || !ownsByAnnotation(writing, live, error)) throw error;
    // The fields are its own from before, when kubectl kept them in an annotation.
    return appliedOnce(writing, live, config, true);
  }
}

function appliedOnce(writing: Writing, live: KubeObject | undefined, config: KubeObject, force: boolean): KubeObject {
  const { kind } = writing;
  const part = ownPart(writing, config);
  const said = owned(part, kind, { marked: false, strict: true });
  if (live === undefined) {
    const next = copyOf(part);
    next.metadata.managedFields = [entryOf(writing, "Apply", said)];
    return next;
  }
  const entries = entriesOf(live).length > 0 ? entriesOf(live) : firstEntries(writing, live);
  const old = entries.find((entry) => isSame(entry, "Apply", writing));
  const others = entries.filter((entry) => entry !== old);
  const { managedFields: _, ...metadata } = live.metadata;
  let next = merged({ ...live, metadata }, part, kind.structure) as KubeObject;
  if (old !== undefined) {
    const kept = others.reduce((all, { fieldsV1 }) => union(all, fieldsV1), union(said, identity));
    next = withoutFields(next, old.fieldsV1, kept, kind.structure) as KubeObject;
  }
  next = copyOf(next);

  const { changed, removed } = compared(live, next, kind);
  const conflicts = others
    .map((entry) => ({ entry, taken: intersection(entry.fieldsV1, changed) }))
    .filter(({ taken }) => !isEmpty(taken));
  if (conflicts.length > 0 && !force)
    throw new ApplyConflict(conflicts.map(({ entry, taken }) => ({ entry, paths: pathsOf(taken) })));
  const left = others.flatMap((entry): ManagedEntry[] => {
    const fieldsV1 = difference(difference(entry.fieldsV1, changed), removed, true);
    if (fieldsV1 === entry.fieldsV1) return [entry];
    return isEmpty(fieldsV1) ? [] : [{ ...entry, fieldsV1 }];
  });
  const own = entryOf(writing, "Apply", said);
  const isNews = !isEmpty(changed) || !isEmpty(removed) || old === undefined || !isEqual(old.fieldsV1, said);
  next.metadata.managedFields = settled([...left, isNews ? own : { ...own, ...(old.time && { time: old.time }) }]);
  // Not before: nobody is asked whether kubectl may keep its own books.
  keepLastApplied(writing, live, config, next);
  return next;
}

/** Of an object that is there, whoever owns what. */
const identity: Fields = { "f:metadata": { "f:name": leaf } };

/** An apply to the object says nothing of its status, one to the status nothing else. */
function ownPart({ kind, subresource }: Writing, config: KubeObject): KubeObject {
  const { status, ...rest } = config as KubeObject & { status?: unknown };
  if (subresource !== "status") return kind.hasStatus ? rest : config;
  const { apiVersion, kind: name, metadata } = config;
  const { labels: _, annotations: __, ownerReferences: ___, finalizers: ____, ...same } = metadata;
  return { apiVersion, kind: name, metadata: same, ...(status !== undefined && { status }) };
}

/** What was there before anybody's fields were kept belongs to nobody who could apply. */
function firstEntries(writing: Writing, live: KubeObject): ManagedEntry[] {
  const fields = owned(live, writing.kind, { marked: true, strict: false });
  const before = { ...writing, manager: "before-first-apply", subresource: "" };
  return isEmpty(fields) ? [] : [entryOf(before, "Update", fields)];
}

const lastAppliedOf = ({ metadata }: KubeObject): string | undefined => metadata.annotations?.[lastAppliedAnnotation];

/** The annotation follows kubectl's own applies: older kubectls go by it. */
function keepLastApplied({ manager }: Writing, live: KubeObject, config: KubeObject, next: KubeObject): void {
  if (manager !== "kubectl" || lastAppliedOf(live) === undefined) return;
  const said = copyOf(config);
  delete said.metadata.managedFields;
  delete said.metadata.annotations?.[lastAppliedAnnotation];
  next.metadata.annotations = { ...next.metadata.annotations, [lastAppliedAnnotation]: `${JSON.stringify(said)}\n` };
}

/** Whether everything in the way was set by the client-side apply that the annotation tells of. */
function ownsByAnnotation(writing: Writing, live: KubeObject, { conflicts }: ApplyConflict): boolean {
  const text = lastAppliedOf(live);
  if (writing.manager !== "kubectl" || text === undefined) return false;
  try {
    const said = JSON.parse(text) as KubeObject;
    const { kind } = writing;
    writing.kind.prune(said);
    const known = new Set(pathsOf(owned(said, kind, { marked: false, strict: true })));
    return conflicts.every(({ paths }) => paths.every((path) => known.has(path)));
  } catch {
    return false; // an annotation that cannot be read owns nothing
  }
}

/** As the answer to a conflict tells of a manager. */
export function managerText({ manager, subresource = "", operation, apiVersion }: ManagedEntry): string {
  const who = JSON.stringify(manager) + (subresource === "" ? "" : ` with subresource ${JSON.stringify(subresource)}`);
  return operation === "Update" ? `${who} using ${apiVersion}` : who;
}
