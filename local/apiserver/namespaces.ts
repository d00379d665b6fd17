/** Namespaces: those that are always there, and how one ends: first everything in it, then itself. */
import type { KubeObject } from "../../api/meta.ts";
import { isNotFound } from "../../kube/client.ts";
import type { Logger } from "../../process/logger.ts";
import { namespaceController, ownCall } from "./call.ts";
import { cleanupFinalizer, definedResource } from "./custom-resources.ts";
import type { Deletion } from "./deletion.ts";
import { copyOf } from "./json-value.ts";
import type { KindRegistry } from "./kind.ts";
import { storedKind } from "./stored-kind.ts";
import type { Entry, Store } from "./store.ts";
import type { Writer } from "./writing.ts";

export const initialNamespaces = ["default", "kube-system", "kube-public", "kube-node-lease"] as const;

export interface EmptyingOptions {
  store: Store;
  kinds: KindRegistry;
  writer: Writer;
  deletion: Deletion;
  log: Logger;
}

/** What refused to go is asked again after this time. */
const retryMs = 5_000;

export async function createInitialNamespaces({ store, kinds, writer }: EmptyingOptions): Promise<void> {
  const kind = kinds.find("", "v1", "namespaces");
  if (kind === undefined) return;
  for (const name of initialNamespaces)
    if (store.get("namespaces", "", name) === undefined)
      await writer.create(ownCall(namespaceController, kind, "", ""), {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name },
      });
}

/** Empties namespaces and custom resources that are being deleted, and then lets them go. */
export function startEmptying(options: EmptyingOptions): { stop(): void } {
  const { store, kinds, writer, deletion, log } = options;
  /** `resource/name` of the containers that are being emptied. */
  const ending = new Map<
    string,
    { resource: string; name: string; timer: NodeJS.Timeout | undefined; busy: boolean; again: boolean }
  >();
  let stopped = false;

  const containerOf = (resource: string, object: KubeObject): string | undefined => {
    const { deletionTimestamp, finalizers = [], name = "" } = object.metadata;
    if (deletionTimestamp === undefined) return undefined;
    if (resource === "namespaces") return `${resource}/${name}`;
    return resource === "customresourcedefinitions.apiextensions.k8s.io" && finalizers.includes(cleanupFinalizer)
      ? `${resource}/${name}`
      : undefined;
  };

  const contentOf = (resource: string, container: KubeObject): readonly Entry[] =>
    resource === "namespaces"
      ? store.resources().flatMap((content) => store.list(content, container.metadata.name ?? ""))
      : store.list(definedResource(container));

  function start(resource: string, object: KubeObject): void {
    const key = containerOf(resource, object);
    if (key === undefined || stopped) return;
    if (!ending.has(key))
      ending.set(key, { resource, name: object.metadata.name ?? "", timer: undefined, busy: false, again: false });
    // After the write that caused it: listeners of the store do not write.
    setImmediate(() => void empty(key));
  }

  async function empty(key: string): Promise<void> {
    const container = ending.get(key);
    if (container === undefined || stopped) return;
    container.again = container.busy;
    if (container.busy) return;
    container.busy = true;
    clearTimeout(container.timer);
    let failed = false;
    const object = store.get(container.resource, "", container.name);
    if (object === undefined) ending.delete(key);
    else {
      for (const entry of contentOf(container.resource, object)) failed = !(await remove(entry)) || failed;
      if (contentOf(container.resource, object).length === 0)
        failed = !(await finish(container.resource, container.name)) || failed;
    }
    container.busy = false;
    if (container.again) return empty(key);
    if (failed && !stopped) container.timer = setTimeout(() => void empty(key), retryMs).unref();
  }

  async function remove(entry: Entry): Promise<boolean> {
    const { name = "", namespace = "", deletionTimestamp } = entry.object.metadata;
    if (deletionTimestamp !== undefined) return true;
    const kind = storedKind(kinds, entry);
    try {
      if (kind !== undefined)
        await deletion.remove(ownCall(namespaceController, kind, namespace, name), { propagationPolicy: "Background" });
      // Left by a definition that is no longer served: nobody else could ever remove it.
      else store.remove(entry.resource, copyOf(entry.object));
      return true;
    } catch (error) {
      if (isNotFound(error)) return true;
      log.warn(
        { err: error, namespace, name, resource: entry.resource },
        "cannot remove an object of what is being deleted yet",
      );
      return false;
    }
  }

  async function finish(resource: string, name: string): Promise<boolean> {
    try {
      const stored = store.get(resource, "", name);
      if (stored === undefined) return true;
      if (resource === "namespaces") {
        // Its own finalizers still hold it; their removal starts this again.
        if ((stored.metadata.finalizers ?? []).length > 0) return true;
        store.remove(resource, copyOf(stored));
        return true;
      }
      const kind = storedKind(kinds, { resource, object: stored, version: 0 });
      if (kind === undefined) return true;
      await writer.change(ownCall(namespaceController, kind, "", name), (object) => {
        const next = copyOf(object);
        next.metadata.finalizers = (next.metadata.finalizers ?? []).filter((one) => one !== cleanupFinalizer);
        return next;
      });
      return true;
    } catch (error) {
      if (isNotFound(error)) return true;
      log.warn({ err: error, resource, name }, "cannot finish a deletion yet");
      return false;
    }
  }

  store.onChange(({ resource, type, object, namespace }) => {
    if (type !== "DELETED") return start(resource, object);
    if (ending.size === 0) return;
    for (const [key, container] of ending) {
      const concerned =
        container.resource === "namespaces"
          ? container.name === namespace
          : (store.get(container.resource, "", container.name) ?? object) !== object &&
            definedResource(store.get(container.resource, "", container.name)!) === resource;
      if (concerned) setImmediate(() => void empty(key));
    }
  });
  for (const resource of ["namespaces", "customresourcedefinitions.apiextensions.k8s.io"])
    for (const { object } of store.list(resource)) start(resource, object);

  return {
    stop() {
      stopped = true;
      for (const { timer } of ending.values()) clearTimeout(timer);
    },
  };
}
