import { test } from "tap";
import { revisionScaling } from "../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../api/autoscaling-config.ts";
import { silentLogger } from "../process/logger.ts";
import { PodState, type Load } from "../proto/gen/stats.ts";
import { replay } from "./explain/what-if.ts";
import type { DecisionRecord } from "./decision-log.ts";
import { MultiScaler, type ScaledRevision } from "./multi-scaler.ts";
import { RevisionStats, type ActivatorFeed, type PodFeed } from "./revision-stats.ts";

const key = "default/hello-00001";
const t0 = 1_700_000_000_000;

/** One revision on a clock that only moves when told to. */
class Scene {
  nowMs = t0;
  readonly decided: number[] = [];
  readonly stats: RevisionStats;
  readonly scaler: MultiScaler;
  readonly activator: ActivatorFeed;
  readonly #timers = new Set<{ atMs: number; call: () => void }>();
  readonly #pods: { feed: PodFeed; inFlight: number; requestSeconds: number; arrivals: number; atMs: number }[] = [];
  readonly #held = { inFlight: 0, requestSeconds: 0, arrivals: 0, atMs: t0 };

  constructor(revision: Partial<ScaledRevision> & { annotations?: Record<string, string> } = {}) {
    const nowMs = () => this.nowMs;
    this.stats = new RevisionStats({
      settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
      events: { onLoad: (of) => this.scaler.onLoad(of), onPods: (of) => this.scaler.onPods(of) },
      nowMs,
    });
    this.scaler = new MultiScaler({
      stats: this.stats,
      readyPods: (of) => this.stats.pods(of).filter(({ state }) => state === PodState.READY).length,
      onDecision: () => this.decided.push(this.desired),
      nowMs,
      after: (ms, call) => {
        const timer = { atMs: this.nowMs + ms, call };
        this.#timers.add(timer);
        return () => this.#timers.delete(timer);
      },
      log: silentLogger,
    });
    this.activator = this.stats.openActivator({ name: "activator-1", epoch: 1 }, { tell: () => Promise.resolve() });
    const annotations = Object.fromEntries(
      Object.entries(revision.annotations ?? {}).map(([name, value]) => [
        name === "scaling-mode" ? "swell.dev/scaling-mode" : `autoscaling.knative.dev/${name}`,
        value,
      ]),
    );
    this.scaler.ensure(key, {
      scaling: revisionScaling(annotations, parseAutoscalerConfig({}), 10),
      reachable: true,
      replicas: 0,
      foundRunning: false,
      eventEvaluations: true,
      ...revision,
    });
  }

  get desired(): number {
    return this.scaler.get(key)!.desiredPods;
  }

  /** Time passes; timers fire when they are due, and every pod reports each second. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    for (;;) {
      const next = [...this.#timers].filter(({ atMs }) => atMs <= endMs).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.call();
    }
    this.nowMs = endMs;
  }

  hold(inFlight: number): void {
    this.activator.load(key, this.#report(this.#held, inFlight));
  }

  podReady(): void {
    const pod = { inFlight: 0, requestSeconds: 0, arrivals: 0, atMs: this.nowMs };
    const name = `pod-${this.#pods.length}`;
    const feed = this.stats.openPod(key, { name, ip: "10.0.0.1", port: 8012, epoch: 1 });
    this.#pods.push({ ...pod, feed });
    feed.report(PodState.READY, this.#report(pod, 0));
  }

  /** Requests straight to the first pod. */
  serve(inFlight: number): void {
    const pod = this.#pods[0]!;
    pod.feed.report(PodState.READY, this.#report(pod, inFlight));
  }

  podGone(): void {
    this.#pods.pop()!.feed.close();
  }

  #report(of: { inFlight: number; requestSeconds: number; arrivals: number; atMs: number }, inFlight: number): Load {
    of.requestSeconds += (of.inFlight * (this.nowMs - of.atMs)) / 1000;
    of.arrivals += Math.max(0, inFlight - of.inFlight);
    of.inFlight = inFlight;
    of.atMs = this.nowMs;
    const { requestSeconds, arrivals } = of;
    const clockMs = this.nowMs - t0;
    return {
      clockMs,
      requestSeconds,
      arrivals,
      inFlight,
      proxiedRequestSeconds: 0,
      proxiedArrivals: 0,
      proxiedInFlight: 0,
    };
  }
}

