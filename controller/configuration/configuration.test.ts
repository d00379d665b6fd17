/** Every row of serving-api 4.4: which Revision a Configuration makes, and which one is its latest ready. */
import path from "node:path";
import { test } from "tap";
import { configurations, revisions, type Configuration } from "../../api/serving.ts";
import { failure } from "../memory-cluster.ts";
import { matchesFile, objectsIn, reconcileRow, withChanges, type Changes } from "../table.ts";
import { configurationReconciler } from "./reconciler.ts";

const testdata = path.join(import.meta.dirname, "testdata");
const ready = objectsIn(path.join(testdata, "ready.in.yaml"));
const says = (status: string, message = "") => ({
  status: { conditions: [{ type: "Ready", status, reason: "Why", message }] },
});
const third = { metadata: { generation: 3 } };
const named = (name: string) => ({ spec: { template: { metadata: { name } } } });
const nothingReady = { status: { latestReadyRevisionName: null, conditions: null } };
interface Row {
  name: string;
  change: Changes;
  ready: string;
  created: string;
  latestReady: string | undefined;
  writes: string[];
  events?: string[];
}

const rows: Row[] = [
  {
    name: "a Ready Configuration is left alone",
    change: {},
    ready: "Ready True",
    created: "hello-00002",
    latestReady: "hello-00002",
    writes: [],
  },
  {
    name: "a new generation makes a Revision, and the one before stays the latest ready",
    change: { "Configuration hello": third },
    ready: "Ready Unknown",
    created: "hello-00003",
    latestReady: "hello-00002",
    writes: ["create revisions hello-00003", "update configurations hello status"],
    events: ['Created: Created Revision "hello-00003"'],
  },
  {
    name: "a Revision whose readiness is unknown keeps the Configuration waiting, with its message",
    change: {
      "Configuration hello": nothingReady,
      "Revision hello-00001": null,
      "Revision hello-00002": says("Unknown", "pulling"),
    },
    ready: "Ready Unknown: pulling",
    created: "hello-00002",
    latestReady: undefined,
    writes: ["update configurations hello status"],
  },
  {
    name: "the first ready Revision makes the Configuration ready",
    change: { "Configuration hello": nothingReady, "Revision hello-00001": null },
    ready: "Ready True",
    created: "hello-00002",
    latestReady: "hello-00002",
    writes: ["update configurations hello status"],
    events: [
      "ConfigurationReady: Configuration becomes ready",
      'LatestReadyUpdate: LatestReadyRevisionName updated to "hello-00002"',
    ],
  },
  {
    name: "the next ready Revision becomes the latest one",
    change: { "Configuration hello": { status: { latestReadyRevisionName: "hello-00001", conditions: null } } },
    ready: "Ready True",
    created: "hello-00002",
    latestReady: "hello-00002",
    writes: ["update configurations hello status"],
    events: ['LatestReadyUpdate: LatestReadyRevisionName updated to "hello-00002"'],
  },
  {
    name: "a failed latest Revision fails the Configuration, and the one before goes on serving",
    change: {
      "Configuration hello": { status: { latestReadyRevisionName: "hello-00001", conditions: null } },
      "Revision hello-00002": says("False", "Container failed with: boom"),
    },
    ready: 'Ready False RevisionFailed: Revision "hello-00002" failed with message: Container failed with: boom.',
    created: "hello-00002",
    latestReady: "hello-00001",
    writes: ["update configurations hello status"],
    events: ['Warning LatestCreatedFailed: Latest created revision "hello-00002" has failed'],
  },
  {
    name: "a latest ready Revision that fails is told of as such",
    change: { "Revision hello-00002": says("False", "boom") },
    ready: 'Ready False RevisionFailed: Revision "hello-00002" failed with message: boom.',
    created: "hello-00002",
    latestReady: "hello-00002",
    writes: ["update configurations hello status"],
    events: ['Warning LatestReadyFailed: Latest ready revision "hello-00002" has failed'],
  },
  {
    name: "a latest ready Revision that is unsure of itself changes nothing",
    change: { "Revision hello-00002": says("Unknown", "") },
    ready: "Ready True",
    created: "hello-00002",
    latestReady: "hello-00002",
    writes: [],
  },
  {
    name: "a Revision that has not seen its own generation is not ready",
    change: {
      "Configuration hello": { status: { latestReadyRevisionName: "hello-00001", conditions: null } },
      "Revision hello-00002": { metadata: { generation: 2 } },
    },
    ready: "Ready Unknown",
    created: "hello-00002",
    latestReady: "hello-00001",
    writes: ["update configurations hello status"],
  },
  {
    name: "a deleted latest Revision is made again for the same generation",
    change: { "Revision hello-00002": null },
    ready: "Ready Unknown",
    created: "hello-00002",
    latestReady: "hello-00001",
    writes: ["create revisions hello-00002", "update configurations hello status"],
    events: [
      'Created: Created Revision "hello-00002"',
      'LatestReadyUpdate: LatestReadyRevisionName updated to "hello-00001"',
    ],
  },
  {
    name: "without the recorded latest ready Revision all of them are looked at",
    change: {
      "Configuration hello": { ...third, status: { latestReadyRevisionName: "hello-gone" } },
    },
    ready: "Ready Unknown",
    created: "hello-00003",
    latestReady: "hello-00002",
    writes: ["create revisions hello-00003", "update configurations hello status"],
    events: [
      'Created: Created Revision "hello-00003"',
      'LatestReadyUpdate: LatestReadyRevisionName updated to "hello-00002"',
    ],
  },
  {
    name: "a ready Revision of a generation to come does not count",
    change: {
      "Configuration hello": { status: { latestReadyRevisionName: null, conditions: null } },
      "Revision hello-00001": {
        metadata: { name: "hello-00009", labels: { "serving.knative.dev/configurationGeneration": "9" } },
      },
      "Revision hello-00002": says("Unknown"),
    },
    ready: "Ready Unknown",
    created: "hello-00002",
    latestReady: undefined,
    writes: ["update configurations hello status"],
  },
  {
    name: "a name that the template gives is taken as it is",
    change: { "Configuration hello": { ...third, ...named("hello-blue") } },
    ready: "Ready Unknown",
    created: "hello-blue",
    latestReady: "hello-00002",
    writes: ["create revisions hello-blue", "update configurations hello status"],
    events: ['Created: Created Revision "hello-blue"'],
  },
  {
    name: "going back to a named Revision of the same content makes it the latest",
    change: {
      "Configuration hello": {
        ...third,
        spec: {
          template: {
            metadata: { name: "hello-00001" },
            spec: { containers: [{ name: "user-container", image: "dev.local/one" }] },
          },
        },
      },
    },
    ready: "Ready True",
    created: "hello-00001",
    latestReady: "hello-00001",
    writes: ["update configurations hello status"],
    events: ['LatestReadyUpdate: LatestReadyRevisionName updated to "hello-00001"'],
  },
  {
    name: "a named Revision of another content is a conflict, which is not tried again",
    change: { "Configuration hello": { ...third, ...named("hello-00001") } },
    ready:
      'Ready False RevisionFailed: Revision creation failed with message: revisions.serving.knative.dev "hello-00001" already exists.',
    created: "hello-00002",
    latestReady: "hello-00002",
    writes: ["update configurations hello status"],
    events: [
      'Warning CreationFailed: Failed to create Revision "hello-00001": revisions.serving.knative.dev "hello-00001" already exists',
    ],
  },
];

