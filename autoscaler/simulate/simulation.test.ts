import * as fc from "fast-check";
import { test } from "tap";
import { revisionScaling } from "../../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import { EventQueue } from "./event-queue.ts";
import { directionChanges, numbersOf } from "./numbers.ts";
import { PodSet } from "./pod-set.ts";
import { createRandom } from "./random.ts";
import { simulate, type Run, type SimulationOptions } from "./simulation.ts";
import { drawRuns } from "./svg.ts";
import { generate, generators, type Workload } from "./workload.ts";

const config = parseAutoscalerConfig({});

/** Arrivals in milliseconds, each of the same length. */
const workload = (arrivals: number[], serviceMs: number, durationMs: number): Workload => ({
  name: "given",
  durationMs,
  arrivalMs: Float64Array.from(arrivals),
  serviceMs: Float64Array.from(arrivals, () => serviceMs),
});

function run(traffic: Workload, more: Partial<SimulationOptions> & { annotations?: Record<string, string> } = {}): Run {
  const { annotations, containerConcurrency = 1 } = more;
  return simulate({
    scaling: revisionScaling(annotations, config, containerConcurrency),
    config,
    containerConcurrency,
    demand: { is: "requests", workload: traffic },
    startPods: 1,
    podStartMs: 1000,
    podStartSigma: 0,
    writeMs: 20,
    seed: 1,
    ...more,
  });
}

test("whoever waits longest goes first, as soon as a pod has room", (t) => {
  const bounded = { "autoscaling.knative.dev/max-scale": "1" };
  const { waitMs, unserved } = run(workload([100, 200, 300], 1000, 10_000), { annotations: bounded });
  t.same([...waitMs], [0, 900, 1800]);
  t.equal(unserved, 0);
  t.end();
});

test("a request at zero is a cold start and waits for the decision and the start of its pod", (t) => {
  const { waitMs, coldStarts, coldRequests } = run(workload([5000, 5300], 100, 20_000), {
    startPods: 0,
    containerConcurrency: 10,
  });
  t.same([...waitMs], [1020, 720], "20 ms to write, a second to start, and the second waits for the same pod");
  t.same(coldStarts, [5000]);
  t.equal(coldRequests, 2);
  t.end();
});

test("an idle revision goes to zero after its stable window and what is in the path of it", (t) => {
  const found = run(workload([100], 100, 120_000), { annotations: { "autoscaling.knative.dev/window": "20s" } });
  const zeroS = found.series.replicas.indexOf(0);
  // The window, at most a tick, and the grace period unless the activator was in the path for as long already.
  t.ok(zeroS >= 20 && zeroS <= 53, `${zeroS} s`);
  t.ok(found.podSeconds < 60);
  t.end();
});

test("the same seed is the same run, another one is not", (t) => {
  const of = (seed: number): number => run(generate("bursty", { seed, durationMs: 120_000 }), { seed }).podSeconds;
  t.equal(of(3), of(3));
  t.not(of(3), of(4));
  t.end();
});

test("every request of every generator is served in order, and every second accounted for", (t) => {
  for (const name of Object.keys(generators)) {
    const traffic = generate(name, { seed: 7, durationMs: 240_000 });
    const found = run(traffic, { containerConcurrency: 10 });
    const inFlight = found.series.inFlight.reduce((sum, value) => sum + value, 0);
    const offered = found.series.offered.reduce((sum, value) => sum + value, 0);
    const waited = found.waitMs.reduce((sum, value) => sum + value, 0) / 1000;
    t.ok(
      Math.abs(inFlight - offered - waited) < 0.02 * (offered + waited) + 5,
      `${name}: work plus waiting is what was in flight`,
    );
    t.ok(found.waitMs.every((ms) => ms >= 0));
    t.equal(found.waitMs.length + found.unserved, traffic.arrivalMs.length);
    t.ok(
      traffic.arrivalMs.every((ms, index, all) => index === 0 || ms >= all[index - 1]!),
      "arrivals ascend",
    );
  }
  t.end();
});

test("generators make about as many requests as their rates say", (t) => {
  const rows = [
    ["steady", 180_000],
    ["step", 25 * 480 + 250 * 120],
    ["ramp", 150 * 1200],
  ] as const;
  for (const [name, want] of rows) {
    const { length } = generate(name, { seed: 5 }).arrivalMs;
    t.ok(Math.abs(length - want) < 4 * Math.sqrt(want), `${name}: ${length} of ${want}`);
  }
  t.throws(() => generate("nothing", { seed: 1 }), /want one of constant, steady/);
  t.end();
});

test("events come in order of time, and of addition within one moment", (t) => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 20 })), (times) => {
      const queue = new EventQueue<[number, number]>();
      times.forEach((time, index) => queue.add(time, [time, index]));
      const taken: [number, number][] = [];
      while (queue.size > 0) taken.push(queue.take());
      t.same(
        taken,
        taken.toSorted(([a, i], [b, j]) => a - b || i - j),
      );
    }),
  );
  t.end();
});

test("turns are counted where growing follows shrinking or the other way round", (t) => {
  t.equal(directionChanges([1, 2, 3, 3, 4]), 0);
  t.equal(directionChanges([1, 3, 3, 2, 1, 2]), 2);
  t.end();
});

test("a picture has axes, a legend and a mark for each cold start, and hides nothing of what it is given", (t) => {
  const found = run(workload([5000, 5300], 100, 20_000), { startPods: 0, containerConcurrency: 10 });
  const svg = drawRuns([{ label: "<exact>", run: found }], { title: "a & b", target: 7 });
  t.match(svg, /^<svg xmlns=/);
  for (const text of [
    "a &#38; b",
    ">requests in flight<",
    ">pods<",
    ">ready<",
    ">wanted<",
    ">oracle<",
    "cold start (1)",
    ">0:00 min<",
    ">0:20 min<",
  ])
    t.ok(svg.includes(text), text);
  t.notMatch(svg, /NaN|Infinity|undefined/);
  t.equal(numbersOf(found, 7).coldStarts, 1);
  t.end();
});

test("no pod is given more than it can serve at once, and what drains is given nothing", (t) => {
  const pods = new PodSet({
    containerConcurrency: 2,
    startMs: 1000,
    startSigma: 0,
    random: createRandom(1),
    nowMs: () => 0,
    after: () => () => {},
    onReady: () => {},
    onGone: () => {},
  });
  pods.scale(3, true);
  const taken = Array.from({ length: 6 }, () => pods.take()!);
  t.equal(pods.take(), undefined, "six are all of it");
  for (const pod of [taken[0]!, taken[3]!]) pods.release(pod);
  const again = [pods.take()!, pods.take()!];
  t.ok([...taken, ...again].every(({ inFlight }) => inFlight <= 2));
  pods.scale(1);
  pods.release(again[0]!);
  const next = pods.take();
  t.ok(next === undefined || next.state === "ready");
  t.end();
});
