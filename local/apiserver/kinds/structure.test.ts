import { test } from "tap";
import type { Structure } from "../kind.ts";
import { messageStructure, schemaStructure } from "./structure.ts";

/** Follows a path in which `*` is an item of a list. */
const follow = (from: Structure, path: string): Structure =>
  path.split(".").reduce((at, step) => (step === "*" ? at.item() : at.member(step)), from);

test("how server-side apply divides objects", (t) => {
  const pod = messageStructure("core.v1.Pod");
  const custom = schemaStructure({
    type: "object",
    properties: {
      list: {
        type: "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        items: { type: "object", properties: { whole: { type: "object", "x-kubernetes-map-type": "atomic" } } },
      },
      plain: { type: "array", items: { type: "string" } },
    },
  });
  const cases = [
    {
      name: "containers by name",
      at: follow(pod, "spec.containers"),
      want: { listType: { is: "map", keys: ["name"] } },
    },
    {
      name: "ports within, by number and protocol",
      at: follow(pod, "spec.containers.*.ports"),
      want: { listType: { is: "map", keys: ["containerPort", "protocol"] } },
    },
    { name: "arguments as one", at: follow(pod, "spec.containers.*.args"), want: { listType: { is: "atomic" } } },
    { name: "finalizers by value", at: follow(pod, "metadata.finalizers"), want: { listType: { is: "set" } } },
    { name: "labels one by one", at: follow(pod, "metadata.labels"), want: { isAtomic: false } },
    { name: "a node selector as one", at: follow(pod, "spec.nodeSelector"), want: { isAtomic: true } },
    {
      name: "a reference as one",
      at: follow(pod, "spec.containers.*.env.*.valueFrom.secretKeyRef"),
      want: { isAtomic: true },
    },
    { name: "a schema's list by its keys", at: follow(custom, "list"), want: { listType: { is: "map", keys: ["k"] } } },
    { name: "an object within as one", at: follow(custom, "list.*.whole"), want: { isAtomic: true } },
    { name: "a list that says nothing as one", at: follow(custom, "plain"), want: { listType: { is: "atomic" } } },
  ];
  for (const { name, at, want } of cases) t.match(at, want, name);
  t.end();
});
