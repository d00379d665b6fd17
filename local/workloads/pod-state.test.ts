import { test } from "tap";
import type { Pod } from "../../api/core.ts";
import { availableInMs, compareForDeletion } from "./pod-state.ts";

interface Traits {
  node?: string;
  phase?: "Pending" | "Running";
  readySince?: string;
  cost?: string;
  restarts?: number;
  created?: string;
}

function pod(name: string, traits: Traits): Pod {
  const {
    node = "local",
    phase = "Running",
    readySince,
    cost,
    restarts = 0,
    created = "2026-01-01T00:00:00Z",
  } = traits;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      creationTimestamp: created,
      ...(cost === undefined ? {} : { annotations: { "controller.kubernetes.io/pod-deletion-cost": cost } }),
    },
    spec: { containers: [], ...(node === "" ? {} : { nodeName: node }) },
    status: {
      phase,
      conditions: readySince === undefined ? [] : [{ type: "Ready", status: "True", lastTransitionTime: readySince }],
      containerStatuses: [{ name: "c", image: "", imageID: "", ready: true, restartCount: restarts }],
    },
  };
}

const early = "2026-01-01T00:00:00Z";
const late = "2026-01-01T01:00:00Z";
const cases: { name: string; victim: Traits; kept: Traits }[] = [
  { name: "an unassigned pod", victim: { node: "", readySince: early }, kept: { phase: "Pending" } },
  { name: "a pending pod", victim: { phase: "Pending", cost: "9" }, kept: {} },
  { name: "a pod that is not ready", victim: { cost: "9" }, kept: { readySince: late } },
  {
    name: "the cheaper pod, whatever their age",
    victim: { readySince: early, cost: "-5" },
    kept: { readySince: late },
  },
  {
    name: "the pod that a malformed cost leaves at 0",
    victim: { readySince: early, cost: "05" },
    kept: { readySince: late, cost: "1" },
  },
  { name: "the pod ready for a shorter time", victim: { readySince: late }, kept: { readySince: early } },
  {
    name: "the pod that restarted more",
    victim: { readySince: early, restarts: 3 },
    kept: { readySince: early, created: late },
  },
  {
    name: "the newer pod",
    victim: { readySince: early, created: late },
    kept: { readySince: early, created: early },
  },
];

for (const { name, victim, kept } of cases)
  test(`a ReplicaSet gives up ${name} first`, async (t) => {
    // The name would say the opposite, so that only the trait can decide.
    const [a, b] = [pod("z", victim), pod("a", kept)];
    t.same([b, a].sort(compareForDeletion), [a, b]);
  });

test("availableInMs counts from the moment the pod became ready", async (t) => {
  const nowMs = Date.parse("2026-01-01T00:00:04Z");
  t.equal(availableInMs(pod("p", { readySince: early }), 10, nowMs), 6000);
  t.equal(availableInMs(pod("p", { readySince: early }), 4, nowMs), 0);
  t.equal(availableInMs(pod("p", { readySince: early }), 0, nowMs), 0);
  t.equal(availableInMs(pod("p", {}), 0, nowMs), undefined);
});
