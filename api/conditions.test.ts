import { test } from "tap";
import { Conditions, isReady, type ConditionTypes } from "./conditions.ts";
import type { Condition } from "./serving.ts";

const types: ConditionTypes = { top: "Ready", dependents: ["A", "B"] };
const nowMs = Date.parse("2026-01-01T00:00:10Z");
const old = "2026-01-01T00:00:00Z";
const brief = (conditions: Conditions): string[] =>
  conditions.list().map(({ type, status, reason }) => `${type}=${status}${reason === undefined ? "" : `(${reason})`}`);

const rows: { name: string; start?: Condition[]; act: (c: Conditions) => void; want: string[] }[] = [
  { name: "missing conditions start Unknown", act: () => {}, want: ["A=Unknown", "B=Unknown", "Ready=Unknown"] },
  {
    name: "a missing dependent of a ready object starts True",
    start: [{ type: "Ready", status: "True" }],
    act: () => {},
    want: ["A=True", "B=True", "Ready=True"],
  },
  {
    name: "a False dependent makes the top False with its reason",
    act: (c) => c.markFalse("A", "Broken", "it broke"),
    want: ["A=False(Broken)", "B=Unknown", "Ready=False(Broken)"],
  },
  {
    name: "an Unknown dependent does not lift a False top",
    act: (c) => {
      c.markFalse("A", "Broken", "");
      c.markUnknown("B", "Waiting", "");
    },
    want: ["A=False(Broken)", "B=Unknown(Waiting)", "Ready=False(Broken)"],
  },
  {
    name: "the later of two False dependents is the one shown",
    act: (c) => {
      c.markFalse("A", "First", "");
      c.markFalse("B", "Second", "");
    },
    want: ["A=False(First)", "B=False(Second)", "Ready=False(Second)"],
  },
  {
    name: "when one recovers the top copies what is left",
    act: (c) => {
      c.markFalse("A", "First", "");
      c.markFalse("B", "Second", "");
      c.markTrue("B");
    },
    want: ["A=False(First)", "B=True", "Ready=False(First)"],
  },
  {
    name: "all True makes the top True",
    act: (c) => {
      c.markTrue("A");
      c.markTrue("B", "Why", "because");
    },
    want: ["A=True", "B=True(Why)", "Ready=True"],
  },
  {
    name: "an informational condition never moves the top",
    act: (c) => {
      c.markTrue("A");
      c.markTrue("B");
      c.markFalse("Extra", "Idle", "");
    },
    want: ["A=True", "B=True", "Extra=False(Idle)", "Ready=True"],
  },
];
for (const { name, start, act, want } of rows)
  test(name, (t) => {
    const conditions = new Conditions(types, start, nowMs);
    act(conditions);
    t.same(brief(conditions), want);
    t.end();
  });

test("lastTransitionTime is kept where a condition ends as it began", (t) => {
  const start: Condition[] = ["A", "B", "Ready"].map((type) => ({ type, status: "True", lastTransitionTime: old }));
  const conditions = new Conditions(types, start, nowMs);
  conditions.markUnknown("A", "Checking", "");
  conditions.markTrue("A");
  conditions.markTrue("B", "Renewed", "");
  const times = Object.fromEntries(conditions.list().map((c) => [c.type, c.lastTransitionTime]));
  t.same(times, { A: old, B: "2026-01-01T00:00:10Z", Ready: old });
  t.equal(
    conditions.list().find((c) => c.type === "A"),
    start[0],
    "the very object, so that a compare is cheap",
  );
  t.end();
});

test("a generation that was never observed is not ready", (t) => {
  const object = {
    apiVersion: "v1",
    kind: "X",
    metadata: { generation: 2 },
    status: { observedGeneration: 1, conditions: [{ type: "Ready", status: "True" as const }] },
  };
  t.equal(isReady(object), false);
  t.equal(Conditions.of(types, object, nowMs).get("Ready")?.reason, "NewObservedGenFailure");
  t.end();
});
