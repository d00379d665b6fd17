import { test } from "tap";
import type { KubeObject } from "../../api/meta.ts";
import { pods } from "../../api/core.ts";
import { createKindRegistry } from "./kinds/index.ts";
import { matchesSelector, selectionOf } from "./selectors.ts";

const kind = createKindRegistry().find(pods.group, pods.version, pods.plural)!;
const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "default", labels: { app: "web", tier: "front", weight: "5", "a.b/c": "d" } },
  spec: { nodeName: "local" },
  status: { phase: "Pending" },
} as KubeObject;

const cases = [
  { name: "equality", labels: "app=web", want: true },
  { name: "double equality", labels: "app==web,tier=front", want: true },
  { name: "another value", labels: "app=db", want: false },
  { name: "inequality", labels: "app!=db", want: true },
  { name: "inequality of a label that is absent", labels: "none!=x", want: true },
  { name: "a set with spaces", labels: "app in (db, web), tier", want: true },
  { name: "a set without the value", labels: "app in (db)", want: false },
  { name: "notin of an absent label", labels: "none notin (a)", want: true },
  { name: "existence of a qualified name", labels: "a.b/c", want: true },
  { name: "absence", labels: "!none", want: true },
  { name: "absence of what is there", labels: "!app", want: false },
  { name: "greater than", labels: "weight>4,weight<6", want: true },
  { name: "an empty value", labels: "app=", want: false },
  { name: "a field", fields: "status.phase=Pending,spec.nodeName!=", want: true },
  { name: "another field value", fields: "status.phase=Running", want: false },
  { name: "labels and fields together", labels: "app=web", fields: "spec.nodeName=other", want: false },
];
for (const { name, labels = "", fields = "", want } of cases)
  test(`selects by ${name}`, async (t) => t.equal(selectionOf(kind, labels, fields).matches?.(pod), want));

test("a name alone needs no look at the object", async (t) =>
  t.same(selectionOf(kind, "", "metadata.name=web"), { matches: undefined, name: "web" }));

for (const bad of ["app in web", "a,,b", "=x", "app=web,"])
  test(`refuses the label selector ${bad}`, async (t) => t.throws(() => selectionOf(kind, bad, ""), { code: 400 }));

test("refuses a field that the kind does not select by", async (t) =>
  t.throws(() => selectionOf(kind, "", "spec.foo=x"), {
    code: 400,
    message: /"spec.foo" is not a known field selector/,
  }));

test("a selector object without terms matches everything", async (t) => {
  t.equal(matchesSelector({}, undefined), true);
  t.equal(matchesSelector({ matchExpressions: [{ key: "x", operator: "DoesNotExist" }] }, { x: "1" }), false);
  t.equal(matchesSelector({ matchLabels: { x: "1" } }, { x: "1" }), true);
});
