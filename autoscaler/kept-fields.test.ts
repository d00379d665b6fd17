import { test } from "tap";
import type { Deployment, Pod } from "../api/core.ts";
import { costChanges, podDeletionCost } from "./deletion-cost.ts";
import { trimmedDeployment, trimmedPod } from "./kept-fields.ts";
import { countPods } from "./pod-counts.ts";

const pod = (name: string, more: { ready?: boolean; phase?: string; deleted?: boolean; cost?: string } = {}): Pod =>
  ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "default",
      uid: `uid-${name}`,
      resourceVersion: "7",
      creationTimestamp: "2026-01-01T00:00:00Z",
      labels: { "serving.knative.dev/revision": "hello-00001", app: "hello" },
      ownerReferences: [{ apiVersion: "apps/v1", kind: "ReplicaSet", name: "hello", uid: "rs", controller: true }],
      managedFields: [{ manager: "kubelet" }],
      ...(more.deleted === true ? { deletionTimestamp: "2026-01-01T00:01:00Z" } : {}),
      ...(more.cost === undefined ? {} : { annotations: { [podDeletionCost]: more.cost, other: "1" } }),
    },
    spec: { nodeName: "node-1", containers: [{ name: "user-container", env: [{ name: "A", value: "1" }] }] },
    status: {
      phase: more.phase ?? "Running",
      podIP: "10.0.0.1",
      startTime: "2026-01-01T00:00:01Z",
      conditions: [
        { type: "PodScheduled", status: "True" },
        { type: "Ready", status: more.ready === false ? "False" : "True", lastTransitionTime: "2026-01-01T00:00:05Z" },
      ],
      containerStatuses: [],
    },
  }) as unknown as Pod;

test("what is kept of pods leads to the same counts and costs", (t) => {
  const pods = [
    pod("ready"),
    pod("starting", { ready: false, phase: "Pending" }),
    pod("failing", { ready: false }),
    pod("leaving", { deleted: true }),
    pod("ended", { phase: "Succeeded" }),
    pod("dear", { cost: "5" }),
  ];
  const before = JSON.stringify(pods);
  const kept = pods.map(trimmedPod);
  t.same(
    countPods(kept, () => undefined),
    countPods(pods, () => undefined),
  );
  const busy = (of: Pod): number => (of.metadata.name ?? "").length;
  const changes = (of: readonly Pod[]) =>
    costChanges(of, busy, 1, 10).map(({ pod: { metadata }, cost }) => [metadata.name, cost]);
  t.same(changes(kept), changes(pods));
  t.same(kept.map(trimmedPod), kept, "again changes nothing");
  t.equal(JSON.stringify(pods), before, "and others' objects stay as they are");
  t.ok(JSON.stringify(kept).length < before.length);
  t.end();
});

test("a Deployment keeps its replicas and its template's annotations", (t) => {
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "hello", managedFields: [] },
    spec: {
      replicas: 3,
      selector: {},
      template: { metadata: { annotations: { [podDeletionCost]: "1" } }, spec: { containers: [{ name: "a" }] } },
    },
  } as Deployment;
  const kept = trimmedDeployment(deployment);
  t.equal(kept.spec.replicas, 3);
  t.equal(kept.spec.template.metadata?.annotations?.[podDeletionCost], "1");
  t.same(kept.spec.template.spec.containers, []);
  t.notOk("managedFields" in kept.metadata);
  t.end();
});
