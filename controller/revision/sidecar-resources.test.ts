/** The sidecar's requests and limits: which of four places has the last word (spec: serving-api 4.12). */
import path from "node:path";
import { test } from "tap";
import type { Revision } from "../../api/serving.ts";
import { parsePlatformConfig } from "../config/store.ts";
import { configOf, objectsIn, withChanges, type ConfigData } from "../table.ts";
import { sidecarResources } from "./sidecar-resources.ts";

const plain = objectsIn(path.join(import.meta.dirname, "testdata", "ready.in.yaml"));
const container = (fields: object) => ({
  spec: { containers: [{ name: "user-container", image: "dev.local/hello", ...fields }] },
});
const annotated = (annotations: Record<string, string>) => ({ metadata: { annotations } });
const resource = "queue.sidecar.serving.knative.dev/";

const rows: { name: string; revision?: object; config?: ConfigData; want: object }[] = [
  {
    name: "the sidecar's resources are small",
    want: { requests: { cpu: "25m" } },
  },
  {
    name: "are configured",
    config: { "config-deployment": { "queue-sidecar-cpu-request": "50m", "queue-sidecar-memory-limit": "1Gi" } },
    want: { requests: { cpu: "50m" }, limits: { memory: "1Gi" } },
  },
  {
    name: "have stock values by a feature",
    config: { "config-features": { "queueproxy.resource-defaults": "enabled" } },
    want: { requests: { cpu: "25m", memory: "400Mi" }, limits: { cpu: "1000m", memory: "800Mi" } },
  },
  {
    name: "are a share of the app's, within bounds",
    revision: {
      ...annotated({ [`${resource}resource-percentage`]: "20" }),
      ...container({ resources: { requests: { cpu: "100m", memory: "2Gi" }, limits: { cpu: "1", memory: "1Gi" } } }),
    },
    want: {
      requests: { cpu: "25m", memory: String(200 * 1024 ** 2) },
      limits: { cpu: "200m", memory: String(Math.round((20 * 1024 ** 3) / 100)) },
    },
  },
  {
    name: "and last of all the Revision's own",
    revision: annotated({
      [`${resource}cpu-resource-request`]: "1",
      [`${resource}cpu-resource-limit`]: "2",
      [`${resource}memory-resource-request`]: "3Mi",
      [`${resource}memory-resource-limit`]: "4Mi",
      [`${resource}ephemeral-storage-resource-request`]: "5Mi",
      [`${resource}ephemeral-storage-resource-limit`]: "6Mi",
      [`${resource}resource-percentage`]: "20",
    }),
    want: {
      requests: { cpu: "1", memory: "3Mi", "ephemeral-storage": "5Mi" },
      limits: { cpu: "2", memory: "4Mi", "ephemeral-storage": "6Mi" },
    },
  },
];
for (const { name, revision = {}, config = {}, want } of rows)
  test(name, (t) => {
    const [given] = withChanges(plain, { "Revision hello-00001": revision }) as [Revision];
    const platform = parsePlatformConfig((configMap) => configOf(config, configMap), "cluster.local");
    t.same(sidecarResources(given, given.spec.containers[0], platform), want);
    t.end();
  });
