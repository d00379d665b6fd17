/** Create, update and patch: decode, default, admit, validate, store. Everything that writes objects passes here. */
import { randomInt, randomUUID } from "node:crypto";
import { apiVersionOf, type KubeObject } from "../../api/meta.ts";
import type { Patch } from "../../kube/client.ts";
import type { Admission, Attempt } from "./admission.ts";
import { presented, timestamp, type Call } from "./call.ts";
import { requireSurroundings } from "./built-in-admission.ts";
import type { CustomResources } from "./custom-resources.ts";
import { copyOf, isEqual, isObject } from "./json-value.ts";
import { DecodeError, type Kind } from "./kind.ts";
import {
  afterUpdate,
  entriesOf,
  isSameRecord,
  readEntries,
  type ManagedEntry,
  type Writing,
} from "./managed-fields.ts";
import { concernsManagedFields, patched } from "./patch.ts";
import { alreadyExists, badRequest, conflict, invalid, notFound, resourceName } from "./status-error.ts";
import type { Store } from "./store.ts";

export interface Writer {
  /** Takes the body over. Answers with the stored object. */
  create(call: Call, body: KubeObject): Promise<KubeObject>;
  /** Takes the body over. */
  update(call: Call, body: KubeObject): Promise<KubeObject>;
  patch(call: Call, patch: Patch): Promise<KubeObject>;
  /**
   * Changes an object: `change` gets what is stored and returns what shall be, which it shares nothing with. Called
   * again when somebody else wrote in between and the change did not insist on a version.
   */
  change(call: Call, change: (stored: KubeObject) => KubeObject): Promise<KubeObject>;
  /** The same for a change that has recorded whose its fields are. */
  changeRecorded(call: Call, change: (stored: KubeObject) => KubeObject): Promise<KubeObject>;
  createRecorded(call: Call, object: KubeObject): Promise<KubeObject>;
}

export interface WriterOptions {
  store: Store;
  admission: Admission;
  customResources: CustomResources;
  /** Has the last word before a write: throws ApiError to refuse it. */
  guard?: Guard | undefined;
  nowMs: () => number;
}

export type Guard = (call: Call, object: KubeObject, old: KubeObject | undefined) => void;

/** How often a write without a version starts over when another one came first. */
const mostTries = 5;

