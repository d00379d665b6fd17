/** Writes that every reconciler makes. */
import type { KubeObject, OwnerReference, Resource } from "../api/meta.ts";
import { isConflict, type KubeClient } from "./client.ts";

const maxAttempts = 5;

/**
 * What a write of a custom object's status needs to carry: the server takes everything else from what is stored, so
 * sending, parsing and checking it would be for nothing. Not for built-in kinds, whose metadata goes along.
 */
export function statusBody<T extends KubeObject>(object: T, status: unknown): T {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  const metadata = {
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
  return { apiVersion: object.apiVersion, kind: object.kind, metadata, status } as KubeObject as T;
}

/**
 * Writes the status of `object` if it differs from that of `previous`; resolves with what is stored then. When
 * somebody wrote the object meanwhile, the status is put on the fresh one: the change itself leads to another run.
 */
export async function updateStatus<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  object: T,
  previous: T,
): Promise<T> {
  const status = statusOf(object);
  if (isSameJson(status, statusOf(previous))) return previous;
  const body = (target: T): T => (isCustom(resource) ? statusBody(target, status) : { ...target, status });
  let target = body(object);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await client.update<T>(resource, target, { subresource: "status" });
    } catch (error) {
      if (!isConflict(error) || attempt === maxAttempts) throw error;
      const fresh = await client.get<T>(resource, object.metadata.name!, object.metadata.namespace);
      // Another object of the same name has nothing to do with this status.
      if (fresh.metadata.uid !== object.metadata.uid) throw error;
      if (isSameJson(status, statusOf(fresh))) return fresh;
      target = body(fresh);
    }
  }
}

/** Knative's kinds are custom ones wherever they are installed. */
const isCustom = ({ group }: Resource): boolean => group.endsWith(".knative.dev");
const statusOf = (object: KubeObject): unknown => (object as { status?: unknown }).status;

/** Equal once written as JSON: an absent member and an undefined one are the same. */
export function isSameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, at) => isSameJson(item, b[at]));
  }
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  for (const key of Object.keys(left)) if (!isSameJson(left[key], right[key])) return false;
  for (const key of Object.keys(right)) if (right[key] !== undefined && left[key] === undefined) return false;
  return true;
}

/** The reference by which an owner controls what it made: deletion cascades, and no other controller takes it. */
export function controllerReference(owner: KubeObject): OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name ?? "",
    uid: owner.metadata.uid ?? "",
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** Whether this very owner (by uid) controls the object. */
export function isControlledBy(object: KubeObject, owner: KubeObject): boolean {
  return (object.metadata.ownerReferences ?? []).some(
    (reference) => reference.controller === true && reference.uid === owner.metadata.uid,
  );
}