for (const { name, change, ready: want, created, latestReady, writes, events = [] } of rows)
  test(name, async (t) => {
    const result = await reconcileRow(t, { make: configurationReconciler, objects: withChanges(ready, change) });
    const { status } = result.cluster.find<Configuration>(configurations, "default/hello")!;
    t.same(result.conditions(configurations), [want]);
    t.equal(status?.latestCreatedRevisionName, created);
    t.equal(status?.latestReadyRevisionName, latestReady);
    t.same(result.writes, writes);
    t.same(result.events, events);
    t.equal(result.error, undefined);
  });

test("a create that is refused fails the Configuration and is tried again", async (t) => {
  const result = await reconcileRow(t, {
    make: configurationReconciler,
    objects: withChanges(ready, { "Configuration hello": third }),
    refuse: (write) => (write.startsWith("create") ? failure(403, "Forbidden", "quota") : undefined),
  });
  t.same(result.conditions(configurations), [
    "Ready False RevisionFailed: Revision creation failed with message: quota.",
  ]);
  t.same(result.events, [
    'Warning CreationFailed: Failed to create Revision "hello-00003": quota',
    "Warning InternalError: quota",
  ]);
  t.equal(result.error, "quota");
});

const makes: { name: string; file: string; change: Changes }[] = [
  {
    name: "a Revision of a Service's Configuration is active at once",
    file: "active",
    change: { "Configuration hello": third },
  },
  {
    name: "one of a Configuration alone is pending until a Route points at it",
    file: "pending",
    change: { "Configuration hello": { metadata: { generation: 3, labels: null, annotations: null } } },
  },
];
for (const { name, file, change } of makes)
  test(name, async (t) => {
    const { cluster } = await reconcileRow(t, { make: configurationReconciler, objects: withChanges(ready, change) });
    matchesFile(t, path.join(testdata, `${file}.out.yaml`), cluster, [[revisions, "default/hello-00003"]]);
  });
