import { test } from "tap";
import type { KubeObject } from "../../../api/meta.ts";
import { shortDuration } from "./age.ts";
import { createKindRegistry } from "./index.ts";
import { podState } from "./pod-columns.ts";

const registry = createKindRegistry();
const nowMs = Date.parse("2024-01-02T00:00:00Z");

/** The row as `kubectl get` would show it; wide columns too. */
function row(group: string, version: string, kind: string, object: object): Record<string, unknown> {
  const found = registry.findByKind(group, version, kind);
  const stored = { metadata: { name: "x", creationTimestamp: "2024-01-01T00:00:00Z" }, ...object } as KubeObject;
  return Object.fromEntries((found?.columns ?? []).map((column) => [column.name, column.cell(stored, nowMs)]));
}

test("a pod's state in one word", (t) => {
  const ready = { type: "Ready", status: "True" };
  const running = { name: "a", ready: true, state: { running: {} } };
  const ended = (terminated: object) => ({ name: "a", state: { terminated } });
  const waiting = (reason: string, more: object = {}) => ({ name: "a", state: { waiting: { reason } }, ...more });
  const cases = [
    { name: "the phase at first", status: { phase: "Pending" }, want: ["0/1", "Pending", 0] },
    {
      name: "what a container waits for",
      status: { phase: "Pending", containerStatuses: [waiting("ContainerCreating")] },
      want: ["0/1", "ContainerCreating", 0],
    },
    {
      name: "an image that cannot be had",
      status: { phase: "Pending", containerStatuses: [waiting("ErrImagePull")] },
      want: ["0/1", "ErrImagePull", 0],
    },
    {
      name: "running",
      status: { phase: "Running", conditions: [ready], containerStatuses: [running] },
      want: ["1/1", "Running", 0],
    },
    {
      name: "running, not ready yet",
      status: { phase: "Running", containerStatuses: [{ ...running, ready: false }] },
      want: ["0/1", "Running", 0],
    },
    {
      name: "crashing over and over",
      status: { phase: "Running", containerStatuses: [waiting("CrashLoopBackOff", { restartCount: 4 })] },
      want: ["0/1", "CrashLoopBackOff", 4],
    },
    {
      name: "done",
      status: { phase: "Succeeded", containerStatuses: [ended({ reason: "Completed", exitCode: 0 })] },
      want: ["0/1", "Completed", 0],
    },
    {
      name: "an exit without a reason",
      status: { phase: "Failed", containerStatuses: [ended({ exitCode: 3 })] },
      want: ["0/1", "ExitCode:3", 0],
    },
    {
      name: "killed",
      status: { phase: "Failed", containerStatuses: [ended({ exitCode: 137, signal: 9 })] },
      want: ["0/1", "Signal:9", 0],
    },
    {
      name: "one of two done",
      containers: 2,
      status: { phase: "Running", conditions: [ready], containerStatuses: [ended({ reason: "Completed" }), running] },
      want: ["1/2", "Running", 0],
    },
    {
      name: "two that wait: the first one's reason",
      containers: 2,
      status: { phase: "Pending", containerStatuses: [waiting("ImagePullBackOff"), waiting("ContainerCreating")] },
      want: ["0/2", "ImagePullBackOff", 0],
    },
    {
      name: "going away",
      metadata: { deletionTimestamp: "2024-01-01T00:00:00Z" },
      status: { phase: "Running", containerStatuses: [running] },
      want: ["1/1", "Terminating", 0],
    },
    { name: "evicted", status: { phase: "Failed", reason: "Evicted" }, want: ["0/1", "Evicted", 0] },
    {
      name: "the first of two init containers",
      init: 2,
      status: { phase: "Pending", initContainerStatuses: [{ name: "i0", state: { running: {} } }] },
      want: ["0/1", "Init:0/2", 0],
    },
    {
      name: "an init container that fails",
      init: 1,
      status: { phase: "Pending", initContainerStatuses: [{ ...ended({ reason: "Error", exitCode: 1 }), name: "i0" }] },
      want: ["0/1", "Init:Error", 0],
    },
  ];
  for (const { name, containers = 1, init = 0, metadata = {}, status, want } of cases) {
    const named = (prefix: string, count: number) =>
      Array.from({ length: count }, (_, index) => ({ name: `${prefix}${index}` }));
    const pod = { metadata, spec: { containers: named("c", containers), initContainers: named("i", init) }, status };
    const state = podState(pod as unknown as Parameters<typeof podState>[0]);
    t.same([state.ready, state.reason, state.restarts], want, name);
  }
  t.end();
});

