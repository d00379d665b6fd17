/** A rollout on a virtual clock. */
import { test } from "tap";
import { isInProgress, parseRollout, type Rollout } from "./rollout.ts";
import { nextRollout } from "./rollout-step.ts";
import type { RevisionTarget } from "./traffic.ts";

const latest = (revisionName: string, percent = 100): Map<string, RevisionTarget[]> =>
  new Map([
    [
      "",
      [
        {
          tag: "",
          revisionName,
          configurationName: "hello",
          latestRevision: true,
          percent,
          protocol: "http1" as const,
        },
      ],
    ],
  ]);
const shares = ({ configurations }: Rollout): string =>
  configurations[0]!.revisions.map(({ revisionName, percent }) => `${revisionName}=${percent}`).join(" ");
const still = { ingressIsReady: true, routeIsReady: true };

test("without a duration all traffic moves at once", (t) => {
  const previous = nextRollout({
    targets: latest("r1"),
    previous: undefined,
    ...still,
    durationMs: 0,
    nowMs: 0,
  }).rollout;
  const step = nextRollout({ targets: latest("r2"), previous, ...still, durationMs: 0, nowMs: 1000 });
  t.equal(shares(step.rollout), "r2=100");
  t.equal(step.nextStepMs, undefined);
  t.end();
});

test("with a duration one percent goes ahead, then equal steps follow until all has moved", (t) => {
  const durationMs = 60_000;
  let nowMs = 1_000_000;
  let rollout = nextRollout({ targets: latest("r1"), previous: undefined, ...still, durationMs, nowMs }).rollout;
  const again = (routeIsReady: boolean): number | undefined => {
    // As it is stored in the Ingress and read back.
    const previous = parseRollout(JSON.stringify(rollout));
    const step = nextRollout({
      targets: latest("r2"),
      previous,
      ingressIsReady: true,
      routeIsReady,
      durationMs,
      nowMs,
    });
    rollout = step.rollout;
    return step.nextStepMs;
  };
  again(true);
  t.equal(shares(rollout), "r1=99 r2=1");
  nowMs += 10_000; // what the Ingress needed
  let waitMs = again(false);
  t.equal(shares(rollout), "r1=99 r2=1");
  t.equal(waitMs, 10_000, "50 s are left for 5 steps");
  const seen: string[] = [];
  while (isInProgress(rollout) && seen.length < 50) {
    nowMs += waitMs ?? 0;
    waitMs = again(false);
    seen.push(shares(rollout));
  }
  t.same(seen, ["r1=79 r2=21", "r1=59 r2=41", "r1=39 r2=61", "r1=19 r2=81", "r2=100"]);
  t.end();
});

test("a further Revision during a rollout goes on top of it", (t) => {
  const previous: Rollout = {
    configurations: [
      {
        configurationName: "hello",
        percent: 100,
        revisions: [
          { revisionName: "r1", percent: 60 },
          { revisionName: "r2", percent: 40 },
        ],
        stepParams: { starttime: 1, nextStepTime: 5, stepDuration: 1, stepSize: 10 },
      },
    ],
  };
  const { rollout } = nextRollout({ targets: latest("r3"), previous, ...still, durationMs: 60_000, nowMs: 10 });
  t.equal(shares(rollout), "r1=60 r2=39 r3=1");
  t.end();
});

test("a state that does not add up is forgotten", (t) => {
  const broken = { configurationName: "hello", percent: 100, revisions: [{ revisionName: "r1", percent: 60 }] };
  t.equal(parseRollout(JSON.stringify({ configurations: [broken] })), undefined);
  t.equal(parseRollout("{"), undefined);
  t.end();
});