export function createWriter({ store, admission, customResources, guard, nowMs }: WriterOptions): Writer {
  /** Runs defaults, webhooks and validation over a new state. Returns the object to store. */
  async function admit(attempt: Attempt, isRecorded: boolean): Promise<KubeObject> {
    const { call, old } = attempt;
    const { kind } = call;
    let object = attempt.object!;
    if (call.subresource === "") kind.applyDefaults(object);
    // What webhooks then add belongs to nobody.
    if (!isRecorded) record(writingOf(call, nowMs()), object, old);
    const mutating = call.unasked ? [] : admission.mutating({ ...attempt, object });
    if (mutating.length > 0) {
      const given = object;
      object = await admission.mutate(mutating, { ...attempt, object });
      if (object !== given) {
        decoded(kind, object);
        if (call.subresource === "") kind.applyDefaults(object);
      }
    }
    const causes = kind.validate(object, old);
    if (causes.length > 0) throw invalid(kind.resource, object.metadata.name ?? "", causes);
    const validating = call.unasked ? [] : admission.validating({ ...attempt, object });
    if (validating.length > 0) await admission.validate(validating, { ...attempt, object });
    guard?.(call, object, old);
    return object;
  }

  async function create(call: Call, object: KubeObject, isRecorded: boolean): Promise<KubeObject> {
    const { kind, namespace } = call;
    const resource = resourceName(kind.resource);
    const { metadata } = object;
    if (metadata.resourceVersion !== undefined && metadata.resourceVersion !== "")
      throw badRequest("resourceVersion should not be set on objects to be created");
    const prefix = metadata.name === undefined || metadata.name === "" ? (metadata.generateName ?? "") : "";
    if (prefix !== "")
      metadata.name = generatedName(prefix, (name) => store.get(resource, namespace, name) !== undefined);
    delete metadata.deletionTimestamp;
    delete metadata.deletionGracePeriodSeconds;
    metadata.uid = randomUUID();
    metadata.creationTimestamp = timestamp(nowMs());
    if (kind.hasGeneration) metadata.generation = 1;
    else delete metadata.generation;
    if (kind.hasStatus) delete (object as { status?: unknown }).status;
    requireSurroundings(store, call, object);
    const attempt: Attempt = {
      call,
      operation: "CREATE",
      object,
      old: undefined,
      options: optionsOf("CreateOptions", call),
    };
    const admitted = await admit(attempt, isRecorded);
    // Webhooks take time, and the world goes on.
    requireSurroundings(store, call, admitted);
    if (store.get(resource, namespace, admitted.metadata.name ?? "") !== undefined)
      throw alreadyExists(kind.resource, admitted.metadata.name ?? "");
    if (call.dryRun) return admitted;
    customResources.beforeWrite(kind, admitted, undefined);
    return presented(kind, store.put(resource, admitted));
  }

  async function change(
    call: Call,
    makeNext: (stored: KubeObject) => KubeObject,
    isRecorded: boolean,
  ): Promise<KubeObject> {
    const { kind, namespace, name } = call;
    const resource = resourceName(kind.resource);
    for (let tries = 1; ; tries++) {
      const stored = store.get(resource, namespace, name);
      if (stored === undefined) throw notFound(kind.resource, name);
      const made = makeNext(presented(kind, stored));
      requireSameObject(call, made, stored);
      const next = settled(call, made, stored);
      const attempt: Attempt = {
        call,
        operation: "UPDATE",
        object: next,
        old: stored,
        options: optionsOf("UpdateOptions", call),
      };
      const admitted = await admit(attempt, isRecorded);
      if (store.get(resource, namespace, name) !== stored) {
        if (tries >= mostTries) throw conflict(kind.resource, name);
        continue;
      }
      bumpGeneration(kind, admitted, stored);
      // Who wrote when is no change by itself: the same apply again leaves everything as it is.
      if (isSameRecord(entriesOf(admitted), entriesOf(stored)) && isSameBut(admitted, stored))
        return presented(kind, stored);
      if (call.dryRun) return presented(kind, admitted);
      if (isFinished(admitted)) return store.remove(resource, admitted);
      customResources.beforeWrite(kind, admitted, stored);
      return presented(kind, store.put(resource, admitted));
    }
  }

  return {
    create: (call, body) => create(call, decodeBody(call, body), false),
    createRecorded: (call, object) => create(call, object, true),
    change: (call, makeNext) => change(call, makeNext, false),
    changeRecorded: (call, makeNext) => change(call, makeNext, true),
    update: (call, body) => {
      const object = decodeBody(call, body);
      const { resource, isCustom } = call.kind;
      if (isCustom && !object.metadata.resourceVersion)
        throw invalid(resource, call.name, [
          {
            reason: "FieldValueInvalid",
            field: "metadata.resourceVersion",
            message: "Invalid value: 0: must be specified for an update",
          },
        ]);
      if ((object.metadata.name ?? "") === "") object.metadata.name = call.name;
      if (object.metadata.name !== call.name)
        throw badRequest(
          `the name of the object (${object.metadata.name}) does not match the name on the URL (${call.name})`,
        );
      let isFirst = true;
      return change(
        call,
        () => {
          // What the first try worked on was changed by defaults and webhooks; both may run on their own results.
          if (!isFirst && object.metadata.resourceVersion) throw conflict(resource, call.name);
          isFirst = false;
          // There is no second try.
          if (object.metadata.resourceVersion) return object;
          const { managedFields, ...metadata } = object.metadata;
          const next: KubeObject = copyOf({ ...object, metadata });
          if (managedFields !== undefined) next.metadata.managedFields = managedFields;
          return next;
        },
        false,
      );
    },
    patch: (call, patch) =>
      change(
        call,
        (stored) => {
          // The record of managers can be as large as the object, and hardly any patch looks at it.
          const { managedFields, ...metadata } = stored.metadata;
          const isConcerned = managedFields === undefined || concernsManagedFields(patch);
          const next = patched(call.kind, isConcerned ? stored : { ...stored, metadata }, patch);
          if (!isObject(next) || !isObject(next.metadata)) throw badRequest("the patched object has no metadata");
          const problems = formProblems(call, decoded(call.kind, next));
          if (problems.length > 0 && call.fieldValidation === "Strict")
            throw invalid({ group: "", kind: "" }, "", [
              {
                reason: "FieldValueInvalid",
                field: "patch",
                message: `Invalid value: ${JSON.stringify(JSON.stringify(patch.is === "json" ? patch.operations : patch.body))}: ${strictError(problems)}`,
              },
            ]);
          warnOf(call, problems);
          return next;
        },
        false,
      ),
  };
}

