import { test } from "tap";
import { azureWorkload } from "./azure-trace.ts";

const header = "app,func,end_timestamp,duration";

test("the busiest function of a trace, from its first start", async (t) => {
  const lines = [header, "a,f1,10.5,0.5", "b,f2,100,1", "a,f1,12.25,0.25", "a,f1,11,2", ""];
  const { arrivalMs, serviceMs, name } = await azureWorkload(lines);
  t.same([...arrivalMs], [0, 1000, 3000], "starts, in order: 9, 10 and 12 s");
  t.same([...serviceMs], [2000, 500, 250]);
  t.equal(name, "function f1");
});

test("a part of a trace", async (t) => {
  const lines = ["func,duration,app,end_timestamp", "f1,1,a,1", "f2,1,a,1", "f1,1,a,50", "f1,1,a,99"];
  t.same([...(await azureWorkload(lines, { func: "f1", mostMs: 60_000 })).arrivalMs], [0, 49_000]);
});

test("what is no such trace is refused with the line", async (t) => {
  const rows: { lines: string[]; want: string }[] = [
    { lines: ["a,b"], want: "line 1: no column app, func, end_timestamp, duration" },
    { lines: [header, "a,f,x,1"], want: "line 2: want numbers in end_timestamp and duration" },
    { lines: [header, "a,f,1"], want: "line 2: want numbers in end_timestamp and duration" },
    { lines: [header], want: "no invocations" },
  ];
  for (const { lines, want } of rows) await t.rejects(azureWorkload(lines), { message: want });
});
