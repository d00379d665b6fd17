import { test } from "tap";
import { chooseSubset } from "./consistent-subset.ts";

const activators = [1, 2, 3, 4, 5].map((last) => `10.0.0.${last}`);

const rows = [
  { target: "hello-00001", count: 1, want: [5] },
  { target: "hello-00001", count: 2, want: [4, 5] },
  { target: "hello-00001", count: 3, want: [2, 4, 5] },
  { target: "hello-00002", count: 1, want: [5] },
  { target: "hello-00002", count: 2, want: [2, 5] },
  { target: "hello-00002", count: 3, want: [2, 3, 5] },
  { target: "hello-00002", count: 9, want: [1, 2, 3, 4, 5] },
];
for (const { target, count, want } of rows)
  test(`${target} is backed by the same ${count} of five activators as with Knative`, (t) => {
    t.same(
      chooseSubset(activators.toReversed(), count, target),
      want.map((last) => `10.0.0.${last}`),
    );
    t.end();
  });
