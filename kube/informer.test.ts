import { test, type Test } from "tap";
import { configMaps, type ConfigMap } from "../api/core.ts";
import { silentLogger } from "../process/logger.ts";
import { FakeApiServer } from "./fake-api-server.ts";
import { httpsClient } from "./https-client.ts";
import { createInformer, type Change } from "./informer.ts";

const path = "/api/v1/configmaps";
const configMap = (name: string, value: string, namespace = "default"): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace },
  data: { value },
});
const sentence = (change: Change<ConfigMap>): string =>
  `${change.is} ${change.object.metadata.name}${change.is === "deleted" ? "" : ` ${change.object.data?.["value"]}`}`;

async function setUp(t: Test) {
  const server = new FakeApiServer();
  await server.start();
  const client = httpsClient({ server: server.url, userAgent: "test", token: () => "secret" });
  const stop = new AbortController();
  const informer = createInformer<ConfigMap>({
    client,
    resource: configMaps,
    indexes: { value: (object) => [object.data?.["value"] ?? ""] },
    log: silentLogger,
  });
  const changes: string[] = [];
  let waiting: { count: number; resolve: () => void } | undefined;
  informer.onChange((change) => {
    changes.push(sentence(change));
    if (waiting !== undefined && changes.length >= waiting.count) waiting.resolve();
  });
  const until = async (count: number): Promise<void> => {
    if (changes.length >= count) return;
    await new Promise<void>((resolve) => (waiting = { count, resolve }));
  };
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    running = informer.run(stop.signal);
    await informer.synced();
    await server.until(() => server.watches === 1);
  };
  t.teardown(async () => {
    stop.abort();
    await running;
    await client.close();
    await server.stop();
  });
  return { server, informer, changes, until, run };
}

test("an informer lists in one request and follows the watch", async (t) => {
  const { server, informer, changes, until, run } = await setUp(t);
  server.put(path, configMap("a", "1"));
  await run();
  t.match(server.requests[0], { method: "GET", headers: { authorization: "Bearer secret", "user-agent": "test" } });
  t.equal(server.requests.length, 2, "one list, one watch");
  t.equal(server.requests[1]?.query.get("allowWatchBookmarks"), "true");
  server.put(path, configMap("b", "2"));
  server.put(path, configMap("a", "3"));
  server.remove(path, "default/b");
  await until(4);
  t.strictSame(changes, ["added a 1", "added b 2", "updated a 3", "deleted b"]);
  t.match(informer.get("default/a"), { apiVersion: "v1", kind: "ConfigMap", data: { value: "3" } });
  t.strictSame(
    informer.byIndex("value", "3").map((object) => object.metadata.name),
    ["a"],
  );
  t.strictSame(informer.byIndex("value", "1"), []);
  t.strictSame(informer.list("elsewhere"), []);
  const late: string[] = [];
  informer.onChange((change) => late.push(sentence(change)));
  t.strictSame(late, ["added a 3"], "a late listener hears of what is there");
});

