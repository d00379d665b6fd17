/** Which Revisions the reconciler deletes, and what it does not let stop it (spec: serving-api 4.6). */
import { test } from "tap";
import { rfc3339 } from "../../api/conditions.ts";
import type { KubeObject } from "../../api/meta.ts";
import { failure } from "../memory-cluster.ts";
import { nowMs, reconcileRow, type ConfigData } from "../table.ts";
import { revisionGcReconciler } from "./reconciler.ts";

const hourMs = 3_600_000;
const revision = (name: string, idleHours: number, more: { state?: string; age?: number; annotations?: object } = {}) =>
  ({
    apiVersion: "serving.knative.dev/v1",
    kind: "Revision",
    metadata: {
      name,
      namespace: "default",
      creationTimestamp: rfc3339(nowMs - (more.age ?? 100) * hourMs),
      labels: {
        "serving.knative.dev/configuration": "hello",
        "serving.knative.dev/routingState": more.state ?? "reserve",
      },
      annotations: {
        "serving.knative.dev/routingStateModified": rfc3339(nowMs - idleHours * hourMs),
        ...more.annotations,
      },
    },
    spec: { containers: [] },
  }) as KubeObject;
const configuration = {
  apiVersion: "serving.knative.dev/v1",
  kind: "Configuration",
  metadata: { name: "hello", namespace: "default" },
  spec: { template: { spec: { containers: [] } } },
  status: { latestReadyRevisionName: "latest" },
} as KubeObject;
const keepNone = { "config-gc": { "min-non-active-revisions": "0" } };

const rows: { name: string; revisions: KubeObject[]; config?: ConfigData; deletes: string[] }[] = [
  {
    name: "up to the minimum nothing goes, however old",
    revisions: Array.from({ length: 20 }, (_, at) => revision(`r${at}`, 1000)),
    deletes: [],
  },
  {
    name: "beyond it the longest idle go, down to the minimum",
    revisions: Array.from({ length: 22 }, (_, at) => revision(`r${at}`, 1000 - at)),
    deletes: ["r0", "r1"],
  },
  {
    name: "the latest ready one, those in use, those on their way and those that may not go stay",
    revisions: [
      revision("latest", 1000),
      revision("used", 1000, { state: "active" }),
      revision("coming", 1000, { state: "pending" }),
      revision("kept", 1000, { annotations: { "serving.knative.dev/no-gc": "TRUE" } }),
      revision("gone", 1000),
    ],
    config: keepNone,
    deletes: ["gone"],
  },
  {
    name: "both limits have to be passed",
    revisions: [revision("young", 1000, { age: 47 }), revision("fresh", 14), revision("old", 16)],
    config: keepNone,
    deletes: ["old"],
  },
  {
    name: "a disabled limit does not count",
    revisions: [revision("young", 1000, { age: 1 }), revision("fresh", 14)],
    config: { "config-gc": { "min-non-active-revisions": "0", "retain-since-create-time": "disabled" } },
    deletes: ["young"],
  },
  {
    name: "with everything disabled nothing goes",
    revisions: [revision("old", 1000)],
    config: {
      "config-gc": {
        "min-non-active-revisions": "0",
        "max-non-active-revisions": "disabled",
        "retain-since-create-time": "disabled",
        "retain-since-last-active-time": "Disabled",
      },
    },
    deletes: [],
  },
  {
    name: "beyond the maximum the oldest go although they are not stale",
    revisions: [revision("one", 3), revision("two", 2), revision("three", 1)],
    config: { "config-gc": { "min-non-active-revisions": "1", "max-non-active-revisions": "2" } },
    deletes: ["one"],
  },
];
for (const { name, revisions, config = {}, deletes } of rows)
  test(name, async (t) => {
    const { writes } = await reconcileRow(t, {
      make: revisionGcReconciler,
      objects: [configuration, ...revisions],
      config,
    });
    t.same(
      writes,
      deletes.map((revisionName) => `delete revisions ${revisionName}`),
    );
  });

test("one that cannot be deleted does not keep the others", async (t) => {
  const { writes, error } = await reconcileRow(t, {
    make: revisionGcReconciler,
    objects: [configuration, revision("one", 3000), revision("two", 2000)],
    config: keepNone,
    refuse: (write) => (write.endsWith("one") ? failure(403, "Forbidden", "no") : undefined),
  });
  t.same(writes, ["delete revisions two"]);
  t.equal(error, undefined);
});