/** What is wrong with the form of a body, as strict validation says it. */
const formProblems = ({ duplicateFields = [] }: Call, unknown: readonly string[]): string[] => [
  ...duplicateFields.map((field) => `duplicate field ${JSON.stringify(field)}`),
  ...unknown.map((field) => `unknown field ${JSON.stringify(field)}`),
];

const strictError = (problems: readonly string[]): string => `strict decoding error: ${problems.join(", ")}`;

function warnOf(call: Call, problems: readonly string[]): void {
  if (call.fieldValidation === "Warn") for (const problem of problems) call.warn(problem);
}

/** Names what the kind does not know; throws ApiError 400 for values of the wrong type. */
export function decoded(kind: Kind, object: KubeObject): string[] {
  // Read on its own, and shared with what is stored.
  const metadata: KubeObject["metadata"] | undefined = isObject(object.metadata) ? object.metadata : undefined;
  const managed = metadata?.managedFields;
  if (managed !== undefined) delete object.metadata.managedFields;
  try {
    const { unknownFields } = kind.prune(object);
    if (managed !== undefined) object.metadata.managedFields = managed;
    return unknownFields;
  } catch (error) {
    if (error instanceof DecodeError) throw badRequest(error.message);
    throw error;
  }
}

/** How the server is called where it changes an object whose fields have managers. */
const ownManager = "swell";

export const writingOf = (call: Call, nowMs: number): Writing => ({
  kind: call.kind,
  manager: call.manager || ownManager,
  isTracked: call.manager !== "",
  subresource: call.through ?? call.subresource,
  now: timestamp(nowMs),
});

/** Sets whose the fields of an object are after this write. */
function record(writing: Writing, object: KubeObject, old: KubeObject | undefined): void {
  const { metadata } = object;
  const given = metadata.managedFields;
  delete metadata.managedFields;
  const stored = old === undefined ? [] : entriesOf(old);
  const entries = given === stored ? stored : (readEntries(given) ?? stored);
  // Nobody's fields are recorded where nobody's were: that begins with the object, or with an apply.
  const isTracked = old === undefined ? writing.isTracked : entries.length > 0;
  const after = isTracked ? afterUpdate(writing, entries, old, object) : entries;
  if (after.length > 0) metadata.managedFields = after as ManagedEntry[];
}

/** A body that is an object of the call's kind and namespace, without unknown fields. */
function decodeBody(call: Call, body: KubeObject): KubeObject {
  const { kind, namespace } = call;
  const { resource } = kind;
  if (!isObject(body)) throw badRequest("the body is not an object");
  const apiVersion = apiVersionOf(resource);
  const object = { ...body, apiVersion: body.apiVersion || apiVersion, kind: body.kind || resource.kind };
  if (object.apiVersion !== apiVersion)
    throw badRequest(
      `the API version in the data (${object.apiVersion}) does not match the expected API version (${apiVersion})`,
    );
  const cannot = `${object.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}`;
  if (object.kind !== resource.kind)
    throw badRequest(`${cannot}: no kind ${JSON.stringify(object.kind)} is registered`);
  object.metadata = isObject(body.metadata) ? body.metadata : {};
  const problems = formProblems(call, decoded(kind, object));
  if (problems.length > 0 && call.fieldValidation === "Strict") throw badRequest(`${cannot}: ${strictError(problems)}`);
  warnOf(call, problems);
  const given = object.metadata.namespace ?? "";
  if (resource.namespaced && given !== "" && given !== namespace)
    throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
  if (resource.namespaced) object.metadata.namespace = namespace;
  else delete object.metadata.namespace;
  return object;
}

