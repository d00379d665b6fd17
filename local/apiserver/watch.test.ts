import { test } from "tap";
import type { KubeClient, WatchEvent, WatchOptions } from "../../kube/client.ts";
import { gadget, gadgets, restWithGadgets, type Gadget } from "./rest-fixture.ts";

/** Collects events as sentences until there are `count`. */
async function collect(client: KubeClient, options: Omit<WatchOptions, "signal">, count: number): Promise<string[]> {
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const event of client.watch<Gadget>(gadgets, { ...options, signal: stop.signal })) {
    seen.push(sentence(event));
    if (seen.length === count) stop.abort();
  }
  return seen;
}

function sentence(event: WatchEvent<Gadget>): string {
  if (event.type === "BOOKMARK" || event.type === "ERROR") return event.type;
  const { name, resourceVersion, labels } = event.object.metadata;
  return `${resourceVersion} ${event.type} ${name}${labels?.["on"] === undefined ? "" : ` on=${labels["on"]}`}`;
}

const label = (client: KubeClient, name: string, on: string | null): Promise<Gadget> =>
  client.patch<Gadget>(gadgets, name, "default", { is: "merge", body: { metadata: { labels: { on } } } });

test("a watch starts exactly after its version and goes on live", async (t) => {
  const { rest, client } = await restWithGadgets(t);
  const a = await client.create(gadgets, gadget("a"));
  const from = Number(a.metadata.resourceVersion);
  await client.create(gadgets, gadget("b"));
  const events = collect(client, { resourceVersion: String(from) }, 3);
  await client.delete(gadgets, "a", "default");
  await client.create(gadgets, gadget("c"));
  t.same(await events, [`${from + 1} ADDED b`, `${from + 2} DELETED a`, `${from + 3} ADDED c`]);
  t.equal(rest.store.version, from + 3);
});

test("a watch without a version starts with what is there", async (t) => {
  const { client } = await restWithGadgets(t);
  const { metadata } = await client.create(gadgets, gadget("a"));
  t.same(await collect(client, { resourceVersion: "0" }, 1), [`${metadata.resourceVersion} ADDED a`]);
});

for (const when of ["live", "replayed"])
  test(`an object that comes to match a selector is added, one that no longer does is deleted (${when})`, async (t) => {
    const { client } = await restWithGadgets(t);
    const from = Number((await client.create(gadgets, gadget("a"))).metadata.resourceVersion);
    const options = { resourceVersion: String(from), labelSelector: "on=1" };
    const watching = when === "live" ? collect(client, options, 3) : undefined;
    await label(client, "a", "1");
    await client.patch(gadgets, "a", "default", { is: "merge", body: { spec: { size: 2 } } });
    await label(client, "a", "2");
    await client.delete(gadgets, "a", "default");
    t.same(await (watching ?? collect(client, options, 3)), [
      `${from + 1} ADDED a on=1`,
      `${from + 2} MODIFIED a on=1`,
      // As it was when it still matched, under the version that took it away.
      `${from + 3} DELETED a on=1`,
    ]);
  });

test("a watch of one name or namespace hears of no other", async (t) => {
  const { client } = await restWithGadgets(t);
  const start = String(Number((await client.create(gadgets, gadget("a"))).metadata.resourceVersion) - 1);
  await client.create(gadgets, gadget("b", { namespace: "kube-system" }));
  const [byName] = await collect(client, { resourceVersion: start, fieldSelector: "metadata.name=b" }, 1);
  const [byNamespace] = await collect(client, { resourceVersion: start, namespace: "kube-system" }, 1);
  t.match(byName, /ADDED b/);
  t.equal(byNamespace, byName);
});

test("a version that is too old, or was never given, must be listed again", async (t) => {
  const { rest, client } = await restWithGadgets(t, { keepChanges: 5 });
  // Far enough over the bound that the store trims without waiting for a quiet time.
  for (let size = 2; size < 2_050; size++) {
    if (size === 2) await client.create(gadgets, gadget("a"));
    await client.patch(gadgets, "a", "default", { is: "merge", body: { spec: { size } } });
  }
  t.ok(rest.store.oldest > 1);
  await t.rejects(collect(client, { resourceVersion: "1" }, 1), {
    code: 410,
    reason: "Expired",
    message: /too old resource version: 1/,
  });
  await t.rejects(collect(client, { resourceVersion: "999999999" }, 1), { code: 410 });
});

test("an event is there in the tick of its write", async (t) => {
  const { client } = await restWithGadgets(t);
  const stop = new AbortController();
  const events = client.watch<Gadget>(gadgets, { resourceVersion: "0", signal: stop.signal })[Symbol.asyncIterator]();
  const first = events.next();
  let isThere = false;
  void first.then(() => (isThere = true));
  await client.create(gadgets, gadget("a"));
  await Promise.resolve();
  await Promise.resolve();
  await Promise.resolve();
  t.ok(isThere);
  stop.abort();
  t.equal((await events.next()).done, true, "an aborted watch ends quietly");
});

test("an event that comes while the last one is handled is not forgotten", async (t) => {
  const { client } = await restWithGadgets(t);
  const stop = new AbortController();
  const seen: string[] = [];
  await client.create(gadgets, gadget("first"));
  for await (const event of client.watch<Gadget>(gadgets, { resourceVersion: "0", signal: stop.signal })) {
    seen.push(sentence(event).replace(/^\d+ /, ""));
    if (seen.length === 3) stop.abort();
    else await client.create(gadgets, gadget(`after-${seen.length}`));
  }
  t.same(seen, ["ADDED first", "ADDED after-1", "ADDED after-2"]);
});

test("sendInitialEvents marks the end of what was there", async (t) => {
  const { rest, client } = await restWithGadgets(t);
  await client.create(gadgets, gadget("a"));
  const seen: string[] = [];
  const call = {
    user: { username: "t", groups: [] },
    kind: rest.kinds.find("example.com", "v1", "gadgets")!,
    namespace: "",
    name: "",
    subresource: "" as const,
    dryRun: false,
    fieldManager: "",
    manager: "",
    fieldValidation: "Ignore" as const,
    warn: () => {},
  };
  const query = {
    labelSelector: "",
    fieldSelector: "",
    resourceVersion: "",
    allowBookmarks: true,
    sendInitialEvents: true,
  };
  const watch = rest.watch(call, { ...query, resourceVersionMatch: "NotOlderThan" }, (event) =>
    seen.push(event.type === "BOOKMARK" ? `bookmark ${event.version} ${event.initialEventsEnd}` : event.type),
  );
  const version = rest.store.version;
  await client.create(gadgets, gadget("b"));
  watch.close();
  await client.create(gadgets, gadget("c"));
  t.same(seen, ["ADDED", `bookmark ${version} true`, "ADDED"]);
  t.throws(() => rest.watch(call, { ...query, resourceVersionMatch: "" }, () => {}), { code: 400 });
});
