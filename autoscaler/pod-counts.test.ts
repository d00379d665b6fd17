import { test } from "tap";
import type { Container, Pod } from "../api/core.ts";
import { PodState } from "../proto/gen/stats.ts";
import { trimmedPod } from "./kept-fields.ts";
import { countPods, type PodCounts } from "./pod-counts.ts";

const queueProxy: Container = { name: "queue-proxy", readinessProbe: { httpGet: { port: 8012 } } };
const app: Container = { name: "user-container", image: "app" };

const rows: {
  name: string;
  said?: PodState;
  ready?: boolean;
  phase?: string;
  deleted?: boolean;
  containers?: Container[];
  want: keyof PodCounts;
}[] = [
  { name: "says that it is ready", said: PodState.READY, want: "ready" },
  { name: "says so before it runs", said: PodState.READY, phase: "Pending", want: "ready" },
  { name: "is ready for Kubernetes", ready: true, want: "ready" },
  { name: "runs", want: "notReady" },
  { name: "says that its app is away", said: PodState.NOT_READY, want: "notReady" },
  { name: "waits for its node", phase: "Pending", want: "pending" },
  { name: "drains, though Kubernetes has it ready", said: PodState.DRAINING, ready: true, want: "terminating" },
  { name: "is deleted", ready: true, deleted: true, want: "terminating" },
  {
    name: "says that it is ready, but has a readiness probe that only the kubelet runs",
    said: PodState.READY,
    containers: [{ ...app, readinessProbe: { exec: { command: ["true"] } } }, queueProxy],
    want: "notReady",
  },
  {
    name: "has passed it",
    said: PodState.READY,
    ready: true,
    containers: [{ ...app, readinessProbe: { exec: { command: ["true"] } } }, queueProxy],
    want: "ready",
  },
  {
    name: "says that it is ready, but has a startup probe",
    said: PodState.READY,
    containers: [{ ...app, startupProbe: { httpGet: { port: 8080 } } }, queueProxy],
    want: "notReady",
  },
];

for (const { name, said, ready = false, phase = "Running", deleted = false, containers, want } of rows)
  test(`a pod that ${name}`, (t) => {
    const pod = {
      metadata: { name: "p", ...(deleted ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}) },
      spec: { containers: containers ?? [app, queueProxy] },
      status: { phase, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
    } as Pod;
    for (const each of [pod, trimmedPod(pod)])
      t.strictSame(
        countPods([each], () => said),
        { ready: 0, notReady: 0, pending: 0, terminating: 0, [want]: 1 },
      );
    t.end();
  });
