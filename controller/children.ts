/** Reading and creating child objects through a cache that may lag behind the server. */
import type { KubeObject, Resource } from "../api/meta.ts";
import { keyOf } from "../api/meta.ts";
import { isAlreadyExists, isNotFound, type KubeClient } from "../kube/client.ts";
import type { Informer, Lister } from "../kube/informer.ts";
import { isControlledBy } from "../kube/write.ts";
import { NotOwnedError, StaleCacheError, notOwnedMessage } from "./reconciler.ts";

export type Child<T> = { is: "created"; object: T } | { is: "found"; object: T } | { is: "foreign"; object: T };

interface Created {
  object: KubeObject;
  atMs: number;
}

/** One that tells of no changes leaves it to the server what exists already. */
type ChildCache<T> = Lister<T> & Partial<Pick<Informer<T>, "onChange">>;

/** Cache → key → what was created a moment ago and is not in the cache yet. */
const created = new WeakMap<object, Map<string, Created>>();
/** A cache that lags more than this is asked no more. */
const createdForMs = 5000;

/**
 * The child as cached, else as created a moment ago, else created. A name that is taken although the cache shows nothing
 * is looked up.
 */
export async function ensureChild<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
  cache: ChildCache<T>,
  owner: KubeObject,
  wanted: T,
): Promise<Child<T>> {
  const key = keyOf(wanted);
  const known = cache.get(key) ?? justCreated(cache, key, owner);
  if (known !== undefined) return classify(known, owner);
  try {
    const object = await client.create(resource, wanted);
    if (cache.get(key) === undefined) createdIn(cache)?.set(key, { object, atMs: performance.now() });
    return { is: "created", object };
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

function createdIn<T extends KubeObject>(cache: ChildCache<T>): Map<string, Created> | undefined {
  const known = created.get(cache);
  if (known !== undefined || cache.onChange === undefined) return known;
  const made = new Map<string, Created>();
  created.set(cache, made);
  // Whatever the cache says of it is newer.
  cache.onChange(({ object }) => void made.delete(keyOf(object)));
  return made;
}

function justCreated<T extends KubeObject>(cache: ChildCache<T>, key: string, owner: KubeObject): T | undefined {
  const made = createdIn(cache);
  const found = made?.get(key);
  if (found === undefined) return undefined;
  if (performance.now() - found.atMs <= createdForMs && isControlledBy(found.object, owner)) return found.object as T;
  made?.delete(key);
  return undefined;
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
