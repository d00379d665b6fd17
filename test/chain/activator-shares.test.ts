/** Two activators, the real stats server and pods of one place each: places follow whoever has requests. */
import { test, type Test } from "tap";
import {
  fakePod,
  paths,
  ready,
  request,
  revision,
  setUp,
  tokenKey,
  until,
  type Answer,
} from "../../activator/fixture.ts";
import type { KubeObject } from "../../api/meta.ts";
import { RevisionStats } from "../../autoscaler/revision-stats.ts";
import { createStatsServer } from "../../autoscaler/stats-server.ts";
import { FakeApiServer } from "../../kube/fake-api-server.ts";
import { silentLogger } from "../../process/logger.ts";
import { Breaker } from "../../proxy/breaker.ts";

/** As a queue-proxy with a container concurrency of 1: one request runs, others wait at the pod. */
async function limitedPod(t: Test) {
  const breaker = new Breaker({ queueDepth: 10, maxConcurrency: 1 });
  const pod = { port: 0, running: 0, mostRunning: 0, finish: (): void => undefined, breaker };
  const { port } = await fakePod(t, "p", async () => {
    await breaker.acquire(new AbortController().signal);
    pod.running += 1;
    pod.mostRunning = Math.max(pod.mostRunning, pod.running);
    await new Promise<void>((resolve) => (pod.finish = resolve));
    pod.running -= 1;
    breaker.release();
  });
  pod.port = port;
  return pod;
}

async function scene(t: Test, podCount: number) {
  const stats = new RevisionStats({
    settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
    events: { onLoad: () => undefined, onPods: () => undefined },
    nowMs: Date.now,
  });
  const server = createStatsServer({ stats, key: () => tokenKey, leading: () => true, log: silentLogger });
  const port = await server.listen("127.0.0.1", 0);
  const api = new FakeApiServer();
  await api.start();
  t.teardown(async () => {
    await server.close();
    await api.stop();
  });
  const pods = await Promise.all(Array.from({ length: podCount }, () => limitedPod(t)));
  const endpoints = {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { name: "one", namespace: "ns", labels: { "networking.internal.knative.dev/serviceType": "Public" } },
    subsets: [{ addresses: [{ ip: "10.0.0.1" }, { ip: "10.0.0.2" }], ports: [{ name: "http", port: 8012 }] }],
  } as KubeObject;
  const objects: [string, KubeObject][] = [
    [paths.revisions, revision("one", { containerConcurrency: 1 })],
    [paths.endpoints, ready("one", ...pods.map(({ port }) => port))],
    [paths.endpoints, endpoints],
  ];
  const activator = async (name: string, ip: string) => {
    const { activator, entry, stop, running } = await setUp(t, objects, {
      api,
      env: { POD_NAME: name, POD_IP: ip, SWELL_AUTOSCALER_ADDRESS: `127.0.0.1:${port}` },
    });
    const headers = { host: "x", "Knative-Serving-Revision": "one", "Knative-Serving-Namespace": "ns" };
    const send = (count: number): Promise<Answer>[] =>
      Array.from({ length: count }, () => request(activator, headers, "/", {}));
    return { send, throttler: entry("one").throttler, stop, running };
  };
  const a = await activator("activator-a", "10.0.0.1");
  const b = await activator("activator-b", "10.0.0.2");
  await until(() => stats.activators === 2);
  return { a, b, pods, stats, server };
}

test("the only activator with requests has every pod, and shares as soon as another has some", async (t) => {
  const { a, b, pods } = await scene(t, 4);
  const running = (): number => pods.reduce((sum, pod) => sum + pod.running, 0);
  const ofA = a.send(10);
  await until(() => running() === 4);
  t.pass("no pod is idle, though the other activator is listed too");

  const ofB = b.send(10);
  await until(() => a.throttler.pods.length === 2 && b.throttler.pods.length === 2);
  const addresses = [...a.throttler.pods, ...b.throttler.pods].map(({ address }) => address);
  t.equal(new Set(addresses).size, 4, "each pod is one activator's");

  const progress = { a: 0, b: 0 };
  for (const each of ofA) void each.then(() => (progress.a += 1));
  for (const each of ofB) void each.then(() => (progress.b += 1));
  for (let want = 1; want <= 20; want += 1) {
    await until(() => running() > 0);
    const busy = pods.find((pod) => pod.running > 0)!;
    busy.finish();
    await until(() => progress.a + progress.b >= want);
    // The pods take turns in ending.
    pods.push(...pods.splice(0, pods.indexOf(busy) + 1));
  }
  t.strictSame(progress, { a: 10, b: 10 });
  t.ok((await Promise.all([...ofA, ...ofB])).every(({ status }) => status === 200));
  t.ok(
    pods.every(({ mostRunning }) => mostRunning === 1),
    "no pod ran two at once",
  );

  const more = b.send(4);
  await until(() => running() === 4);
  t.pass("who has requests has every pod again");
  for (const pod of pods) pod.finish();
  await Promise.all(more);
});

test("when the other activator ends, its pods are taken over at once", async (t) => {
  const { a, b, pods } = await scene(t, 2);
  const answers = [...a.send(1), ...b.send(1)];
  await until(() => a.throttler.pods.length === 1 && b.throttler.pods.length === 1);
  for (let left = 2; left > 0; left -= 1) {
    await until(() => pods.some(({ running }) => running > 0));
    pods.find(({ running }) => running > 0)!.finish();
    await until(() => a.throttler.active + b.throttler.active < left);
  }
  await Promise.all(answers);
  const held = a.send(3);
  b.stop.abort();
  await b.running.finished;
  await until(() => a.throttler.pods.length === 2);
  for (let done = 0; done < 3; done += 1) {
    await until(() => pods.some(({ running }) => running > 0));
    pods.find(({ running }) => running > 0)!.finish();
    await until(() => a.throttler.active + a.throttler.waiting < 3 - done);
  }
  t.ok((await Promise.all(held)).every(({ status }) => status === 200));
});

test("without an autoscaler's word the listed activators split the pods, and nobody waits for ever", async (t) => {
  const { a, b, pods, server } = await scene(t, 2);
  const first = a.send(2);
  await until(() => a.throttler.pods.length === 2);
  await server.close();
  await until(() => a.throttler.pods.length === 1 && b.throttler.pods.length === 1);
  const second = b.send(1);
  const answers = [...first, ...second];
  const progress = { answered: 0 };
  for (const each of answers) void each.then(() => (progress.answered += 1));
  for (let want = 1; want <= 3; want += 1) {
    await until(() => pods.some(({ running }) => running > 0));
    pods.find(({ running }) => running > 0)!.finish();
    await until(() => progress.answered >= want);
  }
  t.ok((await Promise.all(answers)).every(({ status }) => status === 200));
});
