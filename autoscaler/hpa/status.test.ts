import { test } from "tap";
import { revisionScaling } from "../../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import type { PodAutoscaler } from "../../api/autoscaling.ts";
import type { Deployment } from "../../api/core.ts";
import type { HorizontalPodAutoscaler } from "../../api/horizontal-pod-autoscaler.ts";
import type { ServerlessService } from "../../api/networking.ts";
import { podAutoscaler } from "./fixture.ts";
import { childProblemStatus, hpaStatus } from "./status.ts";

const nowMs = Date.parse("2026-01-02T00:00:00Z");
type Conditions = NonNullable<PodAutoscaler["status"]>["conditions"];

const lines = (conditions: Conditions): string[] =>
  (conditions ?? []).map(({ type, status, reason, message }) =>
    [type, status, ...(reason === undefined ? [] : [reason]), ...(message === undefined ? [] : [`"${message}"`])].join(
      " ",
    ),
  );
const sks = (ready: "True" | "Unknown" | undefined): ServerlessService =>
  ({
    status: {
      ...(ready === undefined ? {} : { serviceName: "hello-00001", privateServiceName: "hello-00001-private" }),
      conditions: ready === undefined ? [] : [{ type: "Ready", status: ready, message: "K8s Service is not ready" }],
    },
  }) as unknown as ServerlessService;

const looked = [{ type: "AbleToScale", status: "True" }];
const waits = 'SKSReady Unknown NotReady "SKS Services are not ready yet"';