/** Optimistic concurrency: the version and uid that the client names must be the stored ones. */
function requireSameObject({ kind, name }: Call, next: KubeObject, stored: KubeObject): void {
  const { resourceVersion = "", uid = "" } = next.metadata;
  if (resourceVersion !== "" && resourceVersion !== stored.metadata.resourceVersion)
    throw conflict(kind.resource, name);
  if (uid !== "" && uid !== stored.metadata.uid)
    throw conflict(
      kind.resource,
      name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${stored.metadata.uid}`,
    );
}

/** The object with what this call must not change as it is stored. Takes it over. */
function settled({ kind, name, subresource }: Call, next: KubeObject, stored: KubeObject): KubeObject {
  const states = next as { status?: unknown };
  if (subresource === "status") {
    // Only the status is taken; the rest of the body is what the client happened to have. Nobody changes that rest
    // in place from here on, so it is shared with what is stored, and found equal at a glance.
    const { status: _, ...rest } = stored as KubeObject & { status?: unknown };
    const { metadata } = stored;
    const managedFields =
      (next.metadata as KubeObject["metadata"] | undefined)?.managedFields ?? metadata.managedFields;
    return {
      ...rest,
      metadata: { ...metadata, ...(managedFields !== undefined && { managedFields }) },
      ...(states.status !== undefined && { status: states.status }),
    };
  }
  const { metadata } = next;
  const old = stored.metadata;
  for (const field of ["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "generateName"] as const) {
    if (old[field] === undefined) delete metadata[field];
    else metadata[field] = old[field];
  }
  for (const field of ["generation", "deletionGracePeriodSeconds"] as const) {
    if (old[field] === undefined) delete metadata[field];
    else metadata[field] = old[field];
  }
  if (kind.hasStatus) {
    const { status } = stored as { status?: unknown };
    if (status === undefined) delete states.status;
    else states.status = copyOf(status);
  }
  if (old.deletionTimestamp !== undefined) {
    const added = (metadata.finalizers ?? []).filter((one) => !(old.finalizers ?? []).includes(one));
    if (added.length > 0)
      throw invalid(kind.resource, name, [
        {
          reason: "FieldValueForbidden",
          field: "metadata.finalizers",
          message: `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{${added
            .map((one) => JSON.stringify(one))
            .join(", ")}}`,
        },
      ]);
  }
  return next;
}

/** Whether they are equal apart from the record of managers. */
function isSameBut(one: KubeObject, other: KubeObject): boolean {
  const bare = (object: KubeObject): object => ({
    ...object,
    metadata: { ...object.metadata, managedFields: undefined },
  });
  return isEqual(bare(one), bare(other));
}

/** The generation counts changes of what is wanted: everything but metadata and status. */
function bumpGeneration(kind: Kind, next: KubeObject, stored: KubeObject): void {
  if (!kind.hasGeneration) return;
  const wanted = next as unknown as Record<string, unknown>;
  const was = stored as unknown as Record<string, unknown>;
  const counts = (key: string): boolean => key !== "metadata" && key !== "status" && key !== "apiVersion";
  const keys = new Set([...Object.keys(wanted), ...Object.keys(was)].filter(counts));
  for (const key of keys)
    if (!isEqual(wanted[key], was[key])) {
      next.metadata.generation = (stored.metadata.generation ?? 0) + 1;
      return;
    }
}

/** Whether nothing holds a deleted object back any more. Namespaces and pods are ended by those that empty and stop them. */
export function isFinished({ apiVersion, kind, metadata }: KubeObject): boolean {
  if (metadata.deletionTimestamp === undefined || (metadata.finalizers ?? []).length > 0) return false;
  return !(apiVersion === "v1" && kind === "Namespace") && (metadata.deletionGracePeriodSeconds ?? 0) === 0;
}

const optionsOf = (kind: string, call: Call): Record<string, unknown> => ({
  apiVersion: "meta.k8s.io/v1",
  kind,
  ...(call.fieldManager === "" ? {} : { fieldManager: call.fieldManager }),
  ...(call.dryRun ? { dryRun: ["All"] } : {}),
});

/** No vowels, no 0 or 1: what comes out spells nothing. */
const suffixLetters = "bcdfghjklmnpqrstvwxz2456789";

function generatedName(prefix: string, isTaken: (name: string) => boolean): string {
  let name = "";
  for (let tries = 0; tries < 8; tries++) {
    name = prefix.slice(0, 58);
    for (let letter = 0; letter < 5; letter++) name += suffixLetters[randomInt(suffixLetters.length)];
    if (!isTaken(name)) break;
  }
  return name;
}
