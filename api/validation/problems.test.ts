import { test } from "tap";
import { at, Problems } from "./problems.ts";

test("paths", (t) => {
  t.equal(at(at(at("spec", "containers"), 0), "image"), "spec.containers[0].image");
  t.equal(at("", "spec"), "spec");
  t.end();
});

test("problems are merged, their paths sorted, and sorted by message and details", (t) => {
  const problems = new Problems();
  problems.missing("b");
  problems.forbidden("z", "y");
  problems.add("with details", "p", "second");
  problems.add("with details", "q", "first");
  problems.add("without a path");
  problems.missing("a");
  problems.missing("b");
  t.equal(
    problems.refusal,
    "missing field(s): a, b\nmust not set the field(s): y, z\nwith details: q\nfirst\nwith details: p\nsecond\nwithout a path: ",
  );
  t.end();
});

test("a warning does not refuse, and is not merged with the problem of the same text", (t) => {
  const problems = new Problems();
  problems.warn("same", "a");
  t.equal(problems.refusal, "");
  problems.add("same", "b");
  t.same([problems.refusal, problems.warnings], ["same: b", ["same: a"]]);
  t.end();
});
