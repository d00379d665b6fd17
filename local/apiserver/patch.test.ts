import { test } from "tap";
import { applyJsonPatch, mergePatched } from "./patch.ts";

type Operations = Parameters<typeof applyJsonPatch>[1];

const jsonPatches: { name: string; before: unknown; operations: Operations; after: unknown }[] = [
  { name: "adds a member", before: { a: 1 }, operations: [{ op: "add", path: "/b", value: 2 }], after: { a: 1, b: 2 } },
  { name: "inserts into a list", before: [1, 3], operations: [{ op: "add", path: "/1", value: 2 }], after: [1, 2, 3] },
  {
    name: "appends to a list",
    before: { l: [1] },
    operations: [{ op: "add", path: "/l/-", value: 2 }],
    after: { l: [1, 2] },
  },
  {
    name: "reads escaped names",
    before: { "a/b~c": 1 },
    operations: [{ op: "replace", path: "/a~1b~0c", value: 2 }],
    after: { "a/b~c": 2 },
  },
  { name: "removes from a list", before: [1, 2, 3], operations: [{ op: "remove", path: "/1" }], after: [1, 3] },
  {
    name: "moves",
    before: { a: { b: 1 }, c: {} },
    operations: [{ op: "move", from: "/a/b", path: "/c/d" }],
    after: { a: {}, c: { d: 1 } },
  },
  {
    name: "copies by value",
    before: { a: { b: 1 } },
    operations: [
      { op: "copy", from: "/a", path: "/c" },
      { op: "replace", path: "/c/b", value: 2 },
    ],
    after: { a: { b: 1 }, c: { b: 2 } },
  },
  {
    name: "tests deeply",
    before: { a: [{ b: 1 }] },
    operations: [{ op: "test", path: "/a", value: [{ b: 1 }] }],
    after: { a: [{ b: 1 }] },
  },
  {
    name: "replaces the whole",
    before: { a: 1 },
    operations: [{ op: "replace", path: "", value: { b: 1 } }],
    after: { b: 1 },
  },
];
for (const { name, before, operations, after } of jsonPatches)
  test(`a JSON patch ${name}`, async (t) => t.same(applyJsonPatch(before, operations), after));

const misfits: { name: string; operations: Operations }[] = [
  { name: "replaces what is not there", operations: [{ op: "replace", path: "/x", value: 1 }] },
  { name: "removes what is not there", operations: [{ op: "remove", path: "/l/5" }] },
  { name: "adds beyond the end", operations: [{ op: "add", path: "/l/5", value: 1 }] },
  { name: "walks through a number", operations: [{ op: "add", path: "/n/x", value: 1 }] },
  { name: "fails its test", operations: [{ op: "test", path: "/n", value: 2 }] },
  { name: "indexes a list with a word", operations: [{ op: "add", path: "/l/first", value: 1 }] },
  { name: "reaches for a prototype", operations: [{ op: "add", path: "/__proto__/polluted", value: 1 }] },
];
for (const { name, operations } of misfits)
  test(`a JSON patch that ${name} is refused`, async (t) => {
    t.throws(() => applyJsonPatch({ l: [1], n: 1 }, operations), { code: 422 });
    t.equal(({} as { polluted?: number }).polluted, undefined);
  });

const mergePatches = [
  {
    name: "sets and removes",
    before: { a: 1, b: { c: 1, d: 2 } },
    patch: { a: null, b: { c: 3 } },
    after: { b: { c: 3, d: 2 } },
  },
  { name: "replaces lists", before: { a: [1, 2] }, patch: { a: [3] }, after: { a: [3] } },
  { name: "drops nulls of what is new", before: {}, patch: { a: { b: null, c: 1 } }, after: { a: { c: 1 } } },
  { name: "puts an object in place of a value", before: { a: 1 }, patch: { a: { b: 1 } }, after: { a: { b: 1 } } },
];
for (const { name, before, patch, after } of mergePatches)
  test(`a merge patch ${name}`, async (t) => t.same(mergePatched(before, patch), after));
