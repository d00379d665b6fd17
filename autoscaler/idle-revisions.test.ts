/** What revisions at zero cost: counted, not timed. */
import { test } from "tap";
import { revisionScaling } from "../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../api/autoscaling-config.ts";
import { silentLogger } from "../process/logger.ts";
import { PodState, type Load } from "../proto/gen/stats.ts";
import { MultiScaler, tickMs } from "./multi-scaler.ts";
import { RevisionStats } from "./revision-stats.ts";

const t0 = 1_700_000_000_000;
const atZero = 10_000;
const load: Load = {
  clockMs: 0,
  requestSeconds: 0,
  proxiedRequestSeconds: 0,
  arrivals: 3,
  proxiedArrivals: 0,
  inFlight: 3,
  proxiedInFlight: 0,
};

function scene(revisionsAtZero: number) {
  let nowMs = t0;
  const timers = new Set<{ atMs: number; call: () => void }>();
  const work = { timers: 0, evaluations: 0, podCounts: 0, decisions: 0 };
  const stats: RevisionStats = new RevisionStats({
    settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
    events: { onLoad: (key) => scaler.onLoad(key), onPods: (key) => scaler.onPods(key) },
    nowMs: () => nowMs,
  });
  const scaler = new MultiScaler({
    stats,
    readyPods(key) {
      work.podCounts += 1;
      return stats.pods(key).length;
    },
    onDecision: () => (work.decisions += 1),
    nowMs: () => nowMs,
    after(ms, call) {
      work.timers += 1;
      const timer = { atMs: nowMs + ms, call };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    log: silentLogger,
  });
  const activator = stats.openActivator({ name: "activator-1", epoch: 1 }, { tell: () => Promise.resolve() });
  const config = parseAutoscalerConfig({});
  const ensure = (key: string, replicas: number): void =>
    void scaler.ensure(key, {
      scaling: revisionScaling({}, config, 10),
      reachable: true,
      replicas,
      foundRunning: false,
      eventEvaluations: true,
    });
  for (let revision = 0; revision < revisionsAtZero; revision++) ensure(`default/idle-${revision}`, 0);
  ensure("default/active", 1);
  const pod = stats.openPod("default/active", { name: "pod-1", ip: "10.0.0.1", port: 8012, epoch: 1 });
  pod.report(PodState.READY, load);
  const pass = (ms: number): void => {
    for (const endMs = nowMs + ms; ;) {
      let next: { atMs: number; call: () => void } | undefined;
      for (const timer of timers) if (timer.atMs <= endMs && timer.atMs < (next?.atMs ?? Infinity)) next = timer;
      if (next === undefined) {
        nowMs = endMs;
        return;
      }
      timers.delete(next);
      nowMs = next.atMs;
      next.call();
    }
  };
  return {
    scaler,
    activator,
    pass,
    /** What `ticks` ticks cost. */
    workOf(ticks: number) {
      const before = { ...work, evaluations: scaler.evaluations };
      pass(ticks * tickMs);
      const { timers: timersNow, podCounts, decisions } = work;
      return {
        timers: timersNow - before.timers,
        evaluations: scaler.evaluations - before.evaluations,
        podCounts: podCounts - before.podCounts,
        decisions: decisions - before.decisions,
      };
    },
  };
}

test("ten thousand revisions at zero cost no work per tick", (t) => {
  const s = scene(atZero);
  s.pass(2 * tickMs);
  t.same(s.scaler.counts, { deciders: atZero + 1, ticking: 1 });
  const alone = scene(0);
  alone.pass(2 * tickMs);
  const work = s.workOf(10);
  t.same(work, alone.workOf(10), "as much as the one active revision costs alone");
  t.equal(work.evaluations, 10, "which is one look each tick");
  t.end();
});

test("one of them that is called is looked at, and only while it is not idle again", (t) => {
  const s = scene(atZero);
  s.pass(2 * tickMs);
  const key = "default/idle-7";
  s.activator.load(key, load);
  t.equal(s.scaler.get(key)?.desiredPods, 1, "at once");
  t.equal(s.scaler.counts.ticking, 2);
  s.activator.load(key, { ...load, clockMs: 100, requestSeconds: 0.3, inFlight: 0 });
  s.pass(90_000);
  t.equal(s.scaler.get(key)?.desiredPods, 0);
  t.equal(s.scaler.counts.ticking, 1);
  t.end();
});
