import { test } from "tap";
import type { Deployment, KubeCondition, ReplicaSet } from "../../api/core.ts";
import { deadlineInMs, deploymentStatus, type Seen } from "./deployment-status.ts";

const nowMs = Date.parse("2026-01-01T00:01:00Z");
const secondsAgo = (seconds: number) => new Date(nowMs - seconds * 1000).toISOString();

function deployment(replicas: number, conditions: KubeCondition[] = [], extra: object = {}): Deployment {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "default", generation: 1 },
    spec: {
      replicas,
      selector: {},
      template: { spec: { containers: [] } },
      progressDeadlineSeconds: 30,
      ...extra,
    },
    status: { conditions, replicas, updatedReplicas: replicas },
  };
}

function replicaSet(replicas: number, available: number, conditions: KubeCondition[] = []): ReplicaSet {
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: { name: "web-1" },
    spec: { replicas, selector: {}, template: { spec: { containers: [] } } },
    status: { replicas, readyReplicas: available, availableReplicas: available, conditions },
  };
}

const seen = (fresh: ReplicaSet | undefined, extra: Partial<Seen> = {}): Seen => ({
  fresh,
  old: [],
  wantedReplicas: fresh?.spec.replicas ?? 0,
  event: { is: "found" },
  maxUnavailable: 0,
  collisionCount: 0,
  ...extra,
});

const progressing = (reason: string, lastUpdateTime: string, status: KubeCondition["status"] = "True") => ({
  type: "Progressing",
  status,
  reason,
  message: "as before",
  lastUpdateTime,
  lastTransitionTime: lastUpdateTime,
});

const cases: { name: string; deployment: Deployment; seen: Seen; want: Record<string, string[]> }[] = [
  {
    name: "says that a new ReplicaSet was created",
    deployment: deployment(1),
    seen: seen(replicaSet(1, 0), { event: { is: "created" } }),
    want: {
      Available: ["False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."],
      Progressing: ["True", "NewReplicaSetCreated", 'Created new replica set "web-1"'],
    },
  },
  {
    name: "says that the rollout is complete",
    deployment: deployment(2, [progressing("ReplicaSetUpdated", secondsAgo(1))]),
    seen: seen(replicaSet(2, 2)),
    want: {
      Available: ["True", "MinimumReplicasAvailable", "Deployment has minimum availability."],
      Progressing: ["True", "NewReplicaSetAvailable", 'ReplicaSet "web-1" has successfully progressed.'],
    },
  },
  {
    name: "is available and complete at zero replicas",
    deployment: deployment(0),
    seen: seen(replicaSet(0, 0)),
    want: {
      Available: ["True", "MinimumReplicasAvailable", "Deployment has minimum availability."],
      Progressing: ["True", "NewReplicaSetAvailable", 'ReplicaSet "web-1" has successfully progressed.'],
    },
  },
  {
    name: "says that it is progressing when another pod became ready",
    deployment: deployment(2, [progressing("NewReplicaSetCreated", secondsAgo(10))]),
    seen: seen(replicaSet(2, 1)),
    want: {
      Available: ["False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."],
      Progressing: ["True", "ReplicaSetUpdated", 'ReplicaSet "web-1" is progressing.'],
    },
  },
  {
    name: "times out a deadline after the last progress",
    deployment: deployment(1, [progressing("ReplicaSetUpdated", secondsAgo(31))]),
    seen: seen(replicaSet(1, 0)),
    want: {
      Available: ["False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."],
      Progressing: ["False", "ProgressDeadlineExceeded", 'ReplicaSet "web-1" has timed out progressing.'],
    },
  },
  {
    name: "does not time out before the deadline",
    deployment: deployment(1, [progressing("ReplicaSetUpdated", secondsAgo(29))]),
    seen: seen(replicaSet(1, 0)),
    want: {
      Available: ["False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."],
      Progressing: ["True", "ReplicaSetUpdated", "as before"],
    },
  },
  {
    name: "stays complete when a pod is lost or it is scaled up",
    deployment: deployment(3, [progressing("NewReplicaSetAvailable", secondsAgo(3600))]),
    seen: seen(replicaSet(3, 1)),
    want: {
      Available: ["False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."],
      Progressing: ["True", "NewReplicaSetAvailable", "as before"],
    },
  },
  {
    name: "passes on why pods cannot be created",
    deployment: deployment(1, [progressing("NewReplicaSetCreated", secondsAgo(1))]),
    seen: seen(
      replicaSet(1, 0, [{ type: "ReplicaFailure", status: "True", reason: "FailedCreate", message: "quota" }]),
    ),
    want: {
      Available: ["False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."],
      Progressing: ["True", "NewReplicaSetCreated", "as before"],
      ReplicaFailure: ["True", "FailedCreate", "quota"],
    },
  },
  {
    name: "has no Progressing condition without a deadline",
    deployment: deployment(1, [progressing("ReplicaSetUpdated", secondsAgo(1))], {
      progressDeadlineSeconds: 2147483647,
    }),
    seen: seen(replicaSet(1, 1)),
    want: { Available: ["True", "MinimumReplicasAvailable", "Deployment has minimum availability."] },
  },
  {
    name: "says that it is paused",
    deployment: deployment(1, [progressing("ReplicaSetUpdated", secondsAgo(1))], { paused: true }),
    seen: seen(replicaSet(1, 1)),
    want: {
      Available: ["True", "MinimumReplicasAvailable", "Deployment has minimum availability."],
      Progressing: ["Unknown", "DeploymentPaused", "Deployment is paused"],
    },
  },
];

for (const { name, deployment, seen, want } of cases)
  test(`deploymentStatus ${name}`, async (t) => {
    const { conditions = [] } = deploymentStatus(deployment, seen, nowMs);
    t.same(
      Object.fromEntries(conditions.map(({ type, status, reason, message }) => [type, [status, reason, message]])),
      want,
    );
  });

test("deploymentStatus keeps the time of a condition that did not change", async (t) => {
  const before = {
    ...progressing("MinimumReplicasAvailable", secondsAgo(500)),
    type: "Available",
    message: "Deployment has minimum availability.",
  };
  const { conditions = [] } = deploymentStatus(deployment(1, [before]), seen(replicaSet(1, 1)), nowMs);
  t.same(
    conditions.find(({ type }) => type === "Available"),
    before,
  );
});

test("deploymentStatus counts the replicas of all ReplicaSets and leaves zeros out", async (t) => {
  const { conditions: _, ...counts } = deploymentStatus(
    deployment(3),
    seen(replicaSet(1, 0), { old: [replicaSet(2, 2)], wantedReplicas: 3 }),
    nowMs,
  );
  t.same(counts, {
    observedGeneration: 1,
    replicas: 3,
    updatedReplicas: 1,
    readyReplicas: 2,
    availableReplicas: 2,
    unavailableReplicas: 1,
  });
});

test("deadlineInMs looks again just after the deadline", async (t) => {
  const status = { conditions: [progressing("ReplicaSetUpdated", secondsAgo(10))] };
  t.equal(deadlineInMs(deployment(1), status, nowMs), 21_000);
  const timedOut = { conditions: [progressing("ProgressDeadlineExceeded", secondsAgo(10), "False")] };
  t.equal(deadlineInMs(deployment(1), timedOut, nowMs), undefined);
});
