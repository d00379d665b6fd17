/** A child that was created a moment ago, while the cache does not show it yet. */
import { test } from "tap";
import { services, type Service } from "../api/core.ts";
import type { Change, Informer } from "../kube/informer.ts";
import { controllerReference } from "../kube/write.ts";
import { ensureChild } from "./children.ts";
import { MemoryCluster } from "./memory-cluster.ts";

const owner = { apiVersion: "v1", kind: "Thing", metadata: { name: "owner", namespace: "ns", uid: "uid-1" } };
const wanted = (of = owner): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "child", namespace: "ns", ownerReferences: [controllerReference(of)] },
  spec: {},
});

/** Shows nothing, and says what it is told to. */
function laggingCache() {
  let tell: (change: Change<Service>) => void = () => {};
  const cache = {
    get: () => undefined,
    onChange(listener: typeof tell) {
      tell = listener;
      return () => {};
    },
  } as unknown as Informer<Service>;
  return { cache, tell: (change: Change<Service>) => tell(change) };
}

test("it is not created again", async (t) => {
  const cluster = new MemoryCluster([]);
  const { cache } = laggingCache();
  const first = await ensureChild(cluster, services, cache, owner, wanted());
  const second = await ensureChild(cluster, services, cache, owner, wanted());
  t.match([first, second], [{ is: "created" }, { is: "found", object: first.object }]);
  t.strictSame(cluster.writes, ["create services child"]);
});

test("it is, once the cache has seen it go", async (t) => {
  const cluster = new MemoryCluster([]);
  const { cache, tell } = laggingCache();
  const { object } = await ensureChild(cluster, services, cache, owner, wanted());
  await cluster.delete(services, "child", "ns");
  tell({ is: "deleted", object });
  t.match(await ensureChild(cluster, services, cache, owner, wanted()), { is: "created" });
});

test("another owner of the same name asks the server", async (t) => {
  const cluster = new MemoryCluster([]);
  const { cache } = laggingCache();
  await ensureChild(cluster, services, cache, owner, wanted());
  const heir = { ...owner, metadata: { ...owner.metadata, uid: "uid-2" } };
  t.match(await ensureChild(cluster, services, cache, heir, wanted(heir)), { is: "foreign" });
  t.strictSame(cluster.writes, ["create services child", "create services child"]);
});
