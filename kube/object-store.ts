/** Objects by key, namespace and index, and what each write to them changed. */
import { keyOf, type KubeObject } from "../api/meta.ts";
import type { Change } from "./informer.ts";

export class ObjectStore<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #byNamespace = new Map<string, Set<string>>();
  readonly #indexers: readonly { name: string; values: (object: T) => string[] }[];
  readonly #indexes = new Map<string, Map<string, Set<string>>>();

  constructor(indexes: Readonly<Record<string, (object: T) => string[]>>) {
    this.#indexers = Object.entries(indexes).map(([name, values]) => ({ name, values }));
    for (const { name } of this.#indexers) this.#indexes.set(name, new Map());
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(namespace?: string): T[] {
    if (namespace === undefined) return [...this.#objects.values()];
    return this.#resolve(this.#byNamespace.get(namespace));
  }

  byIndex(index: string, value: string): T[] {
    const values = this.#indexes.get(index);
    if (values === undefined) throw new Error(`no index ${index}`);
    return this.#resolve(values.get(value));
  }

  /** A state of one object that is newer than ours. [] when it is the one we have. */
  put(object: T): Change<T>[] {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    if (previous === undefined) {
      this.#add(key, object);
      return [{ is: "added", object }];
    }
    if (previous.metadata.uid !== object.metadata.uid) {
      // The deletion in between was missed.
      this.#drop(key, previous);
      this.#add(key, object);
      return [
        { is: "deleted", object: previous },
        { is: "added", object },
      ];
    }
    if (isSameState(previous, object)) return [];
    this.#unindex(key, previous);
    this.#objects.set(key, object);
    this.#index(key, object);
    return [{ is: "updated", object, previous }];
  }

  /** The last state of an object that is gone. */
  remove(object: T): Change<T>[] {
    const key = keyOf(object);
    const previous = this.#objects.get(key);
    if (previous === undefined) return [];
    this.#drop(key, previous);
    return [{ is: "deleted", object }];
  }

  /** The whole truth: what is not in it is gone. */
  replace(objects: readonly T[]): Change<T>[] {
    const present = new Set(objects.map(keyOf));
    const changes: Change<T>[] = [];
    for (const [key, object] of this.#objects) {
      if (present.has(key)) continue;
      this.#drop(key, object);
      changes.push({ is: "deleted", object });
    }
    for (const object of objects) changes.push(...this.put(object));
    return changes;
  }

  #add(key: string, object: T): void {
    this.#objects.set(key, object);
    const namespace = object.metadata.namespace ?? "";
    const keys = this.#byNamespace.get(namespace);
    if (keys === undefined) this.#byNamespace.set(namespace, new Set([key]));
    else keys.add(key);
    this.#index(key, object);
  }

  #drop(key: string, object: T): void {
    this.#objects.delete(key);
    const namespace = object.metadata.namespace ?? "";
    const keys = this.#byNamespace.get(namespace);
    keys?.delete(key);
    if (keys?.size === 0) this.#byNamespace.delete(namespace);
    this.#unindex(key, object);
  }

  #index(key: string, object: T): void {
    for (const { name, values } of this.#indexers) {
      const index = this.#indexes.get(name)!;
      for (const value of values(object)) {
        const keys = index.get(value);
        if (keys === undefined) index.set(value, new Set([key]));
        else keys.add(key);
      }
    }
  }

  #unindex(key: string, object: T): void {
    for (const { name, values } of this.#indexers) {
      const index = this.#indexes.get(name)!;
      for (const value of values(object)) {
        const keys = index.get(value);
        keys?.delete(key);
        if (keys?.size === 0) index.delete(value);
      }
    }
  }

  #resolve(keys: ReadonlySet<string> | undefined): T[] {
    if (keys === undefined) return [];
    const found: T[] = [];
    for (const key of keys) found.push(this.#objects.get(key)!);
    return found;
  }
}

const isSameState = (a: KubeObject, b: KubeObject): boolean =>
  a.metadata.resourceVersion !== undefined && a.metadata.resourceVersion === b.metadata.resourceVersion;
