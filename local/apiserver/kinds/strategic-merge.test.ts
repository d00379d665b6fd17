import { test } from "tap";
import type { KubeObject } from "../../../api/meta.ts";
import { strategicMergeOf } from "./strategic-merge.ts";

const merge = strategicMergeOf("core.v1.Pod");
const pod = (spec: object): KubeObject =>
  ({ apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec }) as KubeObject;
const containers = [
  {
    name: "app",
    image: "a:1",
    env: [
      { name: "A", value: "1" },
      { name: "B", value: "2" },
    ],
  },
  { name: "side", image: "s:1" },
];

test("strategic merge", (t) => {
  const cases = [
    {
      name: "merges list items by their key",
      spec: { containers },
      patch: { containers: [{ name: "side", image: "s:2" }] },
      want: { containers: [containers[0], { name: "side", image: "s:2" }] },
    },
    {
      name: "appends an item with a new key",
      spec: { containers: [{ name: "side" }] },
      patch: { containers: [{ name: "new" }] },
      want: { containers: [{ name: "side" }, { name: "new" }] },
    },
    {
      name: "deletes an item",
      spec: { containers },
      patch: { containers: [{ name: "app", $patch: "delete" }] },
      want: { containers: [containers[1]] },
    },
    {
      name: "deletes within an item, and orders what remains",
      spec: { containers },
      patch: {
        containers: [
          {
            name: "app",
            "$setElementOrder/env": [{ name: "C" }, { name: "B" }],
            env: [
              { name: "C", value: "3" },
              { name: "A", $patch: "delete" },
            ],
          },
        ],
      },
      want: {
        containers: [
          {
            name: "app",
            image: "a:1",
            env: [
              { name: "C", value: "3" },
              { name: "B", value: "2" },
            ],
          },
          containers[1],
        ],
      },
    },
    {
      name: "orders without other change, and leaves what the order does not name beside its neighbour",
      spec: { containers: [{ name: "a" }, { name: "x" }, { name: "b" }] },
      patch: { "$setElementOrder/containers": [{ name: "b" }, { name: "a" }] },
      want: { containers: [{ name: "b" }, { name: "a" }, { name: "x" }] },
    },
    {
      name: "replaces a whole list",
      spec: { containers },
      patch: { containers: [{ $patch: "replace" }, { name: "only" }] },
      want: { containers: [{ name: "only" }] },
    },
    {
      name: "replaces a list without a merge key",
      spec: { containers: [{ name: "a", args: ["x", "y"] }] },
      patch: { containers: [{ name: "a", args: ["z"] }] },
      want: { containers: [{ name: "a", args: ["z"] }] },
    },
    {
      name: "replaces an object",
      spec: { securityContext: { runAsUser: 1, fsGroup: 2 } },
      patch: { securityContext: { $patch: "replace", runAsUser: 3 } },
      want: { securityContext: { runAsUser: 3 } },
    },
    {
      name: "removes an object",
      spec: { securityContext: { runAsUser: 1 }, hostname: "h" },
      patch: { securityContext: { $patch: "delete" } },
      want: { hostname: "h" },
    },
    {
      name: "removes by null",
      spec: { hostname: "h", nodeSelector: { a: "1", b: "2" } },
      patch: { hostname: null, nodeSelector: { a: null } },
      want: { nodeSelector: { b: "2" } },
    },
    {
      name: "keeps only the keys that are retained",
      spec: { volumes: [{ name: "v", emptyDir: {} }] },
      patch: { volumes: [{ name: "v", $retainKeys: ["name", "secret"], secret: { secretName: "s" } }] },
      want: { volumes: [{ name: "v", secret: { secretName: "s" } }] },
    },
    {
      name: "drops nulls and directives where nothing was before",
      spec: {},
      patch: { securityContext: { runAsUser: null, seLinuxOptions: { level: "x", user: null } } },
      want: { securityContext: { seLinuxOptions: { level: "x" } } },
    },
  ];
  for (const { name, spec, patch, want } of cases) {
    const before = structuredClone(spec);
    t.same(merge(pod(spec), { spec: patch }), pod(want), name);
    t.same(spec, before, `${name}: the object itself is left alone`);
  }
  t.end();
});

test("finalizers are a set of which some can be removed", (t) => {
  const object = { ...pod({}), metadata: { finalizers: ["a/1", "a/2"] } };
  t.same(merge(object, { metadata: { finalizers: ["a/2", "a/3"] } }).metadata.finalizers, ["a/1", "a/2", "a/3"]);
  const removing = { metadata: { "$deleteFromPrimitiveList/finalizers": ["a/1"] } };
  t.same(merge(object, removing).metadata.finalizers, ["a/2"]);
  t.end();
});

test("a patch that cannot be applied is refused", (t) => {
  t.throws(
    () => merge(pod({ containers }), { spec: { containers: [{ image: "x" }] } }),
    /does not contain declared merge key: name/,
  );
  t.throws(() => merge(pod({}), { spec: { $patch: "burn" } }), /Unknown patch type: burn/);
  t.end();
});
