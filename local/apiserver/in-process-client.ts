/**
 * A KubeClient for code in the server's own process: the same verbs, admission and validation, without a wire. Objects
 * that come out are frozen and shared; events of a watch are there in the tick of the write.
 */
import type { KubeList, KubeObject, Resource } from "../../api/meta.ts";
import {
  ApiError,
  type KubeClient,
  type ListOptions,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from "../../kube/client.ts";
import type { Call, Subresource, User } from "./call.ts";
import { presented } from "./call.ts";
import { copyOf } from "./json-value.ts";
import type { Rest } from "./rest.ts";
import { expired, unknownPath } from "./status-error.ts";
import type { Event } from "./watch.ts";

/** A watcher that has not taken this many events is told to list again. */
const mostQueued = 20_000;

export function inProcessClient(rest: Rest, user: User, { unasked }: { unasked?: true } = {}): KubeClient {
  function callOf(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    options: WriteOptions & { subresource?: Subresource } = {},
  ): Call {
    const kind = rest.kinds.find(resource.group, resource.version, resource.plural);
    if (kind === undefined) throw new ApiError(unknownPath().status);
    return {
      user,
      kind,
      namespace: kind.resource.namespaced ? (namespace ?? "") : "",
      name,
      subresource: options.subresource ?? "",
      dryRun: options.dryRun ?? false,
      fieldManager: options.fieldManager ?? "",
      manager: options.fieldManager ?? "",
      fieldValidation: "Ignore",
      ...(unasked === undefined ? {} : { unasked }),
      warn: () => {},
    };
  }
  return {
    async get<T extends KubeObject>(
      resource: Resource,
      name: string,
      namespace?: string,
      subresource?: "status" | "scale",
    ) {
      return rest.get(callOf(resource, namespace, name, subresource === undefined ? {} : { subresource })) as T;
    },
    async list<T extends KubeObject>(resource: Resource, options: ListOptions = {}) {
      return rest.list(callOf(resource, options.namespace, ""), {
        labelSelector: options.labelSelector ?? "",
        fieldSelector: options.fieldSelector ?? "",
        resourceVersion: options.resourceVersion ?? "",
        resourceVersionMatch: "",
        limit: 0,
        continue: "",
      }) as KubeList<T>;
    },
    async create<T extends KubeObject>(resource: Resource, object: T, options?: WriteOptions) {
      await turn();
      return (await rest.create(
        callOf(resource, object.metadata.namespace, "", options),
        copyOf<KubeObject>(object),
      )) as T;
    },
    async update<T extends KubeObject>(resource: Resource, object: T, options?: WriteOptions) {
      await turn();
      const { namespace, name = "" } = object.metadata;
      return (await rest.update(callOf(resource, namespace, name, options), copyOf<KubeObject>(object))) as T;
    },
    async patch<T extends KubeObject>(...[resource, name, namespace, patch, options]: Parameters<KubeClient["patch"]>) {
      await turn();
      return (await rest.patch(callOf(resource, namespace, name, options), patch)) as T;
    },
    async delete(resource, name, namespace, options = {}) {
      await turn();
      await rest.remove(callOf(resource, namespace, name), options);
    },
    watch: <T extends KubeObject>(resource: Resource, options: WatchOptions) =>
      watchEvents<T>(rest, callOf(resource, options.namespace, ""), options),
  };
}

/** Before each write, so that what comes over the wire has its turn among long chains of them. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function* watchEvents<T extends KubeObject>(
  rest: Rest,
  call: Call,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  let queue: Event[] = [];
  let wake: (() => void) | undefined;
  const flow: { is: "open" | "ended" | "overflown" } = { is: "open" };
  const end = (): void => {
    flow.is = "ended";
    wake?.();
  };
  options.signal.throwIfAborted();
  const watch = rest.watch(
    call,
    {
      labelSelector: options.labelSelector ?? "",
      fieldSelector: options.fieldSelector ?? "",
      resourceVersion: options.resourceVersion,
      resourceVersionMatch: "",
      allowBookmarks: true,
      sendInitialEvents: undefined,
    },
    (event) => {
      if (flow.is !== "open") return;
      if (queue.length >= mostQueued) {
        flow.is = "overflown";
        queue = [];
      } else queue.push(event);
      wake?.();
    },
  );
  const timer =
    options.timeoutSeconds === undefined ? undefined : setTimeout(end, options.timeoutSeconds * 1000).unref();
  options.signal.addEventListener("abort", end, { once: true });
  try {
    for (;;) {
      const events = queue;
      queue = [];
      for (const event of events) {
        if (options.signal.aborted) return;
        yield wireEvent<T>(call, event);
      }
      if (flow.is === "overflown") throw expired("the watch took its events too slowly");
      if (queue.length > 0) continue;
      if (flow.is === "ended") return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", end);
    watch.close();
  }
}

function wireEvent<T extends KubeObject>(call: Call, event: Event): WatchEvent<T> {
  if (event.type === "BOOKMARK")
    return { type: "BOOKMARK", object: { metadata: { resourceVersion: String(event.version) } } };
  return { type: event.type, object: presented(call.kind, event.object) as T };
}
