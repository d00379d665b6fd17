/** A Deployment that was found in order is looked at in full again when anything it is made from changes. */
import path from "node:path";
import { test } from "tap";
import { deployments, type Deployment } from "../../api/core.ts";
import { label } from "../../api/keys.ts";
import { revisions } from "../../api/serving.ts";
import { silentLogger } from "../../process/logger.ts";
import { createCaches, startCaches } from "../caches.ts";
import { parsePlatformConfig } from "../config/store.ts";
import { MemoryCluster } from "../memory-cluster.ts";
import { configOf, nowMs, objectsIn, type ConfigData } from "../table.ts";
import { madeFor, makeWith, pa, up } from "./revision-fixture.ts";

const given = objectsIn(path.join(import.meta.dirname, "testdata", "ready.in.yaml"));
const key = "default/hello-00001";
const config = (data: ConfigData) => parsePlatformConfig((name) => configOf(data, name), "cluster.local");

interface Control {
  cluster: MemoryCluster;
  configure: (data: ConfigData) => void;
}
const rows: { title: string; change: (control: Control) => Promise<unknown> | void; updates: boolean }[] = [
  { title: "nothing", change: () => {}, updates: false },
  {
    title: "an annotation of the Revision",
    change: ({ cluster }) => annotate(cluster, { mine: "yes" }),
    updates: true,
  },
  {
    title: "an annotation that pods do not get",
    change: ({ cluster }) => annotate(cluster, { "autoscaling.knative.dev/min-scale": "3" }),
    updates: false,
  },
  {
    title: "the platform's configuration",
    change: ({ configure }) => configure({ "config-deployment": { "queue-sidecar-image": "dev.local/another" } }),
    updates: true,
  },
  {
    title: "the hash on the Deployment",
    change: ({ cluster }) =>
      cluster.patch(deployments, "hello-00001-deployment", "default", {
        is: "merge",
        body: { metadata: { labels: { [label.deploymentHash]: "other" } } },
      }),
    updates: true,
  },
];
for (const { title, change, updates } of rows)
  test(title, async (t) => {
    const cluster = new MemoryCluster(madeFor(given, {}, up, pa(["True"], true, { serviceName: "hello-00001" })));
    const stop = new AbortController();
    t.teardown(() => stop.abort());
    const caches = createCaches(cluster, silentLogger);
    await startCaches(caches, silentLogger, stop.signal);
    const store = { current: config({}), onChange: () => () => {} };
    const reconciler = makeWith()({
      client: cluster,
      caches,
      config: store,
      record: () => {},
      nowMs: () => nowMs,
      log: silentLogger,
      systemNamespace: "knative-serving",
      clusterDomain: "cluster.local",
    });
    // The informers hear of a write in a turn of their own.
    const settle = async (): Promise<void> => {
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    };
    for (let run = 0; run < 3; run += 1) {
      await reconciler.reconcile(key, stop.signal);
      await settle();
    }
    const before = cluster.writes.length;
    await change({ cluster, configure: (data) => (store.current = config(data)) });
    await settle();
    await reconciler.reconcile(key, stop.signal);
    const writes = cluster.writes.slice(before).filter((line) => line.startsWith("update deployments"));
    t.same(writes, updates ? ["update deployments hello-00001-deployment"] : []);
    const found = cluster.find<Deployment>(deployments, "default/hello-00001-deployment");
    t.not(found?.metadata.labels?.[label.deploymentHash], "other");
  });

const annotate = (cluster: MemoryCluster, annotations: Record<string, string>): Promise<unknown> =>
  cluster.patch(revisions, "hello-00001", "default", { is: "merge", body: { metadata: { annotations } } });