test("a hundred requests on a revision at zero ask for the right number at once", (t) => {
  const scene = new Scene();
  scene.pass(10_000);
  t.equal(scene.desired, -1, "nothing was decided");
  t.equal(scene.scaler.counts.ticking, 0, "and nothing ticks");
  scene.hold(100);
  t.same(scene.decided, [15], "ceil(100 / 7)");
  scene.pass(2000);
  t.equal(scene.desired, 15, "and the next tick agrees");
  t.end();
});

test("requests that come in quick succession are a few decisions", (t) => {
  const scene = new Scene();
  scene.pass(1000);
  for (let inFlight = 1; inFlight <= 100; inFlight++) {
    scene.hold(inFlight);
    scene.pass(1);
  }
  t.equal(scene.desired, 15);
  t.ok(scene.scaler.evaluations < 15, `${scene.scaler.evaluations} evaluations`);
  t.end();
});

test("a burst on a revision at zero that is told in parts is decided whole a moment after its last part", (t) => {
  const scene = new Scene();
  scene.pass(1000);
  scene.hold(1);
  t.same(scene.decided, [1], "nobody waits for what may come");
  scene.pass(3);
  scene.hold(69);
  scene.pass(4);
  scene.hold(100);
  scene.pass(3);
  t.same(scene.decided, [1, 15], "one decision for both, with the queue as it is then");
  t.end();
});

test("a step that rises over some time counts whole a tenth of a second after its last rise", (t) => {
  const scene = new Scene({ replicas: 1 });
  scene.podReady();
  scene.pass(10_500);
  scene.serve(5);
  scene.pass(500);
  for (const inFlight of [20, 36, 50]) {
    scene.serve(inFlight);
    scene.pass(20);
  }
  scene.pass(79);
  t.equal(scene.desired, 3, "the part that was held for long enough: ceil(20 / 7)");
  scene.pass(1);
  t.equal(scene.desired, 8, "ceil(50 / 7)");
  t.equal(scene.scaler.decisions(key)!.at(-1)!.reactionMs, 140, "since the first part");
  t.end();
});

test("a decision that asks for more says how long that took", (t) => {
  const scene = new Scene({ replicas: 1 });
  scene.podReady();
  scene.pass(10_500);
  scene.serve(1);
  scene.pass(500);
  scene.serve(50);
  scene.pass(150);
  const reactions = (): (number | undefined)[] => scene.scaler.decisions(key)!.map(({ reactionMs }) => reactionMs);
  t.equal(reactions().at(-1), 100);
  scene.serve(1);
  scene.pass(70_000);
  t.equal(scene.scaler.decisions(key)!.at(-1)!.reactionMs, undefined, "others say nothing");
  t.end();
});

test("a burst on running pods counts once it was held for a tenth of a second", (t) => {
  const scene = new Scene({ replicas: 1 });
  scene.podReady();
  scene.pass(10_500);
  scene.serve(1);
  scene.pass(500);
  scene.serve(70);
  scene.pass(50);
  t.equal(scene.desired, 1, "not yet");
  scene.pass(60);
  t.equal(scene.desired, 10, "ceil(70 / 7)");
  t.end();
});

test("a peak that is over sooner counts for nothing", (t) => {
  const scene = new Scene({ replicas: 1 });
  scene.podReady();
  scene.pass(10_500);
  scene.serve(1);
  scene.pass(500);
  scene.serve(70);
  scene.pass(50);
  scene.serve(1);
  scene.pass(500);
  t.equal(scene.desired, 1);
  t.end();
});

