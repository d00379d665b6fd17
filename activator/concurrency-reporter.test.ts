import { test } from "tap";
import { ConcurrencyReporter } from "./concurrency-reporter.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const create = () => {
  const clock = { nowMs: 1000 };
  const sent: string[] = [];
  let version = -1;
  const send = (): void => {
    const { loads, version: upTo } = reporter.changedSince(version);
    version = upTo;
    sent.push(loads.map(({ revision, load }) => `${revision.name}:${load.inFlight}/${load.arrivals}`).join(" "));
  };
  const reporter = new ConcurrencyReporter({ nowMs: () => clock.nowMs, onUrgent: send });
  return { clock, sent, send, reporter, acknowledge: () => reporter.acknowledged(version) };
};

test("the first held request is told at once, with all that arrived in the same turn", async (t) => {
  const { reporter, sent } = create();
  const revision = reporter.of("ns", "r");
  for (let request = 0; request < 100; request += 1) {
    reporter.arrived(revision);
    reporter.hold(revision);
  }
  t.strictSame(sent, [], "not before the turn is over");
  await turn();
  t.strictSame(sent, ["r:100/100"]);
});

test("a queue that doubles is told again, one that grows little is not", async (t) => {
  const { clock, reporter, sent } = create();
  const revision = reporter.of("ns", "r");
  const hold = (count: number): void => {
    for (let request = 0; request < count; request += 1) {
      reporter.arrived(revision);
      reporter.hold(revision);
    }
  };
  hold(10);
  await turn();
  hold(90);
  await turn();
  t.equal(sent.length, 1, "too soon");
  clock.nowMs += 100;
  hold(1);
  await turn();
  t.strictSame(sent, ["r:10/10", "r:101/101"]);
  clock.nowMs += 1000;
  hold(10);
  await turn();
  t.equal(sent.length, 2, "no more than a tenth");
});

test("a load is reported until it is acknowledged and at rest", async (t) => {
  const { clock, reporter, sent, send, acknowledge } = create();
  const revision = reporter.of("ns", "r");
  reporter.of("ns", "idle");
  reporter.arrived(revision);
  clock.nowMs += 500;
  send();
  acknowledge();
  send();
  reporter.left(revision);
  send();
  acknowledge();
  send();
  t.strictSame(sent, ["r:1/1", "r:1/1", "r:0/1", ""]);
  t.equal(reporter.changedSince(0).loads.length, 1, "but a new receiver hears of all that ever had requests");
  t.equal(reporter.changedSince(0).loads[0]?.load.requestSeconds, 0.5);
});
