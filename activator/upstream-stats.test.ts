import * as fc from "fast-check";
import { test } from "tap";
import type { WireStatMessage } from "../proto/gen/upstream-stat.ts";
import { ConcurrencyReporter, type ReportedLoad } from "./concurrency-reporter.ts";
import { encoded, UpstreamStats } from "./upstream-stats.ts";

/** A reporter and its stats on a clock that the test moves; what is urgent is told when the test says so. */
function scene() {
  let nowMs = 5000;
  const startMs = nowMs;
  const urgent: ReportedLoad[] = [];
  const reporter = new ConcurrencyReporter({
    nowMs: () => nowMs,
    onUrgent: (loads) => void urgent.push(...loads),
    after: () => undefined,
  });
  const stats = new UpstreamStats({ reporter, pod: "act-1", nowMs });
  const of = reporter.of("default", "hello-00001");
  const at = (ms: number): number => (nowMs = startMs + ms);
  const arrive = (count: number): void => {
    for (let each = 0; each < count; each++) reporter.arrived(of);
  };
  const leave = (count: number): void => {
    for (let each = 0; each < count; each++) reporter.left(of);
  };
  const tellUrgent = (): WireStatMessage[] => stats.urgent(reporter.changedSince(0).loads, nowMs);
  return { reporter, stats, of, at, arrive, leave, tellUrgent, cut: () => stats.cut(nowMs) };
}

const shown = (messages: WireStatMessage[]): string =>
  messages.map(({ stat }) => `${stat!.averageConcurrentRequests}/${stat!.requestCount}`).join(" ") || "none";

test("a burst that is held is told as Knative's activator tells it", (t) => {
  const { at, arrive, leave, tellUrgent, cut } = scene();
  at(0);
  arrive(100);
  t.equal(shown(tellUrgent()), "1/1", "at once");
  t.equal(shown(tellUrgent()), "none", "and not again");
  at(400);
  t.equal(shown(cut()), "99/99");
  at(1400);
  t.equal(shown(cut()), "100/0");
  at(2400);
  t.equal(shown(cut()), "100/0");
  at(2900);
  leave(100);
  at(3400);
  t.equal(shown(cut()), "50/0");
  at(4400);
  t.equal(shown(cut()), "0/0", "once more, as nothing");
  at(5400);
  t.equal(shown(cut()), "none");
  t.end();
});

test("one request that is held on is taken from the first second, which it was told ahead of", (t) => {
  const { at, arrive, tellUrgent, cut } = scene();
  at(0);
  arrive(1);
  tellUrgent();
  at(300);
  t.equal(shown(cut()), "0/0");
  at(1300);
  t.equal(shown(cut()), "1/0");
  t.end();
});

test("after a long time of nothing a request counts in its own second", (t) => {
  const { at, arrive, leave, cut } = scene();
  at(0);
  arrive(1);
  leave(1);
  for (let second = 1; second <= 100; second++) {
    at(second * 1000);
    cut();
  }
  at(100_500);
  arrive(2);
  at(101_000);
  t.equal(shown(cut()), "1/2", "two for half a second");
  t.end();
});

test("a new receiver hears of what is in flight at once, and has it once", (t) => {
  const { at, arrive, stats, tellUrgent, cut } = scene();
  t.equal(shown(stats.present()), "none");
  at(0);
  arrive(3);
  tellUrgent();
  at(1000);
  cut();
  t.equal(shown(stats.present()), "1/1");
  at(2000);
  t.equal(shown(cut()), "2/0");
  t.end();
});

test("what was in flight before the first report is told without being told as arrived", (t) => {
  const { reporter, at, arrive } = scene();
  at(0);
  arrive(4);
  const later = new UpstreamStats({ reporter, pod: "act-1", nowMs: at(700) });
  t.equal(shown(later.present()), "1/1");
  t.equal(shown(later.cut(at(1700))), "3/0");
  t.end();
});

test("on the wire it is what Knative's own code writes", (t) => {
  const { at, arrive, tellUrgent } = scene();
  at(0);
  arrive(1);
  t.equal(
    Buffer.from(encoded(tellUrgent())).toString("hex"),
    "0a310a0764656661756c74120b68656c6c6f2d30303030311a190a056163742d3111000000000000f03f21000000000000f03f",
  );
  t.end();
});

test("every request is told once, and all the time that requests took, whatever their order", (t) => {
  const step = fc.record({
    ms: fc.integer({ min: 0, max: 1500 }),
    arrive: fc.nat(4),
    leave: fc.nat(4),
    cut: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { at, arrive, leave, cut, of } = scene();
      let [ms, lastCutMs, arrivals, told, seconds, toldSeconds] = [0, 0, 0, 0, 0, 0];
      const take = (): void => {
        const messages = cut();
        for (const { stat } of messages) {
          told += stat!.requestCount;
          toldSeconds += (stat!.averageConcurrentRequests * (ms - lastCutMs)) / 1000;
        }
        lastCutMs = ms;
      };
      for (const each of [...steps, { ms: 1, arrive: 0, leave: 0, cut: true }]) {
        ms += each.ms;
        seconds += (of.stats.inFlight * each.ms) / 1000;
        at(ms);
        arrive(each.arrive);
        arrivals += each.arrive;
        leave(Math.min(each.leave, of.stats.inFlight));
        if (each.cut && ms > lastCutMs) take();
      }
      return told === arrivals && Math.abs(toldSeconds - seconds) < 1e-6;
    }),
  );
  t.end();
});
