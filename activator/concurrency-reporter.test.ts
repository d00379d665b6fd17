import { test } from "tap";
import { ConcurrencyReporter, type ReportedLoad } from "./concurrency-reporter.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const create = () => {
  const clock = { nowMs: 1000 };
  const timers: { atMs: number; call: () => void }[] = [];
  const sent: string[] = [];
  let version = -1;
  const note = (loads: ReportedLoad[]): void => {
    sent.push(loads.map(({ revision, load }) => `${revision.name}:${load.inFlight}/${load.arrivals}`).join(" "));
  };
  const send = (): void => {
    const { loads, version: upTo } = reporter.changedSince(version);
    version = upTo;
    note(loads);
  };
  const reporter = new ConcurrencyReporter({
    nowMs: () => clock.nowMs,
    onUrgent: note,
    after: (ms, call) => timers.push({ atMs: clock.nowMs + ms, call }),
  });
  const hold = (count: number, name = "r"): void => {
    const revision = reporter.of("ns", name);
    for (let request = 0; request < count; request += 1) {
      reporter.arrived(revision);
      reporter.hold(revision);
    }
  };
  const arrive = (count: number, name = "r"): void => {
    for (let request = 0; request < count; request += 1) reporter.arrived(reporter.of("ns", name));
  };
  /** Time passes; whatever was asked for by then is done, and its turns of the event loop. */
  const pass = async (ms: number): Promise<void> => {
    const endMs = clock.nowMs + ms;
    for (;;) {
      for (let turns = 0; turns < 4; turns += 1) await turn();
      timers.sort((a, b) => a.atMs - b.atMs);
      if (timers[0] === undefined || timers[0].atMs > endMs) break;
      const { atMs, call } = timers.shift()!;
      clock.nowMs = Math.max(clock.nowMs, atMs);
      call();
    }
    clock.nowMs = endMs;
  };
  return { clock, sent, send, reporter, hold, arrive, pass, acknowledge: () => reporter.acknowledged(version) };
};

test("the first held request is told at once, with all that arrived in the same turn", async (t) => {
  const { hold, pass, sent } = create();
  hold(100);
  t.strictSame(sent, [], "not before the turn is over");
  await pass(0);
  t.strictSame(sent, ["r:100/100"]);
});

test("a lone request waits for one turn only", async (t) => {
  const { hold, sent } = create();
  hold(1);
  await turn();
  t.strictSame(sent, ["r:1/1"]);
});

test("a burst that comes over several turns is told whole", async (t) => {
  const { clock, hold, pass, sent } = create();
  for (let turns = 0; turns < 10; turns += 1) {
    hold(10);
    clock.nowMs += 0.4;
    await turn();
  }
  await pass(0);
  t.strictSame(sent, ["r:100/100"]);
});

test("one that goes on for longer is told in between", async (t) => {
  const { clock, hold, sent } = create();
  for (let turns = 0; turns < 10; turns += 1) {
    hold(10);
    clock.nowMs += 0.6;
    await turn();
  }
  t.strictSame(sent, ["r:90/90"]);
});

test("a queue that grows on is told again, at growing distances, to its last request", async (t) => {
  const { hold, pass, sent } = create();
  for (let ms = 0; ms < 300; ms += 1) {
    hold(1);
    await pass(1);
  }
  await pass(500);
  t.strictSame(
    sent.map((each) => each.split("/")[1]),
    ["1", "2", "6", "14", "30", "62", "126", "254", "300"],
  );
});

test("after a second of quiet the next burst is told at once again", async (t) => {
  const { reporter, hold, pass, sent, send } = create();
  for (let ms = 0; ms < 100; ms += 1) {
    hold(1);
    await pass(1);
  }
  await pass(500);
  const before = sent.length;
  for (let request = 0; request < 100; request += 1) reporter.left(reporter.of("ns", "r"));
  send();
  await pass(600);
  hold(5);
  await pass(0);
  hold(1);
  await pass(2);
  t.strictSame(sent.slice(before), ["r:0/100", "r:5/105", "r:6/106"], "and what follows it soon after");
});

test("a queue that only replaces what left is no news", async (t) => {
  const { reporter, hold, pass, sent } = create();
  hold(10);
  await pass(0);
  for (let ms = 0; ms < 200; ms += 1) {
    reporter.left(reporter.of("ns", "r"));
    hold(1);
    await pass(1);
  }
  t.strictSame(sent, ["r:10/10"]);
});

test("requests that wait for nothing are told when they have doubled since the last report", async (t) => {
  const { arrive, pass, sent, send } = create();
  arrive(1);
  await pass(1000);
  t.strictSame(sent, [], "a lone one has time");
  send();
  arrive(4);
  await pass(1000);
  send();
  arrive(4);
  await pass(100);
  t.strictSame(sent, ["r:1/1", "r:5/5", "r:5/5"], "9 are less than twice 5");
  arrive(41);
  await pass(0);
  t.equal(sent.at(-1), "r:50/50");
});

test("what follows a surge is told with it, until the distances are long", async (t) => {
  const { arrive, pass, sent } = create();
  arrive(40);
  await pass(0);
  arrive(1);
  await pass(2);
  t.strictSame(sent, ["r:40/40", "r:41/41"]);
  for (let ms = 0; ms < 800; ms += 20) {
    arrive(1);
    await pass(20);
  }
  t.equal(sent.at(-1), "r:48/48", "over the first tenths of a second");
  t.equal(sent.length, 7, "then it is left to its period");
});

test("only what has grown is told ahead of its period, whatever else there is", async (t) => {
  const { arrive, hold, pass, sent, send } = create();
  arrive(20, "busy");
  await pass(0);
  send();
  hold(1, "a");
  hold(2, "b");
  await pass(0);
  t.equal(sent.at(-1), "a:1/1 b:2/2");
});

test("a revision that is forgotten is told no more", async (t) => {
  const { reporter, hold, pass, sent } = create();
  hold(1);
  await pass(0);
  hold(1);
  reporter.forget("ns", "r");
  await pass(100);
  t.strictSame(sent, ["r:1/1"]);
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
