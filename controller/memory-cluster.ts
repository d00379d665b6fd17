/**
 * For tests: the objects of one row in memory behind a KubeClient, with what of an API server a reconcile sees:
 * uids, versions, generations, status apart from the rest, merge patches, finalizers. Every write is kept as a line.
 */
import { apiVersionOf, keyOf, type KubeList, type KubeObject, type Resource } from "../api/meta.ts";
import { ApiError, type KubeClient, type Patch, type WatchEvent } from "../kube/client.ts";
import { isSameJson } from "../kube/write.ts";

type Stored = KubeObject & { spec?: unknown; status?: unknown };

export class MemoryCluster implements KubeClient {
  /** `create routes hello`, `update services hello status`, in order. */
  readonly writes: string[] = [];
  /** Refuses writes: asked with the line that `writes` would get. */
  refuse: ((write: string) => ApiError | undefined) | undefined;
  readonly #objects = new Map<string, Stored>();
  readonly #listeners = new Map<string, Set<(event: WatchEvent<KubeObject>) => void>>();
  #version = 1;

  /** As it stands: nothing is defaulted but what every stored object has. */
  constructor(objects: readonly KubeObject[]) {
    for (const object of objects) {
      const { kind, metadata } = object;
      this.#version += 1;
      const stored = structuredClone({
        ...object,
        metadata: {
          uid: `uid-of-${kind}-${metadata.name}`.toLowerCase(),
          generation: 1,
          creationTimestamp: "2026-01-01T00:00:00Z",
          ...metadata,
          resourceVersion: String(this.#version),
        },
      });
      this.#objects.set(storeKey(object, keyOf(object)), stored);
    }
  }

  /** undefined when there is none. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- a test knows what it put there
  find<T extends KubeObject>(resource: Pick<Resource, "group" | "version" | "kind">, key: string): T | undefined {
    return this.#objects.get(storeKey({ apiVersion: apiVersionOf(resource), kind: resource.kind }, key)) as
      | T
      | undefined;
  }

  async get<T extends KubeObject>(resource: Resource, name: string, namespace?: string): Promise<T> {
    return structuredClone(this.#existing(resource, name, namespace)) as unknown as T;
  }

  async list<T extends KubeObject>(resource: Resource): Promise<KubeList<T>> {
    const items = [...this.#objects.values()].filter(
      ({ apiVersion, kind }) => kind === resource.kind && apiVersion === apiVersionOf(resource),
    );
    return {
      apiVersion: apiVersionOf(resource),
      kind: "List",
      metadata: { resourceVersion: String(this.#version) },
      items: structuredClone(items) as unknown as T[],
    };
  }

  async create<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    const name = object.metadata.name ?? "";
    this.#write(`create ${resource.plural} ${name}`);
    if (this.find(resource, keyOf(object)) !== undefined)
      throw failure(409, "AlreadyExists", `${resource.plural}.${resource.group} "${name}" already exists`);
    const { status: _status, ...rest } = object as T & { status?: unknown };
    const metadata = {
      uid: `uid-of-${resource.kind}-${name}`.toLowerCase(),
      generation: 1,
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...object.metadata,
    };
    return this.#store(resource, "ADDED", { ...rest, metadata }) as unknown as T;
  }

  async update<T extends KubeObject>(resource: Resource, object: T, options?: { subresource?: string }): Promise<T> {
    const { name = "", namespace, resourceVersion } = object.metadata;
    const isStatus = options?.subresource === "status";
    this.#write(`update ${resource.plural} ${name}${isStatus ? " status" : ""}`);
    const found = this.#existing(resource, name, namespace);
    if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion)
      throw failure(409, "Conflict", "the object has been modified");
    const given = object as Stored;
    if (isStatus) return this.#store(resource, "MODIFIED", { ...found, status: given.status }) as unknown as T;
    return this.#store(resource, "MODIFIED", this.#changed(found, { ...given, status: found.status })) as unknown as T;
  }

  async patch<T extends KubeObject>(
    resource: Resource,
    name: string,
    namespace: string | undefined,
    patch: Patch,
  ): Promise<T> {
    this.#write(`patch ${resource.plural} ${name}`);
    if (patch.is !== "merge") throw new Error(`no ${patch.is} patch here`);
    const found = this.#existing(resource, name, namespace);
    const next = this.#changed(found, merge(found, patch.body) as Stored);
    const isGone = next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0;
    if (isGone) this.#remove(resource, next);
    return (isGone ? next : this.#store(resource, "MODIFIED", next)) as unknown as T;
  }

  async delete(resource: Resource, name: string, namespace?: string): Promise<void> {
    this.#write(`delete ${resource.plural} ${name}`);
    this.#remove(resource, this.#existing(resource, name, namespace));
  }

  async *watch<T extends KubeObject>(
    resource: Resource,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<WatchEvent<T>, void, undefined> {
    const pending: WatchEvent<KubeObject>[] = [];
    let wake = Promise.withResolvers<void>();
    const listener = (event: WatchEvent<KubeObject>): void => {
      pending.push(event);
      wake.resolve();
    };
    const key = `${apiVersionOf(resource)} ${resource.kind}`;
    const listeners = this.#listeners.get(key) ?? new Set();
    this.#listeners.set(key, listeners.add(listener));
    signal.addEventListener("abort", () => wake.resolve(), { once: true });
    while (!signal.aborted) {
      for (let event = pending.shift(); event !== undefined; event = pending.shift()) yield event as WatchEvent<T>;
      await wake.promise;
      wake = Promise.withResolvers();
    }
  }

  #write(line: string): void {
    const refusal = this.refuse?.(line);
    if (refusal !== undefined) throw refusal;
    this.writes.push(line);
  }

  #existing(resource: Resource, name: string, namespace: string | undefined): Stored {
    const key = keyOf({ metadata: { name, ...(resource.namespaced ? { namespace: namespace ?? "" } : {}) } });
    const found = this.find<Stored>(resource, key);
    if (found === undefined) throw failure(404, "NotFound", `${resource.plural} "${name}" not found`);
    return found;
  }

  #changed(before: Stored, after: Stored): Stored {
    const { generation = 1 } = before.metadata;
    return isSameJson(before.spec, after.spec)
      ? after
      : { ...after, metadata: { ...after.metadata, generation: generation + 1 } };
  }

  #store(resource: Resource, type: "ADDED" | "MODIFIED", object: Stored): Stored {
    this.#version += 1;
    const stored = structuredClone({
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(this.#version) },
    });
    this.#objects.set(storeKey(stored, keyOf(stored)), stored);
    this.#tell(resource, { type, object: stored });
    return structuredClone(stored);
  }

  #remove(resource: Resource, object: Stored): void {
    this.#objects.delete(storeKey(object, keyOf(object)));
    this.#tell(resource, { type: "DELETED", object });
  }

  #tell(resource: Resource, event: WatchEvent<KubeObject>): void {
    for (const listener of this.#listeners.get(`${apiVersionOf(resource)} ${resource.kind}`) ?? []) listener(event);
  }
}

const storeKey = ({ apiVersion, kind }: Pick<KubeObject, "apiVersion" | "kind">, key: string): string =>
  `${apiVersion} ${kind} ${key}`;

/** JSON merge patch (RFC 7386). */
export function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> =
    typeof target === "object" && target !== null ? { ...(target as Record<string, unknown>) } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}

export function failure(code: number, reason: string, message: string): ApiError {
  return new ApiError({ apiVersion: "v1", kind: "Status", metadata: {}, status: "Failure", code, reason, message });
}
