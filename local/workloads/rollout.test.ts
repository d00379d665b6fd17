import { test } from "tap";
import type { Deployment } from "../../api/core.ts";
import { isScaling, recreate, rollingUpdate, rolloutLimits, scale, type Member } from "./rollout.ts";

const member = (name: string, wanted: number, available: number, extra: Partial<Member> = {}): Member => ({
  name,
  wanted,
  available,
  createdMs: 0,
  sizedFor: undefined,
  ceiling: undefined,
  ...extra,
});

const limitCases = [
  { name: "rounds surge up and unavailable down", replicas: 10, surge: "25%", unavailable: "25%", want: [3, 2] },
  { name: "takes numbers as they are", replicas: 4, surge: 1, unavailable: 0, want: [1, 0] },
  { name: "lets one pod be missing when both are zero", replicas: 4, surge: 0, unavailable: 0, want: [0, 1] },
  { name: "never lets more pods be missing than there are", replicas: 2, surge: 0, unavailable: 5, want: [0, 2] },
] as const;

for (const { name, replicas, surge, unavailable, want } of limitCases)
  test(`rolloutLimits ${name}`, async (t) => {
    const rollingUpdate = { maxSurge: surge, maxUnavailable: unavailable };
    const spec = { replicas, strategy: { type: "RollingUpdate", rollingUpdate } } as unknown as Deployment["spec"];
    const limits = rolloutLimits({ apiVersion: "", kind: "", metadata: {}, spec });
    t.same([limits.surge, limits.unavailable], want);
  });

const rollingCases = [
  {
    name: "starts a first rollout at full size",
    limits: { replicas: 3, surge: 1, unavailable: 0 },
    fresh: member("new", 0, 0),
    old: [],
    want: { new: 3 },
  },
  {
    name: "adds only the surge while the old pods serve",
    limits: { replicas: 3, surge: 1, unavailable: 0 },
    fresh: member("new", 0, 0),
    old: [member("old", 3, 3)],
    want: { new: 1, old: 3 },
  },
  {
    name: "takes an old pod away for each new one that is available",
    limits: { replicas: 3, surge: 1, unavailable: 0 },
    fresh: member("new", 1, 1),
    old: [member("old", 3, 3)],
    want: { new: 1, old: 2 },
  },
  {
    name: "removes old pods at once down to what may be missing",
    limits: { replicas: 10, surge: 2, unavailable: 3 },
    fresh: member("new", 0, 0),
    old: [member("old", 10, 10)],
    want: { new: 2, old: 7 },
  },
  {
    name: "removes old pods that serve nobody first, the oldest first",
    limits: { replicas: 4, surge: 1, unavailable: 1 },
    fresh: member("new", 1, 0),
    old: [member("older", 2, 0, { createdMs: 1 }), member("old", 2, 1, { createdMs: 2 })],
    want: { new: 1, older: 1, old: 2 },
  },
  {
    name: "counts what it takes from one old ReplicaSet against the next",
    limits: { replicas: 3, surge: 1, unavailable: 0 },
    fresh: member("new", 1, 1),
    old: [member("older", 1, 1, { createdMs: 1 }), member("old", 2, 2, { createdMs: 2 })],
    want: { new: 1, older: 0, old: 2 },
  },
  {
    name: "shrinks the new one when the Deployment has become smaller",
    limits: { replicas: 1, surge: 1, unavailable: 0 },
    fresh: member("new", 3, 3),
    old: [],
    want: { new: 1 },
  },
  {
    name: "ends with no old pod",
    limits: { replicas: 2, surge: 1, unavailable: 0 },
    fresh: member("new", 2, 2),
    old: [member("old", 1, 1)],
    want: { new: 2, old: 0 },
  },
];

for (const { name, limits, fresh, old, want } of rollingCases)
  test(`rollingUpdate ${name}`, async (t) => {
    t.same(Object.fromEntries(rollingUpdate(limits, fresh, old)), want);
  });

test("rollingUpdate never leaves fewer available than allowed, nor more pods than the surge", async (t) => {
  for (const limits of [
    { replicas: 5, surge: 2, unavailable: 0 },
    { replicas: 5, surge: 0, unavailable: 1 },
    { replicas: 8, surge: 2, unavailable: 2 },
  ]) {
    let fresh = member("new", 0, 0);
    let old = member("old", limits.replicas, limits.replicas);
    for (let round = 0; round < 30 && !(fresh.available === limits.replicas && old.wanted === 0); round += 1) {
      const sizes = rollingUpdate(limits, fresh, [old]);
      const wanted = { fresh: sizes.get("new") ?? fresh.wanted, old: sizes.get("old") ?? old.wanted };
      t.ok(wanted.fresh + wanted.old <= limits.replicas + limits.surge, "more pods than the surge");
      old = { ...old, wanted: wanted.old, available: Math.min(old.available, wanted.old) };
      t.ok(fresh.available + old.available >= limits.replicas - limits.unavailable, "fewer available than allowed");
      fresh = { ...fresh, wanted: wanted.fresh, available: Math.min(wanted.fresh, fresh.available + 1) };
    }
    t.same([fresh.available, old.wanted], [limits.replicas, 0]);
  }
});

test("recreate starts new pods only when the old ones are gone", async (t) => {
  const limits = { replicas: 2, surge: 0, unavailable: 0 };
  const before = recreate(limits, member("new", 0, 0), [member("old", 2, 2)], true);
  t.same(Object.fromEntries(before), { old: 0, new: 0 });
  const after = recreate(limits, member("new", 0, 0), [member("old", 0, 0)], false);
  t.same(Object.fromEntries(after), { old: 0, new: 2 });
});

test("isScaling sees that the size changed since the ReplicaSets were sized", async (t) => {
  const limits = { replicas: 5, surge: 1, unavailable: 0 };
  t.ok(isScaling(limits, [member("a", 3, 3, { sizedFor: 3 })]));
  t.notOk(isScaling(limits, [member("a", 5, 5, { sizedFor: 5 })]));
  t.notOk(isScaling(limits, [member("a", 0, 0, { sizedFor: 3 })]), "one without pods does not count");
});

const scaleCases = [
  {
    name: "gives the only active one the whole size",
    limits: { replicas: 5, surge: 1, unavailable: 0 },
    fresh: member("new", 2, 2),
    old: [member("old", 0, 0)],
    want: { new: 5 },
  },
  {
    name: "goes to zero",
    limits: { replicas: 0, surge: 0, unavailable: 0 },
    fresh: member("new", 2, 2),
    old: [],
    want: { new: 0 },
  },
  {
    name: "removes the old ones when the new one is complete",
    limits: { replicas: 2, surge: 1, unavailable: 0 },
    fresh: member("new", 2, 2, { sizedFor: 2 }),
    old: [member("old", 1, 1)],
    want: { old: 0 },
  },
  {
    name: "shares growth in proportion in the middle of a rollout",
    limits: { replicas: 20, surge: 5, unavailable: 0 },
    fresh: member("new", 5, 5, { ceiling: 13, createdMs: 2 }),
    old: [member("old", 8, 8, { ceiling: 13, createdMs: 1 })],
    want: { old: 15, new: 10 },
  },
];

for (const { name, limits, fresh, old, want } of scaleCases)
  test(`scale ${name}`, async (t) => {
    t.same(Object.fromEntries(scale(limits, fresh, old, true)), want);
  });
