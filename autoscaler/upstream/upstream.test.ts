import { test } from "tap";
import type { Metric } from "../../api/autoscaling.ts";
import type { Pod } from "../../api/core.ts";
import { RevisionStats } from "../revision-stats.ts";
import { targetOf } from "./upstream.ts";

const t0 = 1_700_000_000_000;
const key = "ns/rev";
const settings = (panicWindowMs = 5000) => ({ stableWindowMs: 60_000, panicWindowMs, aggregation: "linear" as const });

function scene() {
  let nowMs = t0;
  const stats = new RevisionStats({
    settings: settings(),
    events: { onLoad: () => undefined, onPods: () => undefined },
    nowMs: () => nowMs,
  });
  return { stats, at: (ms: number) => (nowMs = t0 + ms) };
}

/** Knative's own vectors of a window of five seconds (autoscaling 2.5): seconds, the value that comes, the average. */
const vectors: [number, number | undefined, number][] = [
  [0, 10, 10],
  [1, 20, 15],
  [1.5, 4, 17],
  [4, 6, 8],
  [5, undefined, 7.5],
  [6, undefined, 2],
  [8, undefined, 6],
  [9, undefined, 0],
  [20, 7, 7],
  [21, 8, 7.5],
];
test("averages by the second come out as they do in Knative's windows", (t) => {
  const { stats, at } = scene();
  const collection = stats.keep(key, settings());
  for (const [second, value, average] of vectors) {
    const now = at(second * 1000);
    if (value !== undefined) stats.recordSecond(key, { concurrency: value, requests: value }, now);
    t.equal(collection.averages("concurrency", now).panic, average, `concurrency at ${second} s`);
    t.equal(collection.averages("rps", now).panic, average, `requests at ${second} s`);
  }
  t.end();
});

test("a late value counts in its own second", (t) => {
  const { stats, at } = scene();
  const collection = stats.keep(key, settings());
  for (const [second, value] of [
    [0, 10],
    [1, 24],
    [4, 6],
  ] as const)
    stats.recordSecond(key, { concurrency: value, requests: 0 }, at(second * 1000));
  stats.recordSecond(key, { concurrency: 100, requests: 0 }, t0 + 3000);
  t.equal(collection.averages("concurrency", at(4000)).panic, 28);
  t.end();
});

test("a revision that nobody scales here takes nothing", (t) => {
  const { stats } = scene();
  t.equal(stats.recordSecond(key, { concurrency: 1, requests: 1 }, t0), false);
  t.equal(stats.size, 0);
  t.end();
});

test("pods that were asked are known for a while", (t) => {
  const { stats, at } = scene();
  stats.keep(key, settings());
  stats.recordSecond(key, { concurrency: 1, requests: 1 }, t0, { pods: 3 });
  at(4900);
  t.equal(stats.knownPods(key), 3);
  at(5000);
  t.equal(stats.knownPods(key), 0);
  t.end();
});

const pod = (name: string, change: object = {}, metadata: object = {}): Pod =>
  ({
    metadata: { name, namespace: "ns", ...metadata },
    spec: { containers: [] },
    status: {
      phase: "Running",
      podIP: "10.0.0.1",
      startTime: new Date(t0).toISOString(),
      conditions: [{ type: "Ready", status: "True" }],
      ...change,
    },
  }) as unknown as Pod;

function target(pods: Pod[], { scrapeTarget = "rev-private", keep = true, streams = [] as string[] } = {}) {
  const { stats } = scene();
  if (keep) stats.keep(key, settings());
  for (const name of streams) stats.openPod(key, { name, ip: "10.0.0.9", port: 8012, epoch: 1 });
  const metric = { metadata: {}, spec: { stableWindow: 60e9, panicWindow: 6e9, scrapeTarget } } as Metric;
  return targetOf(key, { stats, podsOf: () => pods, metrics: { get: () => metric, list: () => [metric] } as never });
}

test("ready pods without a stream are asked", (t) => {
  t.strictSame(target([pod("a"), pod("streams")], { streams: ["streams"] }), {
    pods: [{ name: "a", ip: "10.0.0.1", startedMs: t0 }],
    namespace: "ns",
    service: "rev-private",
    stableWindowMs: 60_000,
  });
  t.end();
});

const nobody: [string, Parameters<typeof target>][] = [
  ["all pods stream", [[pod("a")], { streams: ["a"] }]],
  ["the pod is not ready", [[pod("a", { conditions: [{ type: "Ready", status: "False" }] })]]],
  ["the pod has no address", [[pod("a", { podIP: "" })]]],
  ["the pod ends", [[pod("a", {}, { deletionTimestamp: "2024-01-01T00:00:00Z" })]]],
  ["the pod has ended", [[pod("a", { phase: "Succeeded" })]]],
  ["every request passes an activator", [[pod("a")], { scrapeTarget: "" }]],
  ["another autoscaler decides", [[pod("a")], { keep: false }]],
];
for (const [name, given] of nobody)
  test(`nobody is asked when ${name}`, (t) => {
    t.equal(target(...given), undefined);
    t.end();
  });
