/** Which of two states a reconcile works on: what its cache shows, or what it wrote itself. */
import { test } from "tap";
import type { KubeObject } from "../api/meta.ts";
import { OwnWrites } from "./own-writes.ts";

const at = (resourceVersion: string, uid = "a"): KubeObject => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: { name: "x", namespace: "ns", uid, resourceVersion },
});

const rows: { title: string; writes: [string, string][]; cached: KubeObject; newest: string }[] = [
  { title: "nothing was written", writes: [], cached: at("1"), newest: "1" },
  { title: "the copy is behind the write", writes: [["1", "2"]], cached: at("1"), newest: "2" },
  {
    title: "the copy is behind two writes",
    writes: [
      ["1", "2"],
      ["2", "3"],
    ],
    cached: at("1"),
    newest: "3",
  },
  {
    title: "the copy shows the first of two writes",
    writes: [
      ["1", "2"],
      ["2", "3"],
    ],
    cached: at("2"),
    newest: "3",
  },
  { title: "the copy shows the write", writes: [["1", "2"]], cached: at("2"), newest: "2" },
  { title: "somebody else wrote since", writes: [["1", "2"]], cached: at("7"), newest: "7" },
  { title: "it is another object of the same name", writes: [["1", "2"]], cached: at("1", "b"), newest: "1" },
  { title: "the server found nothing to change", writes: [["1", "1"]], cached: at("1"), newest: "1" },
];
for (const { title, writes, cached, newest } of rows)
  test(title, async (t) => {
    const own = new OwnWrites<KubeObject>();
    for (const [before, after] of writes) own.wrote(at(before), at(after));
    t.equal(own.newest(cached).metadata.resourceVersion, newest);
  });

test("a write that the copy has shown is forgotten", async (t) => {
  const own = new OwnWrites<KubeObject>();
  own.wrote(at("1"), at("2"));
  own.newest(at("2"));
  t.equal(own.newest(at("1")).metadata.resourceVersion, "1");
});
