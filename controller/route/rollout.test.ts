/** Single steps of a rollout (spec: serving-api 4.10), and what a Route says while it runs. */
import path from "node:path";
import { test } from "tap";
import { kIngresses, type KIngress } from "../../api/networking.ts";
import { routes, type Route } from "../../api/serving.ts";
import { nowMs, objectsIn, reconcileRow, withChanges } from "../table.ts";
import { routeReconciler } from "./reconciler.ts";
import { nextRollout } from "./rollout-step.ts";
import type { ConfigurationRollout, StepParams } from "./rollout.ts";
import type { RevisionTarget } from "./traffic.ts";

const second = 1e9;
const target = (revisionName: string, percent: number, tag = "", configurationName = "hello"): RevisionTarget => ({
  tag,
  revisionName,
  configurationName,
  latestRevision: true,
  percent,
  protocol: "http1",
});
/** `r1=99 r2=1` → a configuration's state. */
const state = (shares: string, stepParams: StepParams = {}, tag?: string): ConfigurationRollout => {
  const revisions = shares.split(" ").map((share) => {
    const [revisionName = "", percent] = share.split("=");
    return { revisionName, percent: Number(percent) };
  });
  const percent = revisions.reduce((sum, revision) => sum + revision.percent, 0);
  return { configurationName: "hello", ...(tag === undefined ? {} : { tag }), percent, revisions, stepParams };
};
const shares = ({ revisions }: ConfigurationRollout): string =>
  revisions.map(({ revisionName, percent }) => `${revisionName}=${percent}`).join(" ");

const running: StepParams = {
  starttime: 1000 * second,
  nextStepTime: 1010 * second,
  stepDuration: 10 * second,
  stepSize: 20,
};

interface Row {
  name: string;
  previous: ConfigurationRollout[];
  targets: RevisionTarget[];
  /** Seconds since the epoch. */
  now: number;
  /** The Ingress took what was written, the Route has not been told. */
  observed?: boolean;
  durationSeconds?: number;
  want: string[];
  params?: StepParams;
  nextStepSeconds?: number;
}

const rows: Row[] = [
  {
    name: "nothing new is nothing to do",
    previous: [state("r1=100")],
    targets: [target("r1", 100)],
    now: 1000,
    want: ["r1=100"],
    params: {},
  },
  {
    name: "a new Revision starts with one percent",
    previous: [state("r1=100")],
    targets: [target("r2", 100)],
    now: 1000,
    want: ["r1=99 r2=1"],
    params: { starttime: 1000 * second },
  },
  {
    name: "one percent is too little to share",
    previous: [state("r1=1")],
    targets: [target("r2", 1)],
    now: 1000,
    want: ["r2=1"],
    params: {},
  },
  {
    name: "another configuration starts whole",
    previous: [state("r1=100")],
    targets: [target("x1", 100, "", "other")],
    now: 1000,
    want: ["x1=100"],
  },
  {
    name: "a new tag starts whole, the rest rolls",
    previous: [state("r1=100")],
    targets: [target("r2", 100), target("r2", 100, "new")],
    now: 1000,
    want: ["r1=99 r2=1", "r2=100"],
  },
  {
    name: "a tag rolls for itself",
    previous: [state("r1=50 r2=50", running), state("r1=100", {}, "new")],
    targets: [target("r2", 100), target("r2", 100, "new")],
    now: 1005,
    want: ["r1=50 r2=50", "r1=99 r2=1"],
    params: running,
    nextStepSeconds: 5,
  },
  {
    name: "more traffic goes to the newest",
    previous: [state("r1=40 r2=10", running)],
    targets: [target("r2", 80)],
    now: 1005,
    want: ["r1=40 r2=40"],
    params: running,
  },
  {
    name: "less traffic is taken from the oldest",
    previous: [state("r1=40 r2=40", running)],
    targets: [target("r2", 30)],
    now: 1005,
    want: ["r2=30"],
    params: {},
  },
  {
    name: "before its time no step is taken",
    previous: [state("r1=99 r2=1", running)],
    targets: [target("r2", 100)],
    now: 1009,
    want: ["r1=99 r2=1"],
    params: running,
    nextStepSeconds: 1,
  },
  {
    name: "at its time a step is taken",
    previous: [state("r1=99 r2=1", running)],
    targets: [target("r2", 100)],
    now: 1010,
    want: ["r1=79 r2=21"],
    params: { ...running, nextStepTime: 1020 * second },
    nextStepSeconds: 10,
  },
  {
    name: "a step takes from the second newest first, then from older ones",
    previous: [state("r1=50 r2=5 r3=45", running)],
    targets: [target("r3", 100)],
    now: 1010,
    want: ["r1=35 r3=65"],
  },
  {
    name: "the last step ends the rollout",
    previous: [state("r1=15 r2=85", running)],
    targets: [target("r2", 100)],
    now: 1010,
    want: ["r2=100"],
    params: {},
  },
  {
    name: "what the Ingress needed tells how long a step is",
    previous: [state("r1=99 r2=1", { starttime: 1000 * second })],
    targets: [target("r2", 100)],
    now: 1009.2,
    observed: true,
    want: ["r1=99 r2=1"],
    params: { starttime: 1000 * second, nextStepTime: 1019.2 * second, stepDuration: 10 * second, stepSize: 20 },
    nextStepSeconds: 10,
  },
  {
    name: "an Ingress that needed longer than all the time leaves one step of a second",
    previous: [state("r1=99 r2=1", { starttime: 1000 * second })],
    targets: [target("r2", 100)],
    now: 1090,
    observed: true,
    want: ["r1=99 r2=1"],
    params: { starttime: 1000 * second, nextStepTime: 1091 * second, stepDuration: second, stepSize: 99 },
    nextStepSeconds: 1,
  },
  {
    name: "with few percents a step is at least one",
    previous: [state("r1=2 r2=1", { starttime: 1000 * second })],
    targets: [target("r2", 3)],
    now: 1001,
    observed: true,
    durationSeconds: 101,
    want: ["r1=2 r2=1"],
    params: { starttime: 1000 * second, nextStepTime: 1051 * second, stepDuration: 50 * second, stepSize: 1 },
    nextStepSeconds: 50,
  },
];
for (const {
  name,
  previous,
  targets,
  now,
  observed = false,
  durationSeconds = 60,
  want,
  params,
  nextStepSeconds,
} of rows)
  test(`rollout: ${name}`, (t) => {
    const byTag = new Map<string, RevisionTarget[]>();
    for (const entry of targets) byTag.set(entry.tag, [...(byTag.get(entry.tag) ?? []), entry]);
    const { rollout, nextStepMs } = nextRollout({
      targets: byTag,
      previous: { configurations: previous },
      ingressIsReady: observed,
      routeIsReady: false,
      durationMs: durationSeconds * 1000,
      nowMs: now * 1000,
    });
    t.same(rollout.configurations.map(shares), want);
    if (params !== undefined) t.same(rollout.configurations[0]?.stepParams, params);
    if (nextStepSeconds !== undefined) t.equal(nextStepMs, nextStepSeconds * 1000);
    t.end();
  });