const rows: {
  name: string;
  annotations?: Record<string, string>;
  reachability?: "Unreachable";
  before?: string[];
  sks: "True" | "Unknown" | undefined;
  hpa?: NonNullable<HorizontalPodAutoscaler["status"]>;
  deployment?: { replicas: number; ready: number };
  conditions: string[];
  /** desired, actual */
  scale: [number, number];
}[] = [
  {
    name: "waits for the Services of a new one",
    sks: undefined,
    deployment: { replicas: 1, ready: 0 },
    conditions: [
      "Active True",
      'Ready Unknown NotReady "SKS Services are not ready yet"',
      waits,
      "ScaleTargetInitialized Unknown",
    ],
    scale: [1, 0],
  },
  {
    name: "is ready with the first pod, before Kubernetes has looked",
    sks: "True",
    hpa: { desiredReplicas: 0, conditions: null },
    deployment: { replicas: 1, ready: 1 },
    conditions: ["Active True", "Ready True", "SKSReady True", "ScaleTargetInitialized True"],
    scale: [1, 1],
  },
  {
    name: "tells what Kubernetes says once it has looked",
    sks: "True",
    hpa: { desiredReplicas: 5, currentReplicas: 3, conditions: looked },
    deployment: { replicas: 1, ready: 1 },
    conditions: ["Active True", "Ready True", "SKSReady True", "ScaleTargetInitialized True"],
    scale: [5, 3],
  },
  {
    name: "does not count a pod whose Services are not ready",
    sks: "Unknown",
    hpa: { desiredReplicas: 1, currentReplicas: 1, conditions: looked },
    conditions: [
      "Active True",
      'Ready Unknown NotReady "SKS Services are not ready yet"',
      waits,
      "ScaleTargetInitialized Unknown",
    ],
    scale: [1, 1],
  },
  {
    name: "is initialised by the lower bound",
    annotations: { "min-scale": "3" },
    sks: "True",
    hpa: { desiredReplicas: 3, currentReplicas: 2, conditions: looked },
    conditions: ["Active True", "Ready Unknown", "SKSReady True", "ScaleTargetInitialized Unknown"],
    scale: [3, 2],
  },
  {
    name: "is not initialised by less than the initial scale",
    annotations: { "min-scale": "2", "initial-scale": "4" },
    sks: "True",
    hpa: { desiredReplicas: 4, currentReplicas: 3, conditions: looked },
    conditions: ["Active True", "Ready Unknown", "SKSReady True", "ScaleTargetInitialized Unknown"],
    scale: [4, 3],
  },
  {
    name: "is initialised by the initial scale, if that is more",
    annotations: { "min-scale": "2", "initial-scale": "4" },
    sks: "True",
    hpa: { desiredReplicas: 4, currentReplicas: 4, conditions: looked },
    conditions: ["Active True", "Ready True", "SKSReady True", "ScaleTargetInitialized True"],
    scale: [4, 4],
  },
  {
    name: "needs no lower bound where nobody reaches it",
    annotations: { "min-scale": "3" },
    reachability: "Unreachable",
    sks: "True",
    hpa: { desiredReplicas: 1, currentReplicas: 1, conditions: looked },
    conditions: ["Active True", "Ready True", "SKSReady True", "ScaleTargetInitialized True"],
    scale: [1, 1],
  },
  {
    name: "stays initialised when pods go",
    annotations: { "min-scale": "3" },
    before: ["ScaleTargetInitialized", "Active", "SKSReady"],
    sks: "Unknown",
    hpa: { desiredReplicas: 3, currentReplicas: 0, conditions: looked },
    conditions: [
      "Active True",
      'Ready Unknown NotReady "SKS Services are not ready yet"',
      waits,
      "ScaleTargetInitialized True",
    ],
    scale: [3, 0],
  },
  {
    name: "believes Kubernetes that there is no pod",
    sks: "True",
    hpa: { desiredReplicas: 0, currentReplicas: 0, conditions: looked },
    deployment: { replicas: 1, ready: 1 },
    conditions: ["Active True", "Ready Unknown", "SKSReady True", "ScaleTargetInitialized Unknown"],
    scale: [0, 0],
  },
];
for (const row of rows)
  test(`a PodAutoscaler of the hpa class ${row.name}`, async (t) => {
    const pa = podAutoscaler(row.annotations, {
      ...(row.reachability === undefined ? {} : { reachability: row.reachability }),
      ...(row.before === undefined
        ? {}
        : { status: { conditions: row.before.map((type) => ({ type, status: "True" as const })) } }),
    });
    const input = {
      pa,
      scaling: revisionScaling(pa.metadata.annotations, parseAutoscalerConfig({}), 0),
      sks: sks(row.sks),
      hpa: { status: row.hpa } as unknown as HorizontalPodAutoscaler,
      deployment:
        row.deployment === undefined
          ? undefined
          : ({
              spec: { replicas: row.deployment.replicas },
              status: { readyReplicas: row.deployment.ready },
            } as unknown as Deployment),
    };
    const status = hpaStatus(input, nowMs);
    t.same(lines(status.conditions), row.conditions);
    t.same([status.desiredScale, status.actualScale], row.scale);
    t.equal(status.observedGeneration, 1);
    t.equal(status.metricsServiceName, row.sks === undefined ? "" : "hello-00001-private");
    t.same(hpaStatus({ ...input, pa: { ...pa, status } }, nowMs + 60_000), status, "told again it is the same");
  });

test("what stands in the way shows, and goes when it is gone", async (t) => {
  const problem = { kind: "HorizontalPodAutoscaler", name: "hello-00001" };
  const pa = podAutoscaler();
  const notOwned = childProblemStatus(pa, { ...problem, reason: "NotOwned" }, nowMs);
  const message = '"There is an existing HorizontalPodAutoscaler "hello-00001" that we do not own."';
  t.ok(lines(notOwned.conditions).includes(`Active False NotOwned ${message}`));
  t.ok(lines(notOwned.conditions).includes(`Ready False NotOwned ${message}`));
  const failed = childProblemStatus(pa, { ...problem, reason: "FailedCreate" }, nowMs);
  t.ok(
    lines(failed.conditions).includes(
      'Active False FailedCreate "Failed to create HorizontalPodAutoscaler "hello-00001"."',
    ),
  );
  const after = hpaStatus(
    {
      pa: { ...pa, status: failed },
      scaling: revisionScaling(pa.metadata.annotations, parseAutoscalerConfig({}), 0),
      sks: sks("True"),
      hpa: { status: { desiredReplicas: 1, currentReplicas: 1 } } as HorizontalPodAutoscaler,
      deployment: undefined,
    },
    nowMs,
  );
  t.ok(lines(after.conditions).includes("Ready True"));
});
