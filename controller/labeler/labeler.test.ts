/** Every rule of serving-api 4.5: which Revisions and Configurations a Route marks, and when it lets go of them. */
import path from "node:path";
import { test } from "tap";
import { configurations, revisions, routes, type Configuration, type Revision, type Route } from "../../api/serving.ts";
import { objectsIn, reconcileRow, withChanges, type Changes } from "../table.ts";
import { labelerReconciler } from "./reconciler.ts";

const routed = objectsIn(path.join(import.meta.dirname, "testdata", "routed.in.yaml"));
const annotated = (name: string | null) => ({ metadata: { annotations: { "serving.knative.dev/routes": name } } });
const to = (...traffic: object[]) => ({
  spec: { traffic },
  status: { traffic: traffic.filter((target) => "revisionName" in target) },
});
const state = (value: string | null) => ({ metadata: { labels: { "serving.knative.dev/routingState": value } } });

interface Row {
  name: string;
  change: Changes;
  /** `routing state: routes` of the two Revisions, then the Configuration's routes. */
  first: string;
  second: string;
  configuration: string;
  /** Writes that change nothing are not made; a state that changes says when. */
  writes: string[];
  events?: string[];
}

const old = "2026-01-01T00:00:00Z";
const now = "2026-01-02T00:00:00Z";
const rows: Row[] = [
  {
    name: "what is marked already is left alone",
    change: {},
    first: `reserve ${old}: `,
    second: `active ${old}: hello`,
    configuration: "hello",
    writes: [],
  },
  {
    name: "a Route without the finalizer gets it first",
    change: { "Route hello": { metadata: { finalizers: null } } },
    first: `reserve ${old}: `,
    second: `active ${old}: hello`,
    configuration: "hello",
    writes: ["patch routes hello"],
    events: ['FinalizerUpdate: Updated "hello" finalizers'],
  },
  {
    name: "a pending Revision becomes active, with the time",
    change: { "Revision hello-00002": { metadata: { ...state("pending").metadata, ...annotated(null).metadata } } },
    first: `reserve ${old}: `,
    second: `active ${now}: hello`,
    configuration: "hello",
    writes: ["patch revisions hello-00002"],
  },
  {
    name: "an active Revision of a further Route gets its name, not a new time",
    change: { "Revision hello-00002": annotated("another") },
    first: `reserve ${old}: `,
    second: `active ${old}: another,hello`,
    configuration: "hello",
    writes: ["patch revisions hello-00002"],
  },
  {
    name: "a Revision that is named takes its Configuration along",
    change: {
      "Route hello": to({ revisionName: "hello-00001", latestRevision: false, percent: 100 }),
      "Configuration hello": annotated(null),
      "Revision hello-00002": { metadata: { ...annotated("another").metadata } },
    },
    first: `active ${now}: hello`,
    second: `active ${old}: another`,
    configuration: "hello",
    writes: ["patch revisions hello-00001", "patch configurations hello"],
  },
  {
    name: "what no traffic goes to any more is kept in reserve",
    change: { "Route hello": to({ revisionName: "hello-00001", latestRevision: false, percent: 100 }) },
    first: `active ${now}: hello`,
    second: `reserve ${now}: `,
    configuration: "hello",
    writes: ["patch revisions hello-00001", "patch revisions hello-00002"],
  },
  {
    name: "a Route that is neither ready nor failed lets go of nothing",
    change: {
      "Route hello": {
        ...to({ revisionName: "hello-00001", latestRevision: false, percent: 100 }),
        metadata: { generation: 2 },
      },
    },
    first: `active ${now}: hello`,
    second: `active ${old}: hello`,
    configuration: "hello",
    writes: ["patch revisions hello-00001"],
  },
  {
    name: "a failed Route lets go",
    change: {
      "Route hello": {
        spec: to({ revisionName: "hello-00001", latestRevision: false, percent: 100 }).spec,
        status: {
          traffic: [{ revisionName: "hello-00001", latestRevision: false, percent: 100 }],
          conditions: [{ type: "Ready", status: "False" }],
        },
      },
    },
    first: `active ${now}: hello`,
    second: `reserve ${now}: `,
    configuration: "hello",
    writes: ["patch revisions hello-00001", "patch revisions hello-00002"],
  },
  {
    name: "the latest created Revision of a latest target is held before it is ready",
    change: {
      "Route hello": { status: { traffic: [{ revisionName: "hello-00001", latestRevision: true, percent: 100 }] } },
      "Revision hello-00002": state("pending"),
    },
    first: `active ${now}: hello`,
    second: `active ${now}: hello`,
    configuration: "hello",
    writes: ["patch revisions hello-00001", "patch revisions hello-00002"],
  },
  {
    name: "a Route that goes cleans up behind itself",
    change: {
      "Route hello": { metadata: { deletionTimestamp: now } },
      "Configuration hello": annotated("another,hello"),
    },
    first: `reserve ${old}: `,
    second: `reserve ${now}: `,
    configuration: "another",
    writes: ["patch revisions hello-00002", "patch configurations hello", "patch routes hello"],
    events: ['FinalizerUpdate: Updated "hello" finalizers'],
  },
];

for (const { name, change, first, second, configuration, writes, events = [] } of rows)
  test(name, async (t) => {
    const result = await reconcileRow(t, { make: labelerReconciler, objects: withChanges(routed, change) });
    const seen = (revision: string): string => {
      const { labels = {}, annotations = {} } = result.cluster.find<Revision>(
        revisions,
        `default/${revision}`,
      )!.metadata;
      const modified = annotations["serving.knative.dev/routingStateModified"];
      return `${labels["serving.knative.dev/routingState"]} ${modified}: ${annotations["serving.knative.dev/routes"] ?? ""}`;
    };
    t.equal(seen("hello-00001"), first);
    t.equal(seen("hello-00002"), second);
    const { annotations = {} } = result.cluster.find<Configuration>(configurations, "default/hello")!.metadata;
    t.equal(annotations["serving.knative.dev/routes"], configuration);
    t.same(result.writes, writes);
    t.same(result.events, events);
  });

test("with its finalizer gone the Route is gone", async (t) => {
  const change = { "Route hello": { metadata: { deletionTimestamp: now } } };
  const { cluster } = await reconcileRow(t, { make: labelerReconciler, objects: withChanges(routed, change) });
  t.equal(cluster.find<Route>(routes, "default/hello"), undefined);
});
