import * as fc from "fast-check";
import { test } from "tap";
import { decideSmooth } from "./decide-smooth.ts";
import { initialState, type DeciderSpec, type DeciderState, type Decision, type Observation } from "./decide.ts";

const spec: DeciderSpec = {
  target: 7,
  total: 10,
  targetBurstCapacity: 211,
  maxScaleUpRate: 1000,
  maxScaleDownRate: 2,
  panicThreshold: 2,
  stableWindowMs: 60_000,
  activationScale: 0,
  scaleDownDelayMs: 0,
  reachable: true,
};

/** Decisions each 2 s over what was seen. */
function decisions(seen: readonly Observation[], changed: Partial<DeciderSpec> = {}): Decision[] {
  let state: DeciderState = initialState(0, 0);
  return seen.map((observation, index) => {
    const decision = decideSmooth({ ...spec, ...changed }, observation, state, index * 2000);
    state = decision.state;
    return decision;
  });
}

const of = (readyPods: number, stable: number, panic = stable, startingPods = 0): Observation => ({
  readyPods,
  stable,
  panic,
  startingPods,
});
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

test("a load that one pod can take is no surge, one above is", (t) => {
  const [calm, surge] = [decisions([of(1, 5, 10)])[0]!, decisions([of(1, 5, 10.01)])[0]!];
  t.match([calm.terms.overThreshold, calm.desiredPods], [false, 1]);
  t.match([surge.terms.overThreshold, surge.desiredPods], [true, 2]);
  t.end();
});

test("a surge that was answered is no surge while its pods start", (t) => {
  const [first, second] = decisions([of(1, 7, 100), of(1, 10, 100, 15)]);
  t.equal(first!.desiredPods, 16, "ceil(100 / 7 · 1.1)");
  t.equal(second!.terms.overThreshold, false);
  t.equal(second!.desiredPods, 16, "and nothing more is asked for");
  t.end();
});

test("after a surge the pods go little by little", (t) => {
  // Without the rate, which would do a part of it.
  const seen = [of(2, 10, 60), ...times(40, of(10, 10))];
  const found = decisions(seen, { maxScaleDownRate: 1000 }).map(({ desiredPods }) => desiredPods);
  t.equal(found[0], 10);
  t.equal(found.at(-1), 2);
  for (let index = 1; index < found.length; index++) {
    const [before, after] = [found[index - 1]!, found[index]!];
    t.ok(after <= before && before - after <= 4, `${before} → ${after}`);
  }
  t.end();
});

test("surges that come back find their pods", (t) => {
  const calm = times(12, of(10, 10));
  const found = decisions([of(2, 10, 80), ...calm, of(2, 12, 80), ...calm]).map(({ desiredPods }) => desiredPods);
  t.equal(found.at(-1), found[13], "24 s after the second one everything is still there");
  t.ok(found[12]! < found[0]!, "after the first it was not");
  t.end();
});

test("a count falls when the load is clear of the boundary, or stays below it", (t) => {
  const near = decisions([of(3, 20), ...times(20, of(3, 13.9))]).map(({ desiredPods }) => desiredPods);
  t.equal(near[1], 3, "13.9 would be two pods, but hardly");
  t.equal(near.at(-1), 2, "after half a window it is");
  t.equal(decisions([of(3, 20), of(3, 11)])[1]!.desiredPods, 2, "11 is clear");
  t.equal(decisions([of(1, 3), of(1, 0)])[1]!.desiredPods, 0, "and nothing is nothing");
  t.end();
});

test("the activator leaves the path with room to spare and comes back when there is none", (t) => {
  const excess = decisions([of(23, 10), of(23, 1), of(23, 18.9), of(23, 19.1)], { targetBurstCapacity: 211 }).map(
    ({ excessBurstCapacity }) => excessBurstCapacity,
  );
  t.same(excess, [-1, -1, -1, -1], "9 and 18 are not 21");
  const served = decisions([of(30, 10), of(30, 80), of(30, 90)]).map(({ excessBurstCapacity }) => excessBurstCapacity);
  t.same(served, [79, 9, -1]);
  t.end();
});

test("more load never asks for fewer pods, and never for fewer than the stable average needs", (t) => {
  const observation = fc.record({
    stable: fc.double({ min: 0, max: 500, noNaN: true }),
    panic: fc.double({ min: 0, max: 500, noNaN: true }),
    readyPods: fc.integer({ min: 0, max: 60 }),
    startingPods: fc.integer({ min: 0, max: 60 }),
  });
  fc.assert(
    fc.property(
      fc.array(observation, { minLength: 1, maxLength: 20 }),
      fc.double({ min: 0, max: 300, noNaN: true }),
      (seen, more) => {
        const found = decisions(seen);
        const { state } = found.at(-1)!;
        const last = seen.at(-1)!;
        const at = (load: number): number =>
          decideSmooth(
            spec,
            { ...last, stable: last.stable + load, panic: last.panic + load },
            state,
            seen.length * 2000,
          ).desiredPods;
        return at(more) >= at(0) && at(0) >= Math.ceil(last.stable / spec.target);
      },
    ),
    { numRuns: 300 },
  );
  t.end();
});
