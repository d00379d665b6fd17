/** What a new owner does that knows nothing, because the one before it died: never fewer for want of data. */
import { test } from "tap";
import { Autoscaler, Clock, Source, type SceneRevision } from "./scene.ts";

const windowMs = 60_000;

interface Row {
  name: string;
  /** Pods that run, and how many of their streams come to the new owner, after how long. */
  pods: number;
  come: number;
  afterMs: number;
  /** In flight on each pod that comes. */
  each: number;
  revision?: SceneRevision;
  /** Decisions that may be seen within the first stable window (-1 = replicas stay), and the one at its end. */
  within: number[];
  later: number;
}

const rows: Row[] = [
  {
    name: "pods that come back with their load are kept, and then as many as the load needs",
    pods: 5,
    come: 5,
    afterMs: 200,
    each: 7,
    within: [-1, 5],
    later: 5,
  },
  {
    name: "idle pods are kept for a stable window, and shrink by the rate of the revision after it",
    pods: 4,
    come: 4,
    afterMs: 200,
    each: 0,
    within: [-1, 4],
    later: 2,
  },
  {
    name: "a single idle pod gets its full stable window again",
    pods: 1,
    come: 1,
    afterMs: 200,
    each: 0,
    within: [-1, 1],
    later: 0,
  },
  {
    name: "pods of which none comes stay for as long as none comes",
    pods: 5,
    come: 0,
    afterMs: 0,
    each: 0,
    within: [-1],
    later: -1,
  },
  {
    name: "the silence of most pods is no sign that they are idle, however long it lasts",
    pods: 6,
    come: 2,
    afterMs: 200,
    each: 0,
    within: [-1, 6],
    later: 6,
  },
  {
    name: "pods that come late count from when they come",
    pods: 4,
    come: 4,
    afterMs: 20_000,
    each: 7,
    within: [-1, 4],
    later: 4,
  },
  {
    name: "a revision without a route is not dropped in one step either",
    pods: 6,
    come: 1,
    afterMs: 200,
    each: 0,
    revision: { reachable: false },
    within: [-1, 6],
    later: 0,
  },
  {
    name: "nor does its last pod go",
    pods: 1,
    come: 1,
    afterMs: 200,
    each: 0,
    revision: { reachable: false },
    within: [-1, 1],
    later: 0,
  },
  {
    name: "a load that has grown meanwhile is answered at once",
    pods: 2,
    come: 2,
    afterMs: 200,
    each: 70,
    within: [-1, 10, 20],
    later: 20,
  },
];
for (const { name, pods, come, afterMs, each, revision = {}, within, later } of rows)
  test(name, (t) => {
    const clock = new Clock();
    const owner = new Autoscaler(clock);
    const activator = new Source(clock, "activator", "activator-1");
    activator.connect(owner);
    clock.pass(500);
    owner.readyPods = pods;
    owner.start();
    owner.ensure({ replicas: pods, foundRunning: true, ...revision });
    const seen = new Set<number>();
    const sources: Source[] = [];
    for (let ms = 0; ms < windowMs; ms += 100) {
      if (ms >= afterMs && sources.length < come) {
        const source = new Source(clock, "pod", `pod-${sources.length}`);
        source.set(each);
        source.connect(owner);
        sources.push(source);
      }
      seen.add(owner.desired);
      clock.pass(100);
    }
    t.same(
      [...seen].filter((desired) => !within.includes(desired)),
      [],
      `within the window: ${[...seen].join(", ")}`,
    );
    clock.pass(2100);
    t.equal(owner.desired, later, "after it");
    t.end();
  });

test("what activators hold for a revision at zero is answered the moment somebody owns it", (t) => {
  const clock = new Clock();
  const standby = new Autoscaler(clock);
  const activator = new Source(clock, "activator", "activator-1");
  activator.connect(standby);
  // The owner is dead, and nobody decides yet.
  activator.set(100);
  clock.pass(3000);
  t.equal(standby.desired, -1);
  standby.start();
  standby.ensure({ replicas: 0, foundRunning: true });
  t.equal(standby.desired, 15, "ceil(100 / 7), without a report, a tick or a period in between");
  t.end();
});
