/** Reading and creating child objects through a cache that may lag behind the server. */
import type { KubeObject, Resource } from "../api/meta.ts";
import { keyOf } from "../api/meta.ts";
import { isAlreadyExists, isNotFound, type KubeClient } from "../kube/client.ts";
import type { Lister } from "../kube/informer.ts";
import { isControlledBy } from "../kube/write.ts";
import { NotOwnedError, StaleCacheError, notOwnedMessage } from "./reconciler.ts";

export type Child<T> = { is: "created"; object: T } | { is: "found"; object: T } | { is: "foreign"; object: T };

/** The child as cached, else created. A name that is taken although the cache shows nothing is looked up. */
export async function ensureChild<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  cache: Lister<T>,
  owner: KubeObject,
  wanted: T,
): Promise<Child<T>> {
  const cached = cache.get(keyOf(wanted));
  if (cached !== undefined) return classify(cached, owner);
  try {
    return { is: "created", object: await client.create(resource, wanted) };
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    try {
      return classify(await client.get<T>(resource, wanted.metadata.name ?? "", wanted.metadata.namespace), owner);
    } catch (missing) {
      if (isNotFound(missing)) throw new StaleCacheError(`${wanted.kind} ${keyOf(wanted)} is gone again`);
      throw missing;
    }
  }
}

function classify<T extends KubeObject>(object: T, owner: KubeObject): Child<T> {
  // A child that is on its way out is replaced once it is gone.
  if (object.metadata.deletionTimestamp !== undefined && isControlledBy(object, owner))
    throw new StaleCacheError(`${object.kind} ${keyOf(object)} is being deleted`);
  return { is: isControlledBy(object, owner) ? "found" : "foreign", object };
}

/** The child, or {@link NotOwnedError}. */
export function ownedChild<T extends KubeObject>(child: Child<T>): T {
  if (child.is !== "foreign") return child.object;
  throw new NotOwnedError(notOwnedMessage(child.object.kind, child.object.metadata.name ?? ""));
}
