import { test } from "tap";
import type { ContainerState, ContainerStatus, Pod } from "../../api/core.ts";
import { formatDelay, restartDelayMs } from "./crash-back-off.ts";
import { podPhase, podStatus, restarts } from "./pod-status.ts";
import { allocatable, unschedulable } from "./scheduling.ts";
import { listeningProblem } from "./app-listening.ts";
import { containerPast } from "./pod-worker.ts";

const pod = (spec: Partial<Pod["spec"]> = {}, status?: Pod["status"]): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "default", uid: "u" },
  spec: { containers: [{ name: "main" }], ...spec },
  ...(status === undefined ? {} : { status }),
});
const container = (state: ContainerState, more: Partial<ContainerStatus> = {}): ContainerStatus => ({
  name: "main",
  image: "dev.local/app",
  imageID: "",
  ready: false,
  restartCount: 0,
  state,
  ...more,
});
const waiting: ContainerState = { waiting: { reason: "ContainerCreating" } };
const running: ContainerState = { running: { startedAt: "2026-01-01T00:00:00Z" } };
const ended = (exitCode: number): ContainerState => ({ terminated: { exitCode } });

test("phases", (t) => {
  const rows: { name: string; policy?: string; init?: ContainerState[]; main: ContainerState[]; want: string }[] = [
    { name: "pending while one was never started", main: [running, waiting], want: "Pending" },
    { name: "pending while init containers run", init: [running], main: [waiting], want: "Pending" },
    { name: "running", init: [ended(0)], main: [running], want: "Running" },
    { name: "running between restarts", main: [ended(1)], want: "Running" },
    { name: "succeeded", policy: "OnFailure", main: [ended(0), ended(0)], want: "Succeeded" },
    { name: "still running when a failure is tried again", policy: "OnFailure", main: [ended(1)], want: "Running" },
    { name: "failed", policy: "Never", main: [ended(0), ended(1)], want: "Failed" },
    { name: "failed by an init container", policy: "Never", init: [ended(1)], main: [waiting], want: "Failed" },
  ];
  for (const { name, policy, init = [], main, want } of rows)
    t.equal(
      podPhase(
        pod(policy === undefined ? {} : { restartPolicy: policy }),
        main.map((state) => container(state)),
        init.map((state) => container(state)),
      ),
      want,
      name,
    );
  t.end();
});

test("conditions say which containers are not ready, and keep the time of their last change", (t) => {
  const view = { podIP: "127.93.0.1", hostIP: "127.0.0.1", startedMs: 0, initContainers: [] };
  const first = podStatus({
    ...view,
    pod: pod(),
    containers: [container(running)],
    nowMs: 1000,
    listeningProblem: "deaf",
  });
  const find = (type: string, status = first) => status.conditions?.find((candidate) => candidate.type === type);
  t.match(find("Ready"), {
    status: "False",
    reason: "ContainersNotReady",
    message: "containers with unready status: [main]",
    lastTransitionTime: "1970-01-01T00:00:01Z",
  });
  t.match(find("swell.dev/AppListening"), { status: "False", message: "deaf" });
  const second = podStatus({
    ...view,
    pod: pod({}, first),
    containers: [container(running, { ready: true })],
    nowMs: 9000,
  });
  t.match(find("Ready", second), { status: "True", lastTransitionTime: "1970-01-01T00:00:09Z" });
  t.match(find("PodScheduled", second), { status: "True", lastTransitionTime: "1970-01-01T00:00:01Z" });
  t.equal(find("swell.dev/AppListening", second), undefined);
  t.end();
});

test("restarts follow the policy and back off", (t) => {
  t.same(
    [restarts(undefined, 0), restarts("OnFailure", 0), restarts("OnFailure", 1), restarts("Never", 1)],
    [true, false, true, false],
  );
  const delays: number[] = [];
  let delay: number | undefined;
  for (let crash = 0; crash < 8; crash++) delays.push((delay = restartDelayMs(delay, 1000)) / 1000);
  t.same(delays, [0, 10, 20, 40, 80, 160, 300, 300]);
  t.equal(restartDelayMs(300_000, 600_000), 0, "ten good minutes are forgiven");
  t.equal(formatDelay(160_000), "2m40s");
  t.end();
});

test("what does not fit is said in the scheduler's words", (t) => {
  const free = { cpuMillis: 1000, memoryBytes: 1024 ** 3, pods: 1 };
  const asking = (requests: Record<string, string>): Pod =>
    pod({ containers: [{ name: "main", resources: { requests } }] });
  const rows: { pod: Pod; want: string | undefined }[] = [
    { pod: asking({ cpu: "1", memory: "1Gi" }), want: undefined },
    { pod: asking({ cpu: "1001m" }), want: "0/1 nodes are available: 1 Insufficient cpu." },
    {
      pod: asking({ cpu: "2", memory: "2Gi" }),
      want: "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory.",
    },
    {
      pod: pod({ nodeSelector: { disk: "ssd" } }),
      want: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    },
  ];
  for (const row of rows) t.equal(unschedulable(row.pod, free, {}), row.want, row.want ?? "it fits");
  const small = allocatable({ cores: 2, memoryBytes: 1024 ** 3 });
  t.ok(small.cpuMillis >= 100 * 25 + 4 * 300, "a hundred small pods fit on a laptop");
  t.end();
});

test("where an app listens", (t) => {
  t.equal(listeningProblem("app", 8080, [3000, 8080]), undefined);
  t.equal(
    listeningProblem("user-container", 43121, [3000]),
    "container user-container listens on port 3000, not on $PORT (PORT=43121 here); make it listen on $PORT",
  );
  t.equal(listeningProblem("user-container", 43121, []), "container user-container runs but does not listen on $PORT");
  t.end();
});

test("what a container went through before the node came back", (t) => {
  const stored = (status: ContainerStatus): Pod => pod({}, { containerStatuses: [status] });
  const rows: { name: string; pod: Pod; wasKilled: boolean; want: object }[] = [
    { name: "never seen", pod: pod(), wasKilled: false, want: { restartCount: 0 } },
    { name: "never started", pod: stored(container(waiting)), wasKilled: false, want: { restartCount: 0 } },
    {
      name: "ended with the node in good order",
      pod: stored(container(running, { restartCount: 2 })),
      wasKilled: false,
      want: { restartCount: 3 },
    },
    {
      name: "killed",
      pod: stored(container(running)),
      wasKilled: true,
      want: { restartCount: 1, lastState: { terminated: { exitCode: 137, reason: "Unknown" } } },
    },
    {
      name: "done",
      pod: stored(container(ended(3))),
      wasKilled: false,
      want: { restartCount: 1, lastState: ended(3) },
    },
  ];
  for (const row of rows) t.match(containerPast(row.pod, "main", row.wasKilled, 0), row.want, row.name);
  t.end();
});
