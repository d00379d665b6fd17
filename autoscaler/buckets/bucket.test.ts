import { test } from "tap";
import { Buckets } from "./bucket.ts";

/** Revision → its bucket of 3 and of 10, as Knative's autoscaler chooses. */
const rows: [string, string, string][] = [
  ["default/hello-00001", "00-of-03", "05-of-10"],
  ["default/hello-00002", "01-of-03", "08-of-10"],
  ["prod/api-00042", "00-of-03", "00-of-10"],
  ["a/b", "02-of-03", "04-of-10"],
  ["team-x/worker-00003", "00-of-03", "05-of-10"],
];
for (const [key, ofThree, ofTen] of rows)
  test(`${key} is in the bucket that Knative puts it in`, (t) => {
    t.equal(new Buckets(3).of(key), `autoscaler-bucket-${ofThree}`);
    t.equal(new Buckets(10).of(key), `autoscaler-bucket-${ofTen}`);
    t.end();
  });

test("a single bucket has all", (t) => {
  t.equal(new Buckets(1).of("default/hello-00001"), "autoscaler-bucket-00-of-01");
  t.end();
});

test("many revisions are spread over all buckets, none with more than its part and a half", (t) => {
  const buckets = new Buckets(4);
  const counts = new Map<string, number>();
  for (let index = 0; index < 2000; index++) {
    const bucket = buckets.of(`team-${index % 7}/app-${index}-00001`);
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  }
  t.equal(counts.size, 4);
  t.ok(Math.max(...counts.values()) < 750, JSON.stringify([...counts]));
  t.end();
});
