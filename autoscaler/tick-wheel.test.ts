import { test } from "tap";
import { TickWheel } from "./tick-wheel.ts";

/** A wheel of two seconds in four slots, and the times of each member's turns. */
function scene() {
  let nowMs = 0;
  let timer: { atMs: number; call: () => void } | undefined;
  let timers = 0;
  const turns: [string, number][] = [];
  const wheel = new TickWheel<string>({
    periodMs: 2000,
    slots: 4,
    turn: (member) => turns.push([member, nowMs]),
    nowMs: () => nowMs,
    after(ms, call) {
      timers += 1;
      timer = { atMs: nowMs + ms, call };
      return () => (timer = undefined);
    },
  });
  return {
    wheel,
    turns,
    timers: () => timers,
    waits: () => timer !== undefined,
    /** The timer fires when it is due, or `lateMs` after. */
    fire(lateMs = 0) {
      const { atMs, call } = timer!;
      timer = undefined;
      nowMs = atMs + lateMs;
      call();
    },
    set: (ms: number) => (nowMs = ms),
  };
}

test("everyone's turn comes once a period", (t) => {
  const s = scene();
  s.wheel.add("a", 1);
  s.wheel.add("b", 3);
  for (let slot = 0; slot < 8; slot++) s.fire();
  t.same(s.turns, [
    ["a", 500],
    ["b", 1500],
    ["a", 2500],
    ["b", 3500],
  ]);
  t.end();
});

test("a turn that comes late makes none of the later ones late", (t) => {
  const s = scene();
  s.wheel.add("a", 1);
  for (let slot = 0; slot < 13; slot++) s.fire(slot === 4 ? 1200 : 60);
  t.same(
    s.turns.map(([, atMs]) => atMs),
    [560, 3700, 4560, 6560],
  );
  t.end();
});

test("after a standstill nothing is made up for, and a clock that is set stops nothing", (t) => {
  const s = scene();
  s.wheel.add("a", 1);
  s.fire(60_000);
  s.fire();
  t.equal(s.timers(), 3);
  t.equal(s.turns.length, 1);
  s.set(-3_600_000);
  s.fire(-3_600_000);
  for (let slot = 0; slot < 4; slot++) s.fire();
  t.ok(s.turns.at(-1)![1] < -3_500_000, "an hour back: the turns go on");
  t.end();
});

test("an empty wheel stands still", (t) => {
  const s = scene();
  s.wheel.add("a", 1);
  s.wheel.delete("a", 1);
  s.fire();
  t.notOk(s.waits());
  s.wheel.add("b", 2);
  t.ok(s.waits());
  s.wheel.stop();
  t.notOk(s.waits());
  t.end();
});
