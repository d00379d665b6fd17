import { test, type Test } from "tap";
import { podAutoscalers, type PodAutoscaler } from "../api/autoscaling.ts";
import { pods, type Event } from "../api/core.ts";
import { silentLogger } from "../process/logger.ts";
import { isConflict, type KubeClient } from "./client.ts";
import { eventRecorder } from "./events.ts";
import { FakeApiServer } from "./fake-api-server.ts";
import { httpsClient } from "./https-client.ts";
import { controllerReference, isControlledBy, isSameJson, updateStatus } from "./write.ts";

const path = "/apis/autoscaling.internal.knative.dev/v1alpha1/podautoscalers";

async function setUp(t: Test) {
  const server = new FakeApiServer();
  await server.start();
  const client = httpsClient({ server: server.url, userAgent: "test" });
  t.teardown(async () => {
    await client.close();
    await server.stop();
  });
  const stored = server.put(path, {
    apiVersion: "autoscaling.internal.knative.dev/v1alpha1",
    kind: "PodAutoscaler",
    metadata: { name: "a", namespace: "ns" },
    status: { desiredScale: 1 },
  } as KubeLike) as PodAutoscaler;
  return { server, client, stored };
}
type KubeLike = Pick<PodAutoscaler, "apiVersion" | "kind" | "metadata" | "status">;

test("an equal status is not written", async (t) => {
  const { server, client, stored } = await setUp(t);
  await updateStatus(client, podAutoscalers, { ...stored, status: { desiredScale: 1 } }, stored);
  t.strictSame(server.requests, []);
});

test("a changed status is written to the status subresource", async (t) => {
  const { server, client, stored } = await setUp(t);
  const written = await updateStatus(client, podAutoscalers, { ...stored, status: { desiredScale: 2 } }, stored);
  t.equal(written.status?.desiredScale, 2);
  t.match(server.requests[0], { method: "PUT", path: /\/namespaces\/ns\/podautoscalers\/a\/status$/ });
});

test("of a kind of ours only the status is sent, of a built-in one all of it", async (t) => {
  const previous = {
    apiVersion: "x/v1",
    kind: "X",
    metadata: { name: "a", namespace: "ns", uid: "u", resourceVersion: "1", labels: { l: "l" } },
    spec: {},
  };
  const object = { ...previous, status: { is: "new" } };
  const sent: unknown[] = [];
  const client = { update: async (_: unknown, body: unknown) => sent.push(body) } as unknown as KubeClient;
  await updateStatus(client, podAutoscalers, object, previous);
  await updateStatus(client, pods, object, previous);
  const { labels: _, ...metadata } = previous.metadata;
  t.strictSame(sent, [{ apiVersion: "x/v1", kind: "X", metadata, status: object.status }, object]);
});

test("a conflict is cured by a fresh read, unless it is another object", async (t) => {
  const { server, client, stored } = await setUp(t);
  const fresh = server.put(path, { ...stored, metadata: { ...stored.metadata, labels: { fresh: "yes" } } });
  const written = await updateStatus(client, podAutoscalers, { ...stored, status: { desiredScale: 2 } }, stored);
  t.match(written, { metadata: { labels: { fresh: "yes" } }, status: { desiredScale: 2 } });
  server.put(path, { ...fresh, metadata: { ...fresh.metadata, uid: "another" } });
  const failed = await updateStatus(client, podAutoscalers, { ...stored, status: { desiredScale: 3 } }, stored).catch(
    (error: unknown) => error,
  );
  t.ok(isConflict(failed));
});

test("repeated events become one with a count", async (t) => {
  const { server, client, stored } = await setUp(t);
  const record = eventRecorder({ client, component: "test", log: silentLogger });
  for (let repeat = 0; repeat < 3; repeat += 1) record(stored, "Warning", "Broken", "it broke");
  record(stored, "Normal", "Mended", "it works");
  const stored1 = (): Event[] => server.list("/api/v1/events") as Event[];
  await server.until(() => stored1().length === 2 && stored1().reduce((sum, { count }) => sum + count!, 0) === 4);
  record(stored, "Warning", "Broken", "it broke");
  await server.until(() => stored1().some(({ count }) => count === 4));
  t.match(
    stored1().find(({ reason }) => reason === "Broken"),
    {
      type: "Warning",
      message: "it broke",
      count: 4,
      metadata: { namespace: "ns", name: /^a\.[0-9a-f]{16}$/ },
      involvedObject: { kind: "PodAutoscaler", name: "a", namespace: "ns", uid: stored.metadata.uid },
      source: { component: "test" },
    },
  );
});

test("an event that cannot be written is lost without harm", async (t) => {
  const { server, client, stored } = await setUp(t);
  server.intercept = (_, response) => {
    response.writeHead(403).end("no");
    return true;
  };
  const record = eventRecorder({ client, component: "test", log: silentLogger });
  record(stored, "Normal", "A", "a");
  record(stored, "Normal", "B", "b");
  await server.until(() => server.requests.length === 2);
  t.strictSame(server.list("/api/v1/events"), []);
});

test("owner references name the controller by uid", (t) => {
  const owner = { apiVersion: "v1", kind: "K", metadata: { name: "o", uid: "u" } };
  const owned = {
    apiVersion: "v1",
    kind: "P",
    metadata: { name: "p", ownerReferences: [controllerReference(owner)] },
  };
  t.equal(isControlledBy(owned, owner), true);
  t.equal(isControlledBy(owned, { ...owner, metadata: { name: "o", uid: "other" } }), false);
  t.end();
});

const pairs: [unknown, unknown, boolean][] = [
  [{ a: 1, b: undefined }, { a: 1 }, true],
  [{ a: 1 }, { a: 1, b: null }, false],
  [[1, { x: [2] }], [1, { x: [2] }], true],
  [[1], { 0: 1 }, false],
  [{ a: undefined }, { a: 1 }, false],
  [null, {}, false],
];
for (const [a, b, same] of pairs)
  test(`${JSON.stringify(a)} and ${JSON.stringify(b)} are ${same ? "the same" : "different"} JSON`, (t) => {
    t.equal(isSameJson(a, b), same);
    t.equal(isSameJson(b, a), same);
    t.end();
  });
