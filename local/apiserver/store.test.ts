import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createInterface } from "node:readline";
import { test } from "tap";
import type { KubeObject, ObjectMeta } from "../../api/meta.ts";
import { openStore } from "./store.ts";

const object = (name: string, more: ObjectMeta = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default", ...more },
});

test("an object is its last write, also after the file is opened again", async (t) => {
  const file = path.join(t.testdir(), "cluster.db");
  const first = openStore({ file });
  first.put("configmaps", object("a"));
  first.put("configmaps", object("b", { labels: { x: "1" } }));
  first.put("configmaps", object("a", { labels: { x: "2" } }));
  first.remove("configmaps", object("b"));
  first.close();

  const second = openStore({ file });
  t.teardown(() => second.close());
  t.same(
    second.list("configmaps").map(({ object }) => object.metadata),
    [{ name: "a", namespace: "default", labels: { x: "2" }, resourceVersion: "3" }],
  );
  t.equal(second.version, 4, "versions go on where they were");
  t.equal(second.put("configmaps", object("c")).metadata.resourceVersion, "5");
  t.same(
    second.changesSince("configmaps", 1)?.map(({ type, name, version }) => `${version} ${type} ${name}`),
    ["2 ADDED b", "3 MODIFIED a", "4 DELETED b", "5 ADDED c"],
    "and so does the replay",
  );
  t.same(second.changesSince("configmaps", 2)?.[0]?.previous?.metadata.labels, undefined);
  t.same(second.changesSince("secrets", 0), [], "of each resource by itself");
});

test("a store that is in use cannot be opened twice", async (t) => {
  const file = path.join(t.testdir(), "cluster.db");
  const store = openStore({ file });
  t.teardown(() => store.close());
  t.throws(() => openStore({ file }), { message: /is in use by another running cluster/ });
});

test("old changes are forgotten, objects never", async (t) => {
  const file = path.join(t.testdir(), "cluster.db");
  const first = openStore({ file, keep: 10 });
  first.put("configmaps", object("old"));
  first.put("configmaps", object("gone"));
  first.remove("configmaps", object("gone"));
  for (let write = 0; write < 50; write++) first.put("configmaps", object("busy"));
  first.close();
  // Opening trims.
  const second = openStore({ file, keep: 10 });
  t.equal(second.oldest, 43);
  t.equal(second.changesSince("configmaps", 42), undefined, "a replay from too far back is refused");
  t.equal(second.changesSince("configmaps", 43)?.length, 10);
  second.put("configmaps", object("old", { labels: { written: "again" } }));
  second.close();
  const third = openStore({ file, keep: 10 });
  t.teardown(() => third.close());
  t.same(
    third.list("configmaps").map(({ object }) => object.metadata.name),
    ["busy", "old"],
  );
  t.same(third.get("configmaps", "default", "old")?.metadata.labels, { written: "again" });
});

test("a row that was kept for its object goes once it is replaced", async (t) => {
  const file = path.join(t.testdir(), "cluster.db");
  const store = openStore({ file, keep: 5 });
  store.put("configmaps", object("old"));
  // Over the bound by so much that the log is trimmed without waiting for a quiet time.
  const trim = (): void => {
    for (let write = 0; write < 2_100; write++) store.put("configmaps", object("busy"));
  };
  trim();
  t.ok(store.oldest > 1);
  store.put("configmaps", object("old"));
  trim();
  store.close();
  const database = new DatabaseSync(file);
  t.teardown(() => database.close());
  t.same({ ...database.prepare("SELECT count(*) AS rows FROM log WHERE name = 'old'").get() }, { rows: 1 });
});

test("objects are found by their owners until they drop them", async (t) => {
  const store = openStore({ file: ":memory:" });
  t.teardown(() => store.close());
  const owner = { apiVersion: "v1", kind: "ConfigMap", name: "o", uid: "u1" };
  const names = (): (string | undefined)[] => store.dependents("u1").map(({ object }) => object.metadata.name);
  store.put("configmaps", object("a", { ownerReferences: [owner] }));
  store.put("configmaps", object("b", { ownerReferences: [owner] }));
  t.same(names(), ["a", "b"]);
  store.put("configmaps", object("a"));
  t.same(names(), ["b"]);
  store.remove("configmaps", object("b"));
  t.same(names(), []);
});

test("kill -9 loses no write that was acknowledged", async (t) => {
  const file = path.join(t.testdir(), "cluster.db");
  const writer = `
    const { openStore } = await import(${JSON.stringify(path.join(import.meta.dirname, "store.ts"))});
    const store = openStore({ file: ${JSON.stringify(file)} });
    const write = () => {
      for (let n = 0; n < 20; n++) {
        const { metadata } = store.put("configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "n" + (store.version % 100) } });
        process.stdout.write(metadata.resourceVersion + "\\n");
      }
      setImmediate(write);
    };
    write();`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", writer], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  let acknowledged = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged = Number(line);
    if (acknowledged >= 1_000 && !child.killed) child.kill("SIGKILL");
  }
  await exited;
  const store = openStore({ file });
  t.teardown(() => store.close());
  t.ok(store.version >= acknowledged, `${store.version} of ${acknowledged} versions are there`);
  t.equal(store.list("configmaps").length, 100);
});
