/** Every row of serving-api 4.3: what a Service makes, and what its conditions say. */
import path from "node:path";
import { test } from "tap";
import { configurations, kServices, routes, type KService } from "../../api/serving.ts";
import { failure } from "../memory-cluster.ts";
import { matchesFile, objectsIn, reconcileRow, withChanges, type Changes } from "../table.ts";
import { serviceReconciler } from "./reconciler.ts";

const testdata = path.join(import.meta.dirname, "testdata");
const ready = objectsIn(path.join(testdata, "ready.in.yaml"));
const outOfDate = "The Configuration is still working to reflect the latest desired specification.";
const routeOutOfDate = "The Route is still working to reflect the latest desired specification.";
const someoneElses = { metadata: { ownerReferences: null } };
const condition = (status: string, reason = "", message = "") => ({
  status: { conditions: [{ type: "Ready", status, reason, message }] },
});

interface Row {
  name: string;
  change: Changes;
  conditions: string[];
  writes: string[];
  events?: string[];
  error?: string;
}

const named = { spec: { template: { metadata: { name: "hello-one" } } } };
const revision = (uid: string, generation: string, image: string) => ({
  apiVersion: "serving.knative.dev/v1",
  kind: "Revision",
  metadata: {
    name: "hello-one",
    namespace: "default",
    labels: {
      "serving.knative.dev/configuration": "hello",
      "serving.knative.dev/configurationGeneration": generation,
    },
    ownerReferences: [
      { apiVersion: "serving.knative.dev/v1", kind: "Configuration", name: "hello", uid, controller: true },
    ],
  },
  spec: { containers: [{ name: "user-container", image }] },
});

const rows: Row[] = [
  {
    name: "a Ready Service is left alone",
    change: {},
    conditions: ["ConfigurationsReady True", "Ready True", "RoutesReady True"],
    writes: [],
  },
  {
    name: "a new Service gets its Configuration and its Route",
    change: { "Service hello": { status: null }, "Configuration hello": null, "Route hello": null },
    conditions: [
      `ConfigurationsReady Unknown OutOfDate: ${outOfDate}`,
      `Ready Unknown OutOfDate: ${routeOutOfDate}`,
      `RoutesReady Unknown OutOfDate: ${routeOutOfDate}`,
    ],
    writes: ["create configurations hello", "create routes hello", "update services hello status"],
    events: ['Created: Created Configuration "hello"', 'Created: Created Route "hello"'],
  },
  {
    name: "a Configuration that has not seen its generation is out of date",
    change: { "Configuration hello": { metadata: { generation: 2 } } },
    conditions: [
      `ConfigurationsReady Unknown OutOfDate: ${outOfDate}`,
      `Ready Unknown OutOfDate: ${outOfDate}`,
      "RoutesReady True",
    ],
    writes: ["update services hello status"],
  },
  {
    name: "a Route that has not seen its generation is out of date",
    change: { "Route hello": { metadata: { generation: 2 } } },
    conditions: [
      "ConfigurationsReady True",
      `Ready Unknown OutOfDate: ${routeOutOfDate}`,
      `RoutesReady Unknown OutOfDate: ${routeOutOfDate}`,
    ],
    writes: ["update services hello status"],
  },
  {
    name: "what a Configuration says is copied",
    change: { "Configuration hello": condition("False", "RevisionFailed", 'Revision "hello-00001" failed') },
    conditions: [
      'ConfigurationsReady False RevisionFailed: Revision "hello-00001" failed',
      'Ready False RevisionFailed: Revision "hello-00001" failed',
      "RoutesReady True",
    ],
    writes: ["update services hello status"],
  },
  {
    name: "of two failures the later one shows",
    change: {
      "Configuration hello": condition("False", "RevisionFailed", "it failed"),
      "Route hello": condition("False", "RevisionMissing", "there is none"),
    },
    conditions: [
      "ConfigurationsReady False RevisionFailed: it failed",
      "Ready False RevisionMissing: there is none",
      "RoutesReady False RevisionMissing: there is none",
    ],
    writes: ["update services hello status"],
  },
  {
    name: "what a Route says is copied",
    change: { "Route hello": condition("Unknown", "IngressNotConfigured", "Ingress has not yet been reconciled.") },
    conditions: [
      "ConfigurationsReady True",
      "Ready Unknown IngressNotConfigured: Ingress has not yet been reconciled.",
      "RoutesReady Unknown IngressNotConfigured: Ingress has not yet been reconciled.",
    ],
    writes: ["update services hello status"],
  },
  {
    name: "a Ready Route that still serves the Revision before is not migrated",
    change: {
      "Configuration hello": {
        status: { latestCreatedRevisionName: "hello-00002", latestReadyRevisionName: "hello-00002" },
      },
    },
    conditions: [
      "ConfigurationsReady True",
      "Ready Unknown TrafficNotMigrated: Traffic is not yet migrated to the latest revision.",
      "RoutesReady Unknown TrafficNotMigrated: Traffic is not yet migrated to the latest revision.",
    ],
    writes: ["update services hello status"],
  },
  {
    name: "a Configuration of somebody else is not touched",
    change: { "Configuration hello": someoneElses },
    conditions: [
      'ConfigurationsReady False NotOwned: There is an existing Configuration "hello" that we do not own.',
      'Ready False NotOwned: There is an existing Configuration "hello" that we do not own.',
      "RoutesReady True",
    ],
    writes: ["update services hello status"],
    events: ['Warning InternalError: There is an existing Configuration "hello" that we do not own.'],
    error: 'There is an existing Configuration "hello" that we do not own.',
  },
  {
    name: "a Route of somebody else is not touched",
    change: { "Route hello": someoneElses },
    conditions: [
      "ConfigurationsReady True",
      'Ready False NotOwned: There is an existing Route "hello" that we do not own.',
      'RoutesReady False NotOwned: There is an existing Route "hello" that we do not own.',
    ],
    writes: ["update services hello status"],
    events: ['Warning InternalError: There is an existing Route "hello" that we do not own.'],
    error: 'There is an existing Route "hello" that we do not own.',
  },
  {
    name: "a changed template goes to the Configuration alone",
    change: {
      "Service hello": { spec: { template: { spec: { containers: [{ name: "c", image: "dev.local/two" }] } } } },
    },
    conditions: [
      `ConfigurationsReady Unknown OutOfDate: ${outOfDate}`,
      `Ready Unknown OutOfDate: ${outOfDate}`,
      "RoutesReady True",
    ],
    writes: ["update configurations hello", "update services hello status"],
  },
  {
    name: "changed traffic goes to the Route alone",
    change: {
      "Service hello": { spec: { traffic: [{ revisionName: "hello-00001", latestRevision: false, percent: 100 }] } },
    },
    conditions: [
      "ConfigurationsReady True",
      `Ready Unknown OutOfDate: ${routeOutOfDate}`,
      `RoutesReady Unknown OutOfDate: ${routeOutOfDate}`,
    ],
    writes: ["update routes hello", "update services hello status"],
  },
  {
    name: "a label goes to both and makes no generation",
    change: { "Service hello": { metadata: { labels: { team: "b" } } } },
    conditions: ["ConfigurationsReady True", "Ready True", "RoutesReady True"],
    writes: ["update configurations hello", "update routes hello"],
  },
  {
    name: "the Route waits until the Configuration has taken the name of a Revision",
    change: {
      "Service hello": named,
      "Configuration hello": { ...named, metadata: { generation: 2 } },
      "Route hello": null,
    },
    conditions: [
      `ConfigurationsReady Unknown OutOfDate: ${outOfDate}`,
      `Ready Unknown OutOfDate: ${outOfDate}`,
      "RoutesReady True",
    ],
    writes: ["update services hello status"],
  },
  {
    name: "a Service that is being deleted is left to the garbage collector",
    change: { "Service hello": { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }, "Route hello": null },
    conditions: ["ConfigurationsReady True", "Ready True", "RoutesReady True"],
    writes: [],
  },
];

