import * as fc from "fast-check";
import { test } from "tap";
import { Collection } from "./collector.ts";

const t0 = 1_700_000_000_000;

test("a load that is steady is seen as such, whatever the delays of its messages", (t) => {
  const delays = fc.array(fc.double({ min: 0, max: 8, noNaN: true }), { minLength: 8, maxLength: 40 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), fc.constantFrom(100, 1000), delays, (inFlight, everyMs, late) => {
      const settings = { stableWindowMs: 6000, panicWindowMs: 2000, aggregation: "linear" as const };
      const collection = new Collection(settings, t0);
      const source = collection.attach("activator", "activator", 1, t0);
      for (const [at, lateMs] of late.entries()) {
        const clockMs = at * everyMs;
        const requestSeconds = (inFlight * clockMs) / 1000;
        const nowMs = t0 + clockMs + lateMs;
        const none = { proxiedRequestSeconds: 0, proxiedArrivals: 0, proxiedInFlight: 0 };
        collection.record(source, { clockMs, requestSeconds, arrivals: inFlight, inFlight, ...none }, nowMs);
        // The first second is that of the beginning.
        if (clockMs < 2000) continue;
        const { stable, panic } = collection.averages("concurrency", nowMs);
        if (panic > inFlight || panic < inFlight * 0.98 || stable > inFlight) return false;
      }
      return true;
    }),
    { numRuns: 300 },
  );
  t.pass();
  t.end();
});
