import { test } from "tap";
import type { Pod, ReplicaSet } from "../../api/core.ts";
import { Expectations } from "./expectations.ts";
import { podChanges, podOf, replicaSetStatus } from "./replica-set.ts";
import { selects } from "./label-selector.ts";

const labels = { app: "web" };

function replicaSet(replicas: number, minReadySeconds = 0): ReplicaSet {
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: { name: "web-1", namespace: "default", uid: "rs-uid", generation: 2 },
    spec: {
      replicas,
      minReadySeconds,
      selector: { matchLabels: labels },
      template: { metadata: { labels, annotations: { a: "b" } }, spec: { containers: [{ name: "c" }] } },
    },
  };
}

function pod(name: string, traits: { readySince?: string; ending?: boolean; phase?: "Running" | "Failed" } = {}): Pod {
  const { readySince, ending = false, phase = "Running" } = traits;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels, ...(ending ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}) },
    spec: { containers: [], nodeName: "local" },
    status: {
      phase,
      conditions: readySince === undefined ? [] : [{ type: "Ready", status: "True", lastTransitionTime: readySince }],
    },
  };
}

const ready = { readySince: "2026-01-01T00:00:00Z" };
const cases = [
  { name: "creates what is missing", replicas: 3, pods: [pod("a")], want: { create: 2, remove: [] } },
  {
    name: "replaces pods that are ending or failed",
    replicas: 2,
    pods: [pod("a", { ending: true }), pod("b", { phase: "Failed" })],
    want: { create: 2, remove: [] },
  },
  {
    name: "removes the surplus, pods that are not ready first",
    replicas: 1,
    pods: [pod("a", ready), pod("b")],
    want: { create: 0, remove: ["b"] },
  },
  { name: "leaves the right number alone", replicas: 1, pods: [pod("a")], want: { create: 0, remove: [] } },
  { name: "creates no more than a burst at once", replicas: 900, pods: [], want: { create: 500, remove: [] } },
];

for (const { name, replicas, pods, want } of cases)
  test(`podChanges ${name}`, async (t) => {
    const { create, remove } = podChanges(replicaSet(replicas), pods);
    t.same({ create, remove: remove.map(({ metadata }) => metadata.name) }, want);
  });

test("podOf makes a pod of the template that its ReplicaSet owns", async (t) => {
  const { metadata, spec } = podOf(replicaSet(1));
  t.match(metadata.name, /^web-1-.{5}$/);
  t.equal(metadata.generateName, "web-1-");
  t.same(metadata.labels, labels);
  t.same(metadata.annotations, { a: "b" });
  t.match(metadata.ownerReferences, [{ kind: "ReplicaSet", name: "web-1", uid: "rs-uid", controller: true }]);
  t.same(spec, { containers: [{ name: "c" }] });
});

test("replicaSetStatus counts, and says when the next pod becomes available", async (t) => {
  const pods = [pod("a", ready), pod("b"), pod("c", { ending: true }), pod("d", { phase: "Failed" })];
  const { status, nextAvailableMs } = replicaSetStatus(
    replicaSet(2, 10),
    pods,
    undefined,
    Date.parse("2026-01-01T00:00:04Z"),
  );
  t.same(status, {
    replicas: 2,
    fullyLabeledReplicas: 2,
    readyReplicas: 1,
    terminatingReplicas: 1,
    observedGeneration: 2,
  });
  t.equal(nextAvailableMs, 6000);
});

test("replicaSetStatus shows a failure until a pass without one", async (t) => {
  const failure = { reason: "FailedCreate", message: "quota" } as const;
  const { status } = replicaSetStatus(replicaSet(1), [], failure, 0);
  t.match(status.conditions, [{ type: "ReplicaFailure", status: "True", ...failure }]);
  const after = replicaSetStatus({ ...replicaSet(1), status }, [], undefined, 0);
  t.equal(after.status.conditions, undefined);
});

test("Expectations hold an owner back until the cache shows each write", async (t) => {
  const expectations = new Expectations(1000);
  expectations.expect("rs", "a", 0);
  expectations.expect("rs", "b", 500);
  expectations.met("rs", "a");
  t.equal(expectations.pendingMs("rs", 600), 900);
  expectations.met("rs", "b");
  t.equal(expectations.pendingMs("rs", 600), 0);
  expectations.expect("rs", "c", 0);
  t.equal(expectations.pendingMs("rs", 1000), 0, "given up");
  t.equal(expectations.pendingMs("other", 0), 0);
});

const selectorCases = [
  { name: "every label of matchLabels", selector: { matchLabels: { a: "1" } }, labels: { a: "1", b: "2" }, want: true },
  {
    name: "nothing when one differs",
    selector: { matchLabels: { a: "1", b: "3" } },
    labels: { a: "1", b: "2" },
    want: false,
  },
  { name: "everything when it is empty", selector: {}, labels: {}, want: true },
  { name: "nothing when it is absent", selector: undefined, labels: { a: "1" }, want: false },
  {
    name: "In",
    selector: { matchExpressions: [{ key: "a", operator: "In" as const, values: ["1", "2"] }] },
    labels: { a: "2" },
    want: true,
  },
  {
    name: "NotIn, also without the label",
    selector: { matchExpressions: [{ key: "a", operator: "NotIn" as const, values: ["1"] }] },
    labels: {},
    want: true,
  },
  {
    name: "Exists",
    selector: { matchExpressions: [{ key: "a", operator: "Exists" as const }] },
    labels: {},
    want: false,
  },
  {
    name: "DoesNotExist",
    selector: { matchExpressions: [{ key: "a", operator: "DoesNotExist" as const }] },
    labels: { a: "" },
    want: false,
  },
];

for (const { name, selector, labels, want } of selectorCases)
  test(`a selector picks ${name}`, async (t) => {
    t.equal(selects(selector, labels), want);
  });