const interruptions: { name: string; interrupt: (server: FakeApiServer) => Promise<void> | void; lists: number }[] = [
  { name: "a reset connection", interrupt: (server) => server.resetWatches(), lists: 1 },
  { name: "a watch that ends", interrupt: (server) => server.endWatches(), lists: 1 },
  {
    name: "a restart of the server",
    interrupt: async (server) => {
      await server.stop();
      await server.start();
    },
    lists: 1,
  },
  {
    name: "events that were compacted away",
    interrupt: (server) => {
      server.intercept = ({ query }) => {
        if (query.get("watch") === "true") server.compact();
        server.intercept = undefined;
        return false;
      };
      server.resetWatches();
    },
    lists: 2,
  },
  {
    name: "a 410 in the middle of a watch",
    interrupt: (server) => {
      server.sendToWatches({
        type: "ERROR",
        object: { kind: "Status", status: "Failure", code: 410, reason: "Expired", message: "too old" },
      });
      server.endWatches();
    },
    lists: 2,
  },
  {
    name: "a line cut short",
    interrupt: (server) => {
      server.sendToWatches({ type: "BOOKMARK", object: { metadata: { resourceVersion: "garbage" } } });
      server.resetWatches();
    },
    lists: -1,
  },
];
for (const { name, interrupt, lists } of interruptions)
  test(`an informer misses nothing through ${name}`, async (t) => {
    const { server, informer, changes, until, run } = await setUp(t);
    server.put(path, configMap("kept", "1"));
    server.put(path, configMap("changed", "1"));
    server.put(path, configMap("removed", "1"));
    await run();
    const interrupted = interrupt(server);
    server.put(path, configMap("changed", "2"));
    server.put(path, configMap("new", "1"));
    server.remove(path, "default/removed");
    await interrupted;
    await until(6);
    t.strictSame(
      changes.slice(3).sort(),
      ["added new 1", "deleted removed", "updated changed 2"],
      "each change once, none for what stayed the same",
    );
    t.strictSame(new Set(informer.list().map((object) => object.metadata.name)), new Set(["changed", "kept", "new"]));
    if (lists > 0)
      t.equal(server.requests.filter(({ query }) => query.get("watch") === null).length, lists, "number of lists");
  });

test("an informer keeps no record of who wrote which field, unless it is told what to keep", async (t) => {
  const { server, informer, run, until } = await setUp(t);
  const managed = (name: string): ConfigMap => {
    const object = configMap(name, "x");
    return { ...object, metadata: { ...object.metadata, labels: { a: "b" }, managedFields: [{ manager: "m" }] } };
  };
  server.put(path, managed("listed"));
  await run();
  server.put(path, managed("watched"));
  await until(2);
  for (const name of ["listed", "watched"]) {
    const { metadata } = informer.get(`default/${name}`)!;
    t.match(metadata, { name, labels: { a: "b" } });
    t.notOk("managedFields" in metadata, name);
  }
});

test("an informer tells an object that was replaced by one of the same name as deleted and added", async (t) => {
  const { server, changes, until, run } = await setUp(t);
  server.put(path, configMap("a", "1"));
  await run();
  server.intercept = ({ query }) => {
    if (query.get("watch") === "true") server.compact();
    server.intercept = undefined;
    return false;
  };
  server.resetWatches();
  server.remove(path, "default/a");
  server.put(path, configMap("a", "2"));
  await until(3);
  t.strictSame(changes, ["added a 1", "deleted a", "added a 2"]);
});

test("an informer waits for a server that is not there yet, and synced can be given up", async (t) => {
  const { server, informer, run } = await setUp(t);
  await server.stop();
  const running = run();
  await t.rejects(informer.synced(AbortSignal.abort(new Error("given up"))), { message: "given up" });
  t.equal(informer.hasSynced, false);
  await server.start();
  await running;
  t.equal(informer.hasSynced, true);
});

test("an informer lists whatever is newest when the server's data went back in time", async (t) => {
  const { server, informer, until, run } = await setUp(t);
  server.put(path, configMap("a", "1"));
  await run();
  const asked: (string | null)[] = [];
  server.intercept = ({ query }, response) => {
    if (query.get("watch") === "true") server.compact();
    else asked.push(query.get("resourceVersion"));
    if (asked.length !== 1) return false;
    const status = { kind: "Status", status: "Failure", code: 504, reason: "Timeout", message: "Too large" };
    response.writeHead(504).end(JSON.stringify(status));
    return true;
  };
  server.resetWatches();
  server.put(path, configMap("b", "1"));
  await until(2);
  t.strictSame(asked, ["101", null]);
  t.equal(informer.list().length, 2);
});

test("a listener that throws harms neither the others nor the informer", async (t) => {
  const { server, informer, changes, until, run } = await setUp(t);
  informer.onChange(() => {
    throw new Error("broken listener");
  });
  await run();
  server.put(path, configMap("a", "1"));
  server.put(path, configMap("b", "1"));
  await until(2);
  t.strictSame(changes, ["added a 1", "added b 1"]);
});
