/** The verbs over one composed server: what HTTP and the in-process client both call. */
import type { KubeList, KubeObject, Status } from "../../api/meta.ts";
import type { DeleteOptions, Patch } from "../../kube/client.ts";
import type { Logger } from "../../process/logger.ts";
import { createAdmission } from "./admission.ts";
import { createApply, type Apply } from "./apply.ts";
import type { Call } from "./call.ts";
import { createCustomResources } from "./custom-resources.ts";
import { createDeletion } from "./deletion.ts";
import { startEventExpiry } from "./event-expiry.ts";
import { startGarbageCollector } from "./garbage-collector.ts";
import type { KindRegistry } from "./kind.ts";
import { createInitialNamespaces, startEmptying } from "./namespaces.ts";
import { patchTypes } from "./patch.ts";
import { get, list, parseVersion, type ListQuery } from "./reading.ts";
import { patchScale, scaleOf, updateScale } from "./scale.ts";
import { selectionOf } from "./selectors.ts";
import { badRequest, methodNotAllowed, resourceName, unknownPath, unsupportedMediaType } from "./status-error.ts";
import { openStore, type Store } from "./store.ts";
import { withViews } from "./views.ts";
import { createWatchHub, type Event, type Watch } from "./watch.ts";
import { createWebhookCaller } from "./webhook-call.ts";
import { createWriter, type Guard } from "./writing.ts";

export interface WatchQuery {
  labelSelector: string;
  fieldSelector: string;
  /** "" and "0" start with what is there. */
  resourceVersion: string;
  resourceVersionMatch: string;
  allowBookmarks: boolean;
  /** Undefined where the client does not say. */
  sendInitialEvents: boolean | undefined;
}

/** Every method throws ApiError for what the client is told. Objects are frozen, or fresh where nothing was stored. */
export interface Rest {
  readonly kinds: KindRegistry;
  readonly store: Store;
  get(call: Call): KubeObject;
  list(call: Call, query: ListQuery): KubeList<KubeObject>;
  /** Takes the body over, as the other writes do. */
  create(call: Call, body: KubeObject): Promise<KubeObject>;
  update(call: Call, body: KubeObject): Promise<KubeObject>;
  patch(call: Call, patch: Patch): Promise<KubeObject>;
  apply: Apply;
  remove(call: Call, options: DeleteOptions): Promise<KubeObject | Status>;
  removeCollection(call: Call, options: DeleteOptions, query: ListQuery): Promise<KubeList<KubeObject>>;
  watch(call: Call, query: WatchQuery, sink: (event: Event) => void): Watch;
  close(): Promise<void>;
}

export interface RestOptions {
  /** SQLite file. */
  file: string;
  kinds: KindRegistry;
  log: Logger;
  nowMs?: () => number;
  /** Writes that watches can replay. */
  keepChanges?: number;
  guard?: Guard;
}

export async function createRest({
  file,
  kinds,
  log,
  nowMs = Date.now,
  keepChanges,
  guard,
}: RestOptions): Promise<Rest> {
  const store = openStore({ file, ...(keepChanges === undefined ? {} : { keep: keepChanges }) });
  const webhooks = createWebhookCaller(store);
  const admission = createAdmission(store, webhooks.call);
  const customResources = createCustomResources(store, kinds, log, nowMs);
  const writer = createWriter({ store, admission, customResources, guard, nowMs });
  const apply = createApply({ store, writer, nowMs });
  const deletion = createDeletion({ store, admission, nowMs });
  const hub = createWatchHub(store, log);
  const parts = { store, kinds, writer, deletion, log };
  await createInitialNamespaces(parts);
  const background = [startGarbageCollector(parts), startEmptying(parts), startEventExpiry({ store, nowMs })];

  const requireSubresource = ({ kind, subresource }: Call): void => {
    if (subresource === "status" && !kind.hasStatus) throw unknownPath();
    if (subresource === "scale" && kind.scale === undefined) throw unknownPath();
  };

  return withViews({
    kinds,
    store,
    get(call) {
      requireSubresource(call);
      const object = get(store, call);
      return call.subresource === "scale" ? scaleOf(call, object) : object;
    },
    list: (call, query) => list(store, call, query),
    create(call, body) {
      if (call.subresource !== "") throw methodNotAllowed();
      return writer.create(call, body);
    },
    async update(call, body) {
      requireSubresource(call);
      return call.subresource === "scale" ? updateScale(writer, call, body) : writer.update(call, body);
    },
    async patch(call, patch) {
      requireSubresource(call);
      return call.subresource === "scale" ? patchScale(writer, call, patch) : writer.patch(call, patch);
    },
    async apply(call, config, force) {
      requireSubresource(call);
      if (call.subresource === "scale") throw unsupportedMediaType(Object.keys(patchTypes));
      return apply(call, config, force);
    },
    remove: (call, options) => deletion.remove(call, options),
    async removeCollection(call, options, query) {
      const found = list(store, call, query);
      for (const { metadata } of found.items) {
        const one = { ...call, name: metadata.name ?? "", namespace: metadata.namespace ?? "" };
        await deletion.remove(one, {
          ...options,
          preconditions: metadata.uid === undefined ? {} : { uid: metadata.uid },
        });
      }
      return found;
    },
    watch(call, query, sink) {
      const { kind, namespace } = call;
      const selection = selectionOf(kind, query.labelSelector, query.fieldSelector);
      const asked = query.sendInitialEvents;
      if (asked !== undefined && query.resourceVersionMatch !== "NotOlderThan")
        throw badRequest(
          "sendInitialEvents: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        );
      const start =
        query.resourceVersion === "" || query.resourceVersion === "0" ? undefined : parseVersion(query.resourceVersion);
      // A version with sendInitialEvents only says how new what is sent must be, and it is always new.
      const after = asked === true ? undefined : asked === false ? (start ?? store.version) : start;
      return hub.open({
        resource: resourceName(kind.resource),
        namespace: namespace === "" ? undefined : namespace,
        selection: call.name === "" ? selection : { ...selection, name: call.name },
        after,
        marksInitialEnd: asked === true && query.allowBookmarks,
        bookmarks: query.allowBookmarks,
        sink,
      });
    },
    async close() {
      for (const part of background) part.stop();
      await webhooks.close();
      store.close();
    },
  });
}
