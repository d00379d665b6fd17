import { test } from "tap";
import { childName, imageCacheName, revisionName } from "./names.ts";

const long = "a".repeat(60);
const rows = [
  { name: "a short name keeps its parent", got: childName("hello", "-deployment"), want: "hello-deployment" },
  { name: "a generation has five digits", got: revisionName("hello", 7), want: "hello-00007" },
  { name: "an image is named after its container", got: imageCacheName("r", "c"), want: "r-cache-c" },
];
for (const { name, got, want } of rows)
  test(name, (t) => {
    t.equal(got, want);
    t.end();
  });

test("a long parent keeps its head and gives the rest to a hash", (t) => {
  const name = childName(long, "-deployment");
  t.match(name, /^a{20}[0-9a-f]{32}-deployment$/u);
  t.equal(name.length, 63);
  t.end();
});

test("two long parents that differ at the end have different children", (t) => {
  t.not(childName(`${long}x`, "-private"), childName(`${long}y`, "-private"));
  t.not(childName(`${long}x`, `-${"s".repeat(40)}`), childName(`${long}y`, `-${"s".repeat(40)}`));
  t.end();
});
