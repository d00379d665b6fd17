import { test } from "tap";
import { Stat } from "../../proto/gen/upstream-stat.ts";
import { checkStat } from "./stat.ts";

const nowMs = 1_700_000_000_000;
const stat = (fields: Partial<Stat>): Stat => ({ ...Stat.decode(Buffer.alloc(0)), podName: "pod", ...fields });
const check = (fields: Partial<Stat>) => checkStat(stat(fields), nowMs, 60_000);

test("a stat as Knative's own queue-proxy answered it, with five requests of ours and three through an activator", (t) => {
  const bytes = "0a0f68656c6c6f2d30303030312d706f6411000000000000204019000000000000084031090d9ceacb031440";
  const answered = Stat.decode(Buffer.from(bytes, "hex"));
  t.equal(answered.podName, "hello-00001-pod");
  t.strictSame(checkStat(answered, nowMs, 60_000), { is: "good", load: { concurrency: 5, requests: 0 }, atMs: nowMs });
  t.end();
});

const refused: [string, Partial<Stat>, string][] = [
  ["not a number", { averageConcurrentRequests: Number.NaN }, "malformed"],
  ["endless", { requestCount: Infinity }, "malformed"],
  ["a negative concurrency", { averageConcurrentRequests: -0.1 }, "malformed"],
  ["nothing but negative", { averageConcurrentRequests: -1, averageProxiedConcurrentRequests: -2 }, "malformed"],
  ["fewer than no requests", { requestCount: -1.5 }, "malformed"],
  ["a part above the whole", { averageConcurrentRequests: 1, averageProxiedConcurrentRequests: 2 }, "malformed"],
  ["more requests passed on than came", { requestCount: 1, proxiedRequestCount: 1e6 }, "malformed"],
  ["a negative time", { timestamp: -1 }, "malformed"],
  ["a name that no pod can have", { podName: "x".repeat(254) }, "malformed"],
  ["an uptime that is no number", { processUptime: Number.NaN }, "malformed"],
  ["a concurrency beyond belief", { averageConcurrentRequests: 1e9 }, "implausible"],
  ["arrivals beyond belief", { requestCount: 1e9 }, "implausible"],
  ["a time to come", { timestamp: nowMs / 1000 + 6 }, "future"],
];
for (const [name, fields, because] of refused)
  test(`${name} is refused as ${because}`, (t) => {
    t.strictSame(check(fields), { is: "refused", because });
    t.end();
  });

test("what is good: clocks that differ a little, and the request that an activator told of before", (t) => {
  t.match(check({ timestamp: nowMs / 1000 + 4 }), { is: "good", atMs: nowMs + 4000 });
  t.match(check({ requestCount: -1 }), { is: "good", load: { requests: -1 } });
  t.strictSame(check({ timestamp: nowMs / 1000 - 60 }), { is: "stale" });
  t.match(check({ timestamp: nowMs / 1000 - 59 }), { is: "good", atMs: nowMs - 59_000 });
  t.end();
});