for (const { name, change, conditions, writes, events = [], error } of rows)
  test(name, async (t) => {
    const result = await reconcileRow(t, { make: serviceReconciler, objects: withChanges(ready, change) });
    t.same(result.conditions(kServices), conditions);
    t.same(result.writes, writes);
    t.same(result.events, events);
    t.equal(result.error, error);
    const { metadata, status } = result.cluster.find<KService>(kServices, "default/hello")!;
    t.equal(status?.observedGeneration, metadata.generation, "the generation counts as observed, after an error too");
  });

const conflicts: { name: string; other: ReturnType<typeof revision>; taken: boolean }[] = [
  { name: "another owner takes it", other: revision("uid-other", "1", "dev.local/hello"), taken: true },
  { name: "an older template takes it", other: revision("uid-c", "7", "dev.local/old"), taken: true },
  { name: "the same template does not", other: revision("uid-c", "7", "dev.local/hello"), taken: false },
];
for (const { name, other, taken } of conflicts)
  test(`of a Revision's name: ${name}`, async (t) => {
    const objects = [...withChanges(ready, { "Service hello": named, "Configuration hello": named }), other];
    const result = await reconcileRow(t, { make: serviceReconciler, objects });
    const text = `False RevisionNameTaken: The revision name "hello-one" is taken by a conflicting Revision, so traffic will not be migrated`;
    t.same(
      result.conditions(kServices),
      taken
        ? ["ConfigurationsReady True", `Ready ${text}`, `RoutesReady ${text}`]
        : ["ConfigurationsReady True", "Ready True", "RoutesReady True"],
    );
  });

test("a create that is refused is told of by an event and tried again", async (t) => {
  const result = await reconcileRow(t, {
    make: serviceReconciler,
    objects: withChanges(ready, { "Configuration hello": null }),
    refuse: (write) => (write.startsWith("create configurations") ? failure(403, "Forbidden", "quota") : undefined),
  });
  t.same(result.events, [
    'Warning CreationFailed: Failed to create Configuration "hello": quota',
    "Warning InternalError: quota",
  ]);
  t.equal(result.error, "quota");
});

test("a Service's children carry its labels and annotations", async (t) => {
  const objects = withChanges(ready, {
    "Service hello": {
      metadata: {
        annotations: {
          "serving.knative.dev/rollout-duration": "10s",
          "kubectl.kubernetes.io/last-applied-configuration": "{}",
        },
      },
      spec: {
        traffic: [
          { latestRevision: true, percent: 90 },
          { latestRevision: false, revisionName: "hello-00001", percent: 10, tag: "old" },
        ],
      },
    },
    "Configuration hello": { metadata: { annotations: { "serving.knative.dev/routes": "another" } } },
    "Route hello": null,
  });
  const { cluster } = await reconcileRow(t, { make: serviceReconciler, objects });
  matchesFile(t, path.join(testdata, "children.out.yaml"), cluster, [
    [configurations, "default/hello"],
    [routes, "default/hello"],
  ]);
});
