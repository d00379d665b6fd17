/** How a Revision keeps what was made for it in step (spec: serving-api 4.11, 4.13). */
import path from "node:path";
import { test } from "tap";
import { podAutoscalers, type PodAutoscaler } from "../../api/autoscaling.ts";
import { deployments, type Deployment } from "../../api/core.ts";
import { revisions, type Revision } from "../../api/serving.ts";
import { objectsIn, reconcileRow, withChanges, type Changes } from "../table.ts";
import { madeFor, makeWith, pa, progressing, up } from "./revision-fixture.ts";

const key = "default/hello-00001";
const given = objectsIn(path.join(import.meta.dirname, "testdata", "ready.in.yaml"));
const deployment = "Deployment hello-00001-deployment";
const autoscaler = "PodAutoscaler hello-00001";
const down = {
  spec: { replicas: 1 },
  status: {
    replicas: 1,
    readyReplicas: null,
    availableReplicas: null,
    conditions: [progressing("False", "ProgressDeadlineExceeded", "it took too long")],
  },
};

const reach: { name: string; change: Changes; want: string | undefined }[] = [
  { name: "an active Revision", change: {}, want: "Reachable" },
  {
    name: "one in reserve",
    change: { "Revision hello-00001": { metadata: { labels: { "serving.knative.dev/routingState": "reserve" } } } },
    want: "Unreachable",
  },
  {
    name: "one that waits for a Route",
    change: { "Revision hello-00001": { metadata: { labels: { "serving.knative.dev/routingState": "pending" } } } },
    want: undefined,
  },
  { name: "one that failed with pods wanted", change: { [deployment]: down }, want: "Unreachable" },
  {
    name: "one that failed with no pods wanted",
    change: { [deployment]: { ...down, spec: { replicas: 0 } } },
    want: "Reachable",
  },
];
for (const { name, change, want } of reach)
  test(`reachability: ${name}`, async (t) => {
    const objects = withChanges(madeFor(given, {}, up, pa(["True"], true, { serviceName: "hello-00001" })), change);
    const { cluster } = await reconcileRow(t, { make: makeWith(), key, objects });
    t.equal(cluster.find<PodAutoscaler>(podAutoscalers, key)?.spec.reachability, want);
  });

test("the PodAutoscaler follows the Revision's annotations, and keeps what the webhook put there", async (t) => {
  const objects = withChanges(madeFor(given, {}, up, pa(["True"], true, { serviceName: "hello-00001" })), {
    "Revision hello-00001": { metadata: { annotations: { "autoscaling.knative.dev/min-scale": "2" } } },
    [autoscaler]: {
      metadata: {
        annotations: {
          "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
          "autoscaling.knative.dev/metric": "concurrency",
          "autoscaling.knative.dev/max-scale": "5",
          mine: "yes",
        },
      },
    },
  });
  const { cluster, writes } = await reconcileRow(t, { make: makeWith(), key, objects });
  t.same(
    writes.filter((write) => write.includes("podautoscalers")),
    ["update podautoscalers hello-00001"],
  );
  t.same(cluster.find<PodAutoscaler>(podAutoscalers, key)?.metadata.annotations, {
    mine: "yes",
    "autoscaling.knative.dev/class": "kpa.autoscaling.knative.dev",
    "autoscaling.knative.dev/metric": "concurrency",
    "autoscaling.knative.dev/min-scale": "2",
    "serving.knative.dev/creator": "ann",
  });
});

test("an update of the Deployment keeps scale, selector and what others wrote", async (t) => {
  const objects = withChanges(madeFor(given, {}, up, pa(["True"], true, { serviceName: "hello-00001" })), {
    [deployment]: {
      metadata: {
        labels: { "serving.knative.dev/deployment-hash": "old", mine: "yes" },
        annotations: { note: "kept" },
      },
      spec: {
        replicas: 7,
        selector: { matchLabels: { older: "selector" } },
        template: {
          metadata: { annotations: { "kubectl.kubernetes.io/restartedAt": "now", "serving.knative.dev/gone": "x" } },
        },
      },
    },
  });
  const { cluster } = await reconcileRow(t, { make: makeWith(), key, objects });
  const { metadata, spec } = cluster.find<Deployment>(deployments, `${key}-deployment`)!;
  t.equal(spec.replicas, 7);
  t.same(spec.selector, { matchLabels: { "serving.knative.dev/revisionUID": "uid-rev", older: "selector" } });
  t.equal(metadata.labels?.["mine"], "yes");
  t.not(metadata.labels?.["serving.knative.dev/deployment-hash"], "old");
  t.equal(metadata.annotations?.["note"], "kept");
  t.same(Object.keys(spec.template.metadata?.annotations ?? {}).sort(), [
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/restartedAt",
    "serving.knative.dev/creator",
  ]);
});

test("a log URL is the template's with the uid", async (t) => {
  const config = { "config-observability": { "logging.revision-url-template": "http://logs/?q=${REVISION_UID}" } };
  const objects = madeFor(given, config, up, pa(["True"], true, { serviceName: "hello-00001" }));
  const { cluster } = await reconcileRow(t, { make: makeWith(), key, objects, config });
  t.equal(cluster.find<Revision>(revisions, key)?.status?.logUrl, "http://logs/?q=uid-rev");
});
