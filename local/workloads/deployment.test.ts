import { test } from "tap";
import type { Deployment, ReplicaSet } from "../../api/core.ts";
import { revisionAnnotation, rolloutPlan, sameTemplate, templateHash } from "./deployment.ts";
import { canonical, generatedName, hashName } from "./names.ts";

function deployment(image: string, extra: Partial<Deployment["spec"]> = {}): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "web",
      namespace: "default",
      uid: "deployment-uid",
      generation: 1,
      annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}", team: "a" },
    },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: "web" } },
      template: { metadata: { labels: { app: "web" } }, spec: { containers: [{ name: "c", image }] } },
      strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      ...extra,
    },
  };
}

/** The ReplicaSet that a plan creates, as the cluster would show it later. */
function running(
  image: string,
  revision: number,
  replicas: number,
  extra: Partial<Deployment["spec"]> = {},
): ReplicaSet {
  const { create } = rolloutPlan(deployment(image, extra), [], false);
  return {
    ...create!,
    metadata: {
      ...create!.metadata,
      uid: `${image}-uid`,
      generation: 1,
      creationTimestamp: `2026-01-01T00:00:0${revision}Z`,
      annotations: { ...create!.metadata.annotations, [revisionAnnotation]: String(revision) },
    },
    spec: { ...create!.spec, replicas },
    status: { replicas, availableReplicas: replicas, observedGeneration: 1 },
  };
}

test("rolloutPlan creates the first ReplicaSet at full size", async (t) => {
  const { create, revision } = rolloutPlan(deployment("one"), [], false);
  const hash = create?.metadata.labels?.[templateHash] ?? "";
  t.equal(create?.metadata.name, `web-${hash}`);
  t.equal(create?.spec.replicas, 2);
  t.same(create?.spec.selector.matchLabels, { app: "web", [templateHash]: hash });
  t.same(create?.spec.template.metadata?.labels, { app: "web", [templateHash]: hash });
  t.same(create?.metadata.annotations, {
    team: "a",
    "deployment.kubernetes.io/revision": "1",
    "deployment.kubernetes.io/desired-replicas": "2",
    "deployment.kubernetes.io/max-replicas": "3",
  });
  t.equal(create?.metadata.ownerReferences?.[0]?.uid, "deployment-uid");
  t.equal(revision, "1");
});

test("rolloutPlan changes nothing when everything is as wanted", async (t) => {
  const plan = rolloutPlan(deployment("one"), [running("one", 1, 2)], false);
  t.same([plan.create, plan.update, plan.remove], [undefined, [], []]);
});

test("rolloutPlan starts another template beside the old one, one revision later", async (t) => {
  const plan = rolloutPlan(deployment("two"), [running("one", 1, 2)], false);
  t.equal(plan.create?.spec.replicas, 1, "only the surge");
  t.equal(plan.revision, "2");
  t.same(plan.update, []);
});

test("rolloutPlan gives a template that comes back a new revision", async (t) => {
  const plan = rolloutPlan(deployment("one"), [running("one", 1, 0), running("two", 2, 2)], false);
  t.equal(plan.create, undefined);
  t.equal(plan.revision, "3");
  const changed = plan.update.find(({ from }) => from.metadata.uid === "one-uid")?.to;
  t.equal(changed?.metadata.annotations?.[revisionAnnotation], "3");
  t.equal(changed?.spec.replicas, 1);
});

test("rolloutPlan scales the only ReplicaSet with its Deployment", async (t) => {
  const plan = rolloutPlan(deployment("one", { replicas: 5 }), [running("one", 1, 2)], false);
  t.same(
    plan.update.map(({ to }) => to.spec.replicas),
    [5],
  );
});

test("rolloutPlan scales but does not roll out while paused", async (t) => {
  const plan = rolloutPlan(deployment("two", { replicas: 4, paused: true }), [running("one", 1, 2)], false);
  t.equal(plan.create, undefined);
  t.same(
    plan.update.map(({ to }) => to.spec.replicas),
    [4],
  );
});

test("rolloutPlan recreates: nothing new until the last old pod has ended", async (t) => {
  const strategy = { type: "Recreate" } as const;
  const old = running("one", 1, 2, { strategy });
  const first = rolloutPlan(deployment("two", { strategy }), [old], true);
  t.equal(first.create?.spec.replicas, 0);
  t.same(
    first.update.map(({ to }) => to.spec.replicas),
    [0],
  );
});

test("rolloutPlan drops old ReplicaSets beyond the history limit once the rollout is complete", async (t) => {
  const wanted = deployment("four", { revisionHistoryLimit: 1 });
  const all = [running("one", 1, 0), running("two", 2, 0), running("three", 3, 0), running("four", 4, 2)];
  const complete = { observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 2 };
  const names = (removed: ReplicaSet[]) => removed.map(({ metadata }) => metadata.uid);
  t.same(names(rolloutPlan({ ...wanted, status: complete }, all, false).remove), ["one-uid", "two-uid"]);
  t.same(names(rolloutPlan({ ...wanted, status: { ...complete, availableReplicas: 1 } }, all, false).remove), []);
});

test("sameTemplate ignores the hash, the order of keys and empty fields", async (t) => {
  const container = { name: "c", image: "one" };
  const a = { metadata: { labels: { app: "web", [templateHash]: "x" } }, spec: { containers: [container] } };
  const b = {
    spec: { containers: [{ image: "one", name: "c", resources: {} }] },
    metadata: { labels: { app: "web" }, creationTimestamp: null },
  };
  t.ok(sameTemplate(a, b));
  t.notOk(sameTemplate(a, { ...b, spec: { containers: [{ ...container, image: "two" }] } }));
});

test("names are those Kubernetes would accept", async (t) => {
  t.match(generatedName("web-"), /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  t.equal(generatedName("x".repeat(100)).length, 63);
  t.match(hashName({ a: 1 }), /^[bcdfghjklmnpqrstvwxz2456789]+$/);
  t.equal(canonical({ b: [1, { d: undefined, c: "x" }], a: null }), '{"b":[1,{"c":"x"}]}');
});
