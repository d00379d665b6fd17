import * as fc from "fast-check";
import { test } from "tap";
import type { Pod } from "../api/core.ts";
import { costChanges, podDeletionCost, victims, type CostChange } from "./deletion-cost.ts";

interface Traits {
  name: string;
  inFlight?: number;
  cost?: number;
  ready?: boolean;
  pending?: boolean;
  going?: boolean;
}

function pod({ name, cost, ready = true, pending = false, going = false }: Traits): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      ...(cost === undefined ? {} : { annotations: { [podDeletionCost]: String(cost) } }),
      ...(going ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
    },
    spec: { containers: [], nodeName: "node" },
    status: {
      phase: pending ? "Pending" : "Running",
      conditions: [{ type: "Ready", status: ready && !pending ? "True" : "False" }],
    },
  };
}

const scene = (traits: readonly Traits[]) => {
  const load = new Map(traits.map(({ name, inFlight = 0 }) => [name, inFlight]));
  return { pods: traits.map(pod), inFlight: (of: Pod) => load.get(of.metadata.name!) ?? 0 };
};
const named = (changes: CostChange[]): string[] => changes.map(({ pod, cost }) => `${pod.metadata.name}=${cost}`);

const busyOf = (name: string, inFlight: number): Traits => ({ name, inFlight });
const idle = (name: string, more: Partial<Traits> = {}): Traits => ({ name, ...more });
const rows: { name: string; pods: Traits[]; count: number; limit?: number; want: string[] }[] = [
  { name: "idle pods need nothing", pods: [idle("a"), idle("b"), idle("c")], count: 2, want: [] },
  { name: "neither do pods that are equally busy", pods: [busyOf("a", 3), busyOf("b", 3)], count: 1, want: [] },
  {
    name: "the one busy pod is made dear",
    pods: [idle("a"), busyOf("b", 1), idle("c"), idle("d")],
    count: 3,
    want: ["b=1"],
  },
  {
    name: "the one idle pod is made cheap",
    pods: [busyOf("a", 1), busyOf("b", 2), idle("c"), busyOf("d", 1)],
    count: 1,
    want: ["c=-1"],
  },
  {
    name: "what was written for an earlier time is used again",
    pods: [idle("a"), { ...busyOf("b", 1), cost: 1 }, idle("c")],
    count: 2,
    want: [],
  },
  {
    name: "and outbid when it is out of date",
    pods: [idle("a", { cost: 4 }), busyOf("b", 1), idle("c")],
    count: 2,
    want: ["b=5"],
  },
  {
    name: "pods that are not ready go first anyway",
    pods: [busyOf("a", 5), idle("b", { ready: false }), idle("c"), busyOf("d", 1)],
    count: 1,
    want: [],
  },
  {
    name: "among ready pods the ones in other states do not count",
    pods: [busyOf("a", 5), idle("b", { pending: true }), idle("c"), busyOf("d", 1)],
    count: 2,
    want: ["c=-1"],
  },
  {
    name: "of pods that are equally busy either may go",
    pods: [idle("a", { cost: -1 }), busyOf("b", 1), busyOf("c", 1)],
    count: 2,
    want: [],
  },
  {
    name: "and only a busier one is made dearer than them",
    pods: [idle("a", { cost: -1 }), busyOf("b", 1), busyOf("c", 1), busyOf("d", 3)],
    count: 2,
    want: ["d=1"],
  },
  {
    name: "and only the idle one is made cheaper than them",
    pods: [idle("a"), busyOf("b", 1), busyOf("c", 1), busyOf("d", 1), busyOf("e", 1), { ...busyOf("f", 3), cost: 5 }],
    count: 2,
    want: ["a=-1"],
  },
  { name: "all of them going needs nothing", pods: [busyOf("a", 5), idle("b")], count: 2, want: [] },
  { name: "none of them going needs nothing", pods: [busyOf("a", 5), idle("b")], count: 0, want: [] },
  {
    name: "a pod that goes already is none of them",
    pods: [busyOf("a", 5), idle("b", { going: true }), busyOf("c", 5)],
    count: 1,
    want: [],
  },
  {
    name: "of more than may be written the busiest are kept",
    pods: [busyOf("a", 1), busyOf("b", 9), busyOf("c", 4), idle("d"), idle("e"), idle("f")],
    count: 3,
    limit: 2,
    want: ["b=1", "c=1"],
  },
];

for (const { name, pods: traits, count, limit = 64, want } of rows)
  test(`costChanges: ${name}`, (t) => {
    const { pods, inFlight } = scene(traits);
    t.same(named(costChanges(pods, inFlight, count, limit)), want);
    t.end();
  });

const anyPods = fc.uniqueArray(
  fc.record({
    name: fc.integer({ min: 0, max: 200 }).map((number) => `pod-${number}`),
    inFlight: fc.integer({ min: 0, max: 4 }),
    cost: fc.oneof(fc.constant(0), fc.integer({ min: -3, max: 3 })),
    ready: fc.boolean(),
    pending: fc.boolean(),
    going: fc.boolean(),
  }),
  { selector: ({ name }) => name, maxLength: 12 },
);

test("whatever Kubernetes does among equals, as little work is lost as can be, for as few writes as the smaller half", (t) => {
  fc.assert(
    fc.property(anyPods, fc.nat(12), fc.infiniteStream(fc.nat(1000)), (traits, count, chances) => {
      const { pods, inFlight } = scene(traits);
      const changes = costChanges(pods, inFlight, count, 64);
      const active = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
      const gone = Math.min(count, active.length);
      if (changes.length > Math.min(gone, active.length - gone)) return false;
      const costs = new Map(changes.map((change) => [change.pod, change.cost]));
      // Kubernetes: state, then cost; what it compares after that is not foreseen, so here chance has it.
      const state = (of: Pod): number =>
        (of.status?.phase === "Running" ? 2 : 0) + (of.status?.conditions?.[0]?.status === "True" ? 1 : 0);
      const cost = (of: Pod): number => costs.get(of) ?? Number(of.metadata.annotations?.[podDeletionCost] ?? 0);
      const after = active
        .map((each) => ({ each, inFlight: inFlight(each), chance: chances.next().value }))
        .toSorted((a, b) => state(a.each) - state(b.each) || cost(a.each) - cost(b.each) || a.chance - b.chance);
      const lost = after.slice(0, gone).reduce((sum, one) => sum + one.inFlight, 0);
      const least = victims(pods, inFlight, count).reduce((sum, one) => sum + inFlight(one), 0);
      return lost === least;
    }),
    { numRuns: 500 },
  );
  t.pass();
  t.end();
});
