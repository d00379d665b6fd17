/** How often a status is written, and from what it is computed. */
import { test, type Test } from "tap";
import { routeConditions } from "../api/conditions.ts";
import { routes, type Route } from "../api/serving.ts";
import { done, type Outcome } from "../kube/reconciler.ts";
import { failure, MemoryCluster } from "./memory-cluster.ts";
import { statusReconciler, StaleCacheError, type Draft } from "./reconciler.ts";
import { conditionLines } from "./table.ts";

const key = "default/hello";
const on = (type: string) => ({ type, status: "Unknown" as const });

function start(t: Test, status: Route["status"] = { observedGeneration: 1, conditions: [on("Ready")] }) {
  const cluster = new MemoryCluster([{ ...base(), status } as Route]);
  let nowMs = 0;
  const events: string[] = [];
  const reconcile = statusReconciler<Route>(
    {
      client: cluster,
      nowMs: () => nowMs,
      record: (_object, _type, reason, message) => events.push(`${reason}: ${message}`),
      statusPauseMs: 100,
    },
    routes,
    routeConditions,
  );
  const cached = (): Route => structuredClone(cluster.find<Route>(routes, key)!);
  return {
    cluster,
    events,
    cached,
    at: (ms: number) => (nowMs = ms),
    says: (message: string, from = cached()): Promise<Outcome> =>
      reconcile(from, async ({ conditions }: Draft<Route>) => conditions.markUnknown("IngressReady", "Why", message)),
    run: (body: (draft: Draft<Route>) => Promise<Outcome | void>) => reconcile(cached(), body),
    ready: () => conditionLines(cached().status?.conditions).find((line) => line.startsWith("Ready")),
    writes: (count: number, what: string) => t.equal(cluster.writes.length, count, what),
  };
}
const base = (): Omit<Route, "status"> => ({
  apiVersion: "serving.knative.dev/v1",
  kind: "Route",
  metadata: { name: "hello", namespace: "default", generation: 1 },
  spec: {},
});

test("what is said on the way is said once in a while, and the last of it", async (t) => {
  const route = start(t);
  t.same(await route.says("one"), { is: "again", afterMs: 100 });
  route.at(60);
  t.same(await route.says("two"), { is: "again", afterMs: 40 });
  route.writes(0, "nothing yet");
  route.at(100);
  t.same(await route.says("two"), done);
  t.equal(route.ready(), "Ready Unknown Why: two");
  route.at(110);
  t.same(await route.says("three"), { is: "again", afterMs: 100 }, "and the next pause begins");
  t.same(
    await route.run(async ({ conditions }) => {
      for (const type of routeConditions.dependents) conditions.markTrue(type);
    }),
    done,
    "but arriving is told of at once",
  );
  t.equal(route.ready(), "Ready True");
  route.writes(2, "two in all");
});

test("an object of a generation that was not seen yet hears at once", async (t) => {
  const route = start(t, {});
  t.same(await route.says("one"), done);
  t.equal(route.ready(), "Ready Unknown Why: one");
});

test("a failure hears at once, and is an event", async (t) => {
  const route = start(t);
  await t.rejects(
    route.run(async ({ conditions }) => {
      conditions.markUnknown("IngressReady", "Why", "it broke");
      throw new Error("broken");
    }),
    /broken/u,
  );
  t.equal(route.ready(), "Ready Unknown Why: it broke");
  t.same(route.events, ["InternalError: broken"]);
});

test("the version that a status of ours replaced is not looked at again", async (t) => {
  const route = start(t, {});
  const before = route.cached();
  await route.says("one", before);
  t.same(await route.says("two", before), done);
  t.equal(route.ready(), "Ready Unknown Why: one");
  route.writes(1, "one write");
  route.at(1000);
  await route.says("two");
  route.at(2000);
  await route.says("two");
  t.equal(route.ready(), "Ready Unknown Why: two", "the next version is");
});

test("what a lagging cache or another writer led to is not told of", async (t) => {
  const route = start(t, {});
  const lagging = route.run(async ({ conditions }) => {
    conditions.markFalse("IngressReady", "Wrong", "half the truth");
    throw new StaleCacheError("not there yet");
  });
  t.match(await lagging, { is: "again" });
  const conflict = route.run(async ({ conditions }) => {
    conditions.markFalse("IngressReady", "Wrong", "half the truth");
    throw failure(409, "Conflict", "changed");
  });
  await t.rejects(conflict, /changed/u);
  const stale = route.cached();
  await route.cluster.update(routes, { ...stale, metadata: { ...stale.metadata, labels: { a: "b" } } });
  await t.rejects(route.says("from an old version", stale), /modified/u);
  t.equal(route.ready(), undefined);
  t.same(route.events, []);
});
