/** For tests: a KubeClient over objects in memory, with just the rules of an API server that a node relies on. */
import { randomUUID } from "node:crypto";
import type { Pod } from "../../api/core.ts";
import { apiVersionOf, keyOf, type KubeList, type KubeObject, type Resource } from "../../api/meta.ts";
import { ApiError, type DeleteOptions, type KubeClient, type WatchEvent } from "../../kube/client.ts";

export class MemoryClient implements KubeClient {
  readonly #objects = new Map<string, KubeObject>();
  readonly #listeners = new Set<() => void>();
  readonly #events: { plural: string; version: number; event: WatchEvent<KubeObject> }[] = [];
  #version = 0;

  async get<T extends KubeObject>(resource: Resource, name: string, namespace?: string): Promise<T> {
    return structuredClone(this.#find(resource, name, namespace)) as T;
  }

  async list<T extends KubeObject>(resource: Resource): Promise<KubeList<T>> {
    const items = [...this.#objects]
      .filter(([key]) => key.startsWith(`${resource.plural} `))
      .map(([, object]) => object);
    return {
      apiVersion: apiVersionOf(resource),
      kind: "List",
      metadata: { resourceVersion: String(this.#version) },
      items: structuredClone(items) as T[],
    };
  }

  async create<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    if (this.#objects.has(`${resource.plural} ${keyOf(object)}`)) throw failure(409, "AlreadyExists");
    const metadata = { uid: randomUUID(), creationTimestamp: new Date().toISOString(), ...object.metadata };
    return this.#store(resource, "ADDED", { ...object, metadata });
  }

  async update<T extends KubeObject>(resource: Resource, object: T, options?: { subresource?: string }): Promise<T> {
    const found = this.#find(resource, object.metadata.name ?? "", object.metadata.namespace);
    const { resourceVersion, uid } = object.metadata;
    if (uid !== found.metadata.uid) throw failure(409, "Conflict");
    if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion)
      throw failure(409, "Conflict");
    const status = (object as { status?: unknown }).status;
    return this.#store(resource, "MODIFIED", options?.subresource === "status" ? { ...found, status } : object) as T;
  }

  async patch<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace: string | undefined,
    patch: Parameters<KubeClient["patch"]>[3],
  ): Promise<T> {
    const found = this.#find(resource, name, namespace);
    if (patch.is !== "merge") throw new Error(`no ${patch.is} patch here`);
    return this.#store(resource, "MODIFIED", merge(found, patch.body)) as T;
  }

  /** A pod on a node is marked first, unless its grace period is 0. */
  async delete(resource: Resource, name: string, namespace?: string, options: DeleteOptions = {}): Promise<void> {
    const found = this.#find(resource, name, namespace);
    const uid = options.preconditions?.uid;
    if (uid !== undefined && uid !== found.metadata.uid) throw failure(409, "Conflict");
    const pod = found as Pod;
    const graceSeconds = options.gracePeriodSeconds ?? pod.spec?.terminationGracePeriodSeconds ?? 30;
    if (resource.plural === "pods" && graceSeconds > 0 && pod.spec.nodeName !== undefined) {
      const deletionTimestamp = new Date(Date.now() + graceSeconds * 1000).toISOString();
      const metadata = { ...found.metadata, deletionTimestamp, deletionGracePeriodSeconds: graceSeconds };
      this.#store(resource, "MODIFIED", { ...found, metadata });
      return;
    }
    this.#objects.delete(`${resource.plural} ${keyOf(found)}`);
    this.#version += 1;
    this.#tell(resource, "DELETED", found);
  }

  async *watch<T extends KubeObject>(
    resource: Resource,
    options: { resourceVersion: string; signal: AbortSignal },
  ): AsyncGenerator<WatchEvent<T>, void, undefined> {
    let wake = Promise.withResolvers<void>();
    const listener = (): void => wake.resolve();
    this.#listeners.add(listener);
    options.signal.addEventListener("abort", listener, { once: true });
    let next = this.#events.findIndex(({ version }) => version > Number(options.resourceVersion));
    if (next < 0) next = this.#events.length;
    try {
      while (!options.signal.aborted) {
        for (; next < this.#events.length; next++) {
          const { plural, event } = this.#events[next]!;
          if (plural === resource.plural) yield structuredClone(event) as WatchEvent<T>;
        }
        await wake.promise;
        wake = Promise.withResolvers();
      }
    } finally {
      this.#listeners.delete(listener);
    }
  }

  /** Resolves with the object once it is in the state; undefined stands for an object that is not there. */
  async until<T extends KubeObject>(
    resource: Resource,
    key: string,
    accept: (object: T | undefined) => boolean,
  ): Promise<T> {
    const held = (): T | undefined => this.#objects.get(`${resource.plural} ${key}`) as T | undefined;
    while (!accept(held()))
      await new Promise<void>((resolve) => {
        const listener = (): void => {
          this.#listeners.delete(listener);
          resolve();
        };
        this.#listeners.add(listener);
      });
    return held() as T;
  }

  #find(resource: Resource, name: string, namespace?: string): KubeObject {
    const key = namespace === undefined || !resource.namespaced ? name : `${namespace}/${name}`;
    const found = this.#objects.get(`${resource.plural} ${key}`);
    if (found === undefined) throw failure(404, "NotFound");
    return found;
  }

  #store<T extends KubeObject>(resource: Resource, type: "ADDED" | "MODIFIED", object: T): T {
    this.#version += 1;
    const stored = structuredClone({
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(this.#version) },
    });
    this.#objects.set(`${resource.plural} ${keyOf(stored)}`, stored);
    this.#tell(resource, type, stored);
    return structuredClone(stored);
  }

  #tell(resource: Resource, type: "ADDED" | "MODIFIED" | "DELETED", object: KubeObject): void {
    this.#events.push({ plural: resource.plural, version: this.#version, event: { type, object } });
    for (const listener of this.#listeners) listener();
  }
}

function merge<T>(target: T, patch: unknown): T {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch as T;
  const merged: Record<string, unknown> = { ...(target as Record<string, unknown>) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key] ?? {}, value);
  }
  return merged as T;
}

function failure(code: number, reason: string): ApiError {
  const shared = { apiVersion: "v1" as const, kind: "Status" as const, metadata: {}, status: "Failure" as const };
  return new ApiError({ ...shared, code, reason, message: reason });
}