test("events never shrink a revision", (t) => {
  const scene = new Scene({ replicas: 4, foundRunning: false });
  for (let pod = 0; pod < 4; pod++) scene.podReady();
  scene.serve(28);
  scene.pass(70_000);
  t.equal(scene.desired, 4);
  scene.serve(1);
  scene.pass(1);
  scene.podGone();
  scene.podGone();
  scene.podGone();
  t.equal(scene.desired, 4, "however many pods are gone");
  t.end();
});

test("an idle revision is let go, and then costs nothing", (t) => {
  const scene = new Scene({ replicas: 1 });
  scene.podReady();
  scene.serve(3);
  scene.pass(5000);
  scene.serve(0);
  scene.pass(70_000);
  t.equal(scene.desired, 0);
  scene.podGone();
  scene.pass(4000);
  t.equal(scene.scaler.counts.ticking, 0);
  const { evaluations } = scene.scaler;
  scene.pass(600_000);
  t.equal(scene.scaler.evaluations, evaluations);
  scene.hold(1);
  t.equal(scene.desired, 1, "the next request is answered with a pod at once");
  t.end();
});

test("a revision about to go stays when a request comes to its last pod", (t) => {
  const scene = new Scene({ replicas: 1 });
  scene.podReady();
  scene.pass(65_000);
  t.equal(scene.desired, 0);
  scene.serve(30);
  t.equal(scene.desired, 1, "at once, for one pod");
  t.end();
});

test("what was running when we came is kept for a stable window", (t) => {
  const scene = new Scene({ replicas: 1, foundRunning: true });
  scene.podReady();
  scene.pass(59_000);
  t.equal(scene.desired, 1);
  scene.pass(10_000);
  t.equal(scene.desired, 0);
  t.end();
});

test("without reports the last decision stays", (t) => {
  const scene = new Scene({ replicas: 3, foundRunning: true });
  scene.activator.close();
  scene.pass(300_000);
  t.equal(scene.desired, -1);
  t.end();
});

test("with event evaluations off only the first request of an idle revision is an event", (t) => {
  const scene = new Scene({ replicas: 1, eventEvaluations: false });
  scene.podReady();
  scene.pass(65_000);
  t.equal(scene.desired, 0);
  scene.podGone();
  scene.pass(4000);
  scene.hold(100);
  t.equal(scene.desired, 1, "and it counts for one");
  const { evaluations } = scene.scaler;
  scene.pass(5);
  scene.hold(150);
  scene.pass(50);
  t.equal(scene.desired, 1, "however it grows before the tick");
  t.equal(scene.scaler.evaluations, evaluations, "which nothing comes before");
  scene.pass(3500);
  t.ok(scene.desired > 1, "the rest comes with the ticks");
  t.end();
});

test("decisions can be looked at afterwards", (t) => {
  const scene = new Scene();
  scene.pass(5000);
  scene.hold(20);
  const record = scene.scaler.decisions(key)!.at(-1)!;
  t.match(record, {
    cause: "load",
    desiredPods: 3,
    inputs: { held: 20, readyPods: 0, target: 7 },
    terms: { panicPods: 3 },
  });
  t.end();
});

test("what was recorded, asked again, gives the same decision", (t) => {
  for (const mode of ["exact", "smooth"]) {
    const scene = new Scene({ annotations: { window: "20s", "scale-down-delay": "4s", "scaling-mode": mode } });
    for (const [inFlight, passMs] of [
      [100, 2500],
      [7, 5000],
      [260, 900],
      [3, 30_000],
      [0, 40_000],
    ] as const) {
      scene.hold(inFlight);
      if (inFlight === 100) scene.podReady();
      scene.pass(passMs);
    }
    // As a client has it.
    const records = JSON.parse(JSON.stringify(scene.scaler.decisions(key))) as DecisionRecord[];
    t.ok(records.length > 5, `${records.length} records`);
    for (const record of records) {
      const again = replay(record);
      t.equal(record.given?.mode ?? mode, mode);
      t.equal(again?.desiredPods, record.decidedPods, `${mode}: ${record.cause}, ${record.times} times`);
      t.same(again?.terms, record.terms, "and for the same reasons");
    }
  }
  t.end();
});
