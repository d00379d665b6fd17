import * as fc from "fast-check";
import { test } from "tap";
import { averagesBetween, RequestStats } from "./request-stats.ts";

// The vectors of autoscaling 2.1, one run: events, then a report.
const vectors = [
  {
    name: "two requests that overlap, one through an activator",
    events: (stats: RequestStats) => {
      stats.arrived(0, false);
      stats.arrived(250, true);
      stats.left(500, false);
      stats.left(750, true);
    },
    reportMs: 1000,
    want: { concurrency: 1, proxiedConcurrency: 0.5, requestsPerSecond: 2, proxiedRequestsPerSecond: 1 },
  },
  {
    name: "nothing",
    events: () => {},
    reportMs: 2000,
    want: { concurrency: 0, proxiedConcurrency: 0, requestsPerSecond: 0, proxiedRequestsPerSecond: 0 },
  },
  {
    name: "one that arrives in the middle",
    events: (stats: RequestStats) => stats.arrived(2400, false),
    reportMs: 3000,
    want: { concurrency: 0.6, proxiedConcurrency: 0, requestsPerSecond: 1, proxiedRequestsPerSecond: 0 },
  },
  {
    name: "it is still there",
    events: () => {},
    reportMs: 4000,
    want: { concurrency: 1, proxiedConcurrency: 0, requestsPerSecond: 0, proxiedRequestsPerSecond: 0 },
  },
  {
    name: "its end, stamped before the last report",
    events: (stats: RequestStats) => stats.left(3900, false),
    reportMs: 5000,
    want: { concurrency: 0, proxiedConcurrency: 0, requestsPerSecond: 0, proxiedRequestsPerSecond: 0 },
  },
];

test("averages per second are Knative's", (t) => {
  const stats = new RequestStats(0);
  let last = stats.load(0);
  for (const { name, events, reportMs, want } of vectors) {
    events(stats);
    const next = stats.load(reportMs);
    const got = averagesBetween(last, next);
    last = next;
    for (const [field, value] of Object.entries(want))
      t.ok(Math.abs(got[field as keyof typeof got] - value) < 1e-9, `${name}: ${field} is ${value}`);
  }
  t.end();
});

test("nothing is ever negative or decreases, whatever the clock does", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ atMs: fc.integer({ min: -10, max: 5000 }), arrive: fc.boolean(), proxied: fc.boolean() })),
      (events) => {
        const stats = new RequestStats(0);
        let last = stats.load(0);
        for (const { atMs, arrive, proxied } of events) {
          if (arrive) stats.arrived(atMs, proxied);
          else stats.left(atMs, proxied);
          const next = stats.load(atMs);
          if (Object.values(next).some((value) => value < 0)) return false;
          if (next.requestSeconds < last.requestSeconds || next.arrivals < last.arrivals || next.clockMs < last.clockMs)
            return false;
          if (Object.values(averagesBetween(last, next)).some((value) => value < 0 || Number.isNaN(value)))
            return false;
          last = next;
        }
        return true;
      },
    ),
  );
  t.end();
});