test("rows as a cluster prints them", (t) => {
  t.same(
    row("", "v1", "Pod", {
      spec: { containers: [{}], nodeName: "local" },
      status: {
        phase: "Running",
        podIP: "127.93.0.2",
        containerStatuses: [
          {
            name: "a",
            ready: true,
            restartCount: 2,
            state: { running: {} },
            lastState: { terminated: { finishedAt: "2024-01-01T23:59:00Z" } },
          },
        ],
      },
    }),
    {
      Name: "x",
      Ready: "1/1",
      Status: "Running",
      Restarts: "2 (60s ago)",
      Age: "24h",
      IP: "127.93.0.2",
      Node: "local",
      "Nominated Node": "<none>",
      "Readiness Gates": "<none>",
    },
  );
  t.same(
    row("apps", "v1", "Deployment", {
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: "x" } },
        template: {
          spec: {
            containers: [
              { name: "a", image: "i" },
              { name: "b", image: "j" },
            ],
          },
        },
      },
      status: { readyReplicas: 1, updatedReplicas: 2 },
    }),
    {
      Name: "x",
      Ready: "1/2",
      "Up-to-date": 2,
      Available: 0,
      Age: "24h",
      Containers: "a,b",
      Images: "i,j",
      Selector: "app=x",
    },
  );
  t.same(
    row("", "v1", "Service", {
      spec: {
        type: "LoadBalancer",
        clusterIP: "127.94.0.1",
        ports: [
          { port: 80, nodePort: 30_001, protocol: "TCP" },
          { port: 443, protocol: "TCP" },
        ],
        selector: { app: "x" },
      },
    }),
    {
      Name: "x",
      Type: "LoadBalancer",
      "Cluster-IP": "127.94.0.1",
      "External-IP": "<pending>",
      "Port(s)": "80:30001/TCP,443/TCP",
      Age: "24h",
      Selector: "app=x",
    },
  );
  t.same(
    row("", "v1", "Endpoints", {
      subsets: [
        { addresses: ["1", "2"].map((end) => ({ ip: `127.93.0.${end}` })), ports: [{ port: 8012 }, { port: 9090 }] },
      ],
    }),
    { Name: "x", Endpoints: "127.93.0.1:8012,127.93.0.2:8012,127.93.0.1:9090 + 1 more...", Age: "24h" },
  );
  t.same(
    row("", "v1", "Event", {
      type: "Warning",
      reason: "Failed",
      message: " no image\n",
      involvedObject: { kind: "Pod", name: "p" },
      lastTimestamp: "2024-01-01T23:58:00Z",
      count: 3,
      source: { component: "kubelet" },
    }),
    {
      "Last Seen": "2m",
      Type: "Warning",
      Reason: "Failed",
      Object: "pod/p",
      Subobject: "",
      Source: "kubelet",
      Message: "no image",
      "First Seen": "24h",
      Count: 3,
      Name: "x",
    },
  );
  t.same(
    row("", "v1", "Node", {
      metadata: { name: "local", labels: { "node-role.kubernetes.io/control-plane": "" } },
      status: { conditions: [{ type: "Ready", status: "True" }], nodeInfo: { kubeletVersion: "v1" } },
    })["Roles"],
    "control-plane",
  );
  t.same(row("coordination.k8s.io", "v1", "Lease", { spec: { holderIdentity: "me" } }), {
    Name: "x",
    Holder: "me",
    Age: "24h",
  });
  t.same(row("", "v1", "ConfigMap", { data: { a: "" }, binaryData: { b: "" } }), { Name: "x", Data: 2, Age: "24h" });
  t.end();
});

test("durations in the two units that matter", (t) => {
  const s = 1000;
  const m = 60 * s;
  const h = 60 * m;
  const d = 24 * h;
  const cases: [number, string][] = [
    [-5 * s, "<invalid>"],
    [-s, "0s"],
    [119 * s, "119s"],
    [2 * m, "2m"],
    [3 * m + 20 * s, "3m20s"],
    [12 * m + 20 * s, "12m"],
    [179 * m, "179m"],
    [3 * h, "3h"],
    [7 * h + 30 * m, "7h30m"],
    [47 * h, "47h"],
    [2 * d, "2d"],
    [3 * d + 4 * h, "3d4h"],
    [9 * d + 4 * h, "9d"],
    [800 * d, "2y70d"],
    [9 * 365 * d, "9y"],
  ];
  for (const [duration, want] of cases) t.equal(shortDuration(duration), want);
  t.end();
});
