import { test } from "tap";
import type { Deployment, Pod } from "../api/core.ts";
import { ApiError, type KubeClient } from "../kube/client.ts";
import { silentLogger } from "../process/logger.ts";
import { createScaler } from "./scaler.ts";

type Patched = Parameters<KubeClient["patch"]>;

/** A server that answers patches as told, and a clock that moves when it is told to. */
function setUp(answer: (...patched: Patched) => Promise<void> = () => Promise.resolve()) {
  const patches: Patched[] = [];
  const timers = new Map<() => void, number>();
  const client = {
    async patch(...patched: Patched) {
      patches.push(patched);
      await answer(...patched);
      return {};
    },
  } as unknown as KubeClient;
  const scaler = createScaler({
    client,
    log: silentLogger,
    nowMs: () => 0,
    after(ms, call) {
      timers.set(call, ms);
      return () => timers.delete(call);
    },
  });
  const pass = (ms: number): void => {
    for (const [call, atMs] of timers) if (atMs <= ms) call();
  };
  return { scaler, patches, pass, timers };
}

const deployment = { metadata: { name: "d", namespace: "n" }, spec: { replicas: 0 } } as Deployment;
const pod = (name: string): Pod => ({ metadata: { name, namespace: "n" } }) as Pod;

test("replicas are written to the scale of the Deployment, once for each copy of it", async (t) => {
  const { scaler, patches } = setUp();
  await scaler.write(deployment, 3);
  await scaler.write(deployment, 3);
  t.equal(patches.length, 1, "the informer has not brought the new one yet");
  t.match(patches[0], [
    { kind: "Deployment" },
    "d",
    "n",
    { is: "json", operations: [{ op: "add", path: "/spec/replicas", value: 3 }] },
    { subresource: "scale" },
  ]);
  await scaler.write(deployment, 4);
  await scaler.write({ ...deployment }, 4);
  t.equal(patches.length, 3, "another count, or another copy, is written");
});

test("a write that failed is made again", async (t) => {
  let fails = true;
  const { scaler, patches } = setUp(async () => {
    if (fails) throw new Error("refused");
  });
  await t.rejects(scaler.write(deployment, 3), { message: "refused" });
  fails = false;
  await scaler.write(deployment, 3);
  t.equal(patches.length, 2);
});

test("a deletion cost is an annotation of its pod", async (t) => {
  const { scaler, patches, timers } = setUp();
  await scaler.writeCosts([{ pod: pod("a"), cost: 3 }]);
  t.match(patches, [
    [
      { kind: "Pod" },
      "a",
      "n",
      { is: "merge", body: { metadata: { annotations: { "controller.kubernetes.io/pod-deletion-cost": "3" } } } },
    ],
  ]);
  t.equal(timers.size, 0, "and no timer is left");
});

test("deletion costs that fail, or whose pod is gone, are no failure of the scaling", async (t) => {
  const gone = new ApiError({ kind: "Status", apiVersion: "v1", code: 404, reason: "NotFound" } as never);
  const { scaler, patches } = setUp(async (_, name) => {
    throw name === "a" ? gone : new Error("refused");
  });
  await scaler.writeCosts([
    { pod: pod("a"), cost: 3 },
    { pod: pod("b"), cost: 3 },
  ]);
  t.equal(patches.length, 2);
});

test("a slow API server holds the scaling down for half a second at most", async (t) => {
  const { scaler, pass } = setUp(() => new Promise(() => undefined));
  let done = false;
  const writing = scaler.writeCosts([{ pod: pod("a"), cost: 3 }]).then(() => (done = true));
  pass(499);
  await Promise.resolve();
  t.notOk(done);
  pass(500);
  await writing;
  t.ok(done);
});
