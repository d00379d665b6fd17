import { test } from "tap";
import { revisionScaling } from "../../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import { silentLogger } from "../../process/logger.ts";
import { Stat, WireStatMessages } from "../../proto/gen/upstream-stat.ts";
import { MultiScaler } from "../multi-scaler.ts";
import { RevisionStats } from "../revision-stats.ts";
import { Reporter } from "./reporter.ts";

const key = "default/hello-00001";
const t0 = 1_700_000_000_000;

/** A revision without streams: pods that are asked, and one of Knative's activators. Target 10. */
function scene({ burstCapacity = "211", eventEvaluations = true } = {}) {
  let nowMs = t0;
  let readyPods = 0;
  const timers = new Set<{ atMs: number; call: () => void }>();
  const stats = new RevisionStats({
    settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
    events: { onLoad: (of) => scaler.onLoad(of), onPods: () => undefined },
    nowMs: () => nowMs,
  });
  const scaler: MultiScaler = new MultiScaler({
    stats,
    readyPods: () => readyPods,
    onDecision: () => undefined,
    nowMs: () => nowMs,
    after(ms, call) {
      const timer = { atMs: nowMs + ms, call };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    log: silentLogger,
  });
  const annotations = {
    "autoscaling.knative.dev/target": "10",
    "autoscaling.knative.dev/target-utilization-percentage": "100",
    "autoscaling.knative.dev/target-burst-capacity": burstCapacity,
  };
  scaler.ensure(key, {
    scaling: revisionScaling(annotations, parseAutoscalerConfig({}), 0),
    reachable: true,
    replicas: 0,
    foundRunning: false,
    eventEvaluations,
  });
  const reporter = new Reporter({ stats, nowMs: () => nowMs, count: () => undefined });
  const run = (untilMs: number): void => {
    for (;;) {
      const next = [...timers].filter(({ atMs }) => atMs <= untilMs).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      timers.delete(next);
      nowMs = Math.max(nowMs, next.atMs);
      next.call();
    }
    nowMs = untilMs;
  };
  return {
    stats,
    desired: () => scaler.get(key)!.desiredPods,
    ticking: () => scaler.counts.ticking,
    pods: (ready: number): void => {
      readyPods = ready;
      scaler.onPods(key);
    },
    /** The pods answer once each second, for so many. */
    pass: (seconds: number, concurrency?: number): void => {
      for (let second = 0; second < seconds; second++) {
        run(nowMs + 1000);
        if (concurrency === undefined) continue;
        stats.recordSecond(key, { concurrency, requests: 0 }, nowMs, { pods: readyPods });
      }
    },
    activator: (concurrency: number): void => {
      const stat = { ...Stat.decode(Buffer.alloc(0)), podName: "a", averageConcurrentRequests: concurrency };
      const messages = [{ namespace: "default", name: "hello-00001", stat }];
      if (reporter.receive(WireStatMessages.encode({ messages }).finish())) stats.averagingActivators = 1;
    },
    expire: () => reporter.expire(),
  };
}

for (const eventEvaluations of [true, false])
  test(`the first message of an activator wakes a revision at zero at once, events ${eventEvaluations}`, (t) => {
    const { pass, desired, activator, ticking, pods } = scene({ eventEvaluations });
    pods(1);
    pass(4, 0);
    t.equal(desired(), 0);
    pods(0);
    pass(4);
    t.equal(ticking(), 0, "it costs nothing");
    activator(1);
    t.equal(desired(), 1);
    t.equal(ticking(), 1);
    t.end();
  });

test("a revision of which nothing is known yet is woken too", (t) => {
  const { desired, activator, pass } = scene();
  pass(1);
  t.equal(desired(), -1);
  activator(1);
  t.equal(desired(), 1);
  t.end();
});

test("the pods' answers are scaled on, up and down to zero", (t) => {
  const { pass, desired, pods } = scene();
  pods(1);
  pass(20, 30);
  t.equal(desired(), 3);
  pods(3);
  pass(70, 0);
  t.equal(desired(), 1, "no faster than by half");
  pods(1);
  pass(4, 0);
  t.equal(desired(), 0);
  t.end();
});

test("while pods do not answer none of them is given up", (t) => {
  const { pass, desired, pods } = scene();
  pods(3);
  pass(100, 25);
  t.equal(desired(), 3);
  pass(3, 0);
  pass(57);
  t.equal(desired(), 3, "nothing was all that was heard of for a while, and nobody knows of the rest");
  t.end();
});

test("a revision that is always proxied ends on the activators' word, though its pods are not asked", (t) => {
  const { pass, desired, pods, activator, expire } = scene({ burstCapacity: "-1" });
  activator(12);
  pods(2);
  pass(3);
  t.equal(desired(), 2);
  activator(0);
  pass(70);
  expire();
  pods(1);
  pass(4);
  t.equal(desired(), 0);
  t.end();
});

test("what was said to be in flight is forgotten when it is not said again", (t) => {
  const { pass, activator, expire, stats } = scene();
  activator(5);
  t.equal(stats.collection(key)?.inFlight, 5);
  pass(2);
  expire();
  t.equal(stats.collection(key)?.inFlight, 5);
  pass(1);
  expire();
  t.equal(stats.collection(key)?.inFlight, 0);
  t.end();
});