const ready = objectsIn(path.join(import.meta.dirname, "testdata", "ready.in.yaml"));
const rolloutAnnotation = "networking.internal.knative.dev/rollout";

test("while it runs, a Route shows every Revision's share and is not Ready", async (t) => {
  const previous = {
    configurations: [
      state("hello-00001=70 hello-00002=30", {
        ...running,
        starttime: nowMs * 1e6,
        nextStepTime: (nowMs + 4000) * 1e6,
      }),
    ],
  };
  const result = await reconcileRow(t, {
    make: routeReconciler,
    objects: withChanges(ready, {
      "Route hello": { metadata: { annotations: { "serving.knative.dev/rollout-duration": "60.7s" } } },
      "Ingress hello": { metadata: { annotations: { [rolloutAnnotation]: JSON.stringify(previous) } } },
    }),
  });
  t.same(result.cluster.find<Route>(routes, "default/hello")?.status?.traffic, [
    { revisionName: "hello-00001", latestRevision: true, percent: 70 },
    { revisionName: "hello-00002", latestRevision: true, percent: 30 },
  ]);
  const text = "Unknown RolloutInProgress: A gradual rollout of the latest revision(s) is in progress.";
  t.same(result.conditions(routes).slice(2), [`IngressReady ${text}`, `Ready ${text}`]);
  t.equal(result.againMs, 4000);
  const ingress = result.cluster.find<KIngress>(kIngresses, "default/hello")!;
  t.same(
    ingress.spec.rules?.[0]?.http.paths[0]?.splits.map(({ serviceName, percent }) => `${serviceName}=${percent}`),
    ["hello-00001=70", "hello-00002=30"],
  );
});

const discarded: { name: string; text: string }[] = [
  { name: "no JSON", text: "{" },
  {
    name: "a sum that is not the percent",
    text: JSON.stringify({ configurations: [{ ...state("hello-00001=70 hello-00002=20"), percent: 100 }] }),
  },
  { name: "more than a hundred", text: JSON.stringify({ configurations: [state("hello-00001=70 hello-00002=40")] }) },
  {
    name: "a step that is larger than the whole",
    text: JSON.stringify({ configurations: [state("hello-00001=70 hello-00002=30", { stepSize: 101 })] }),
  },
  {
    name: "a step backwards",
    text: JSON.stringify({ configurations: [state("hello-00001=70 hello-00002=30", { stepSize: -1 })] }),
  },
];
for (const { name, text } of discarded)
  test(`a rollout that says ${name} is forgotten`, async (t) => {
    const { cluster } = await reconcileRow(t, {
      make: routeReconciler,
      config: { "config-network": { "rollout-duration": "60" } },
      objects: withChanges(ready, { "Ingress hello": { metadata: { annotations: { [rolloutAnnotation]: text } } } }),
    });
    const [rule] = cluster.find<KIngress>(kIngresses, "default/hello")!.spec.rules!;
    t.same(
      rule?.http.paths[0]?.splits.map(({ serviceName, percent }) => `${serviceName}=${percent}`),
      ["hello-00002=100"],
    );
  });
