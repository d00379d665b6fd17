import { test } from "tap";
import type { Scraped, ScrapeTarget } from "./scrape.ts";
import { ScrapeSchedule } from "./scrape-schedule.ts";

const t0 = 1_700_000_000_000;
const target: ScrapeTarget = { pods: [], namespace: "ns", service: "s", stableWindowMs: 60_000 };

/** A schedule on a clock that stands until the test moves it. */
function scene(limit?: number) {
  let nowMs = t0;
  let timer: { atMs: number; call: () => void } | undefined;
  const wanted = new Set<string>();
  const looks: { key: string; atMs: number }[] = [];
  const open: ((scraped: Scraped) => void)[] = [];
  let holding = false;
  const schedule = new ScrapeSchedule({
    target: (key) => (wanted.has(key) ? target : undefined),
    scrape: () => (holding ? new Promise((resolve) => open.push(resolve)) : Promise.resolve({ is: "nothing" })),
    onScraped: (key, _scraped, atMs) => void looks.push({ key, atMs }),
    onError: (_key, error) => {
      throw error;
    },
    nowMs: () => nowMs,
    after(ms, call) {
      timer = { atMs: nowMs + ms, call };
      return () => (timer = undefined);
    },
    ...(limit === undefined ? {} : { limit }),
  });
  /** Timers are late by `lateMs`. */
  const pass = async (ms: number, lateMs = 0): Promise<void> => {
    const end = nowMs + ms;
    while (timer !== undefined && timer.atMs + lateMs <= end) {
      nowMs = timer.atMs + lateMs;
      const { call } = timer;
      timer = undefined;
      call();
      await new Promise((resolve) => setImmediate(resolve));
    }
    nowMs = end;
  };
  return {
    schedule,
    looks,
    pass,
    want: (key: string, yes = true): void => {
      if (yes) wanted.add(key);
      else wanted.delete(key);
      schedule.look(key);
    },
    hold: () => (holding = true),
    asking: () => open.length,
    release: async () => {
      holding = false;
      for (const resolve of open.splice(0)) resolve({ is: "nothing" });
      await new Promise((resolve) => setImmediate(resolve));
    },
    timer: () => timer,
  };
}

test("without anybody to ask no timer runs, and it stops when the last is gone", async (t) => {
  const { schedule, want, pass, timer } = scene();
  schedule.look("ns/streams");
  t.equal(timer(), undefined);
  want("ns/a");
  t.ok(timer());
  want("ns/a", false);
  await pass(1000);
  t.equal(timer(), undefined);
});

test("one look in each second, also when timers are late", async (t) => {
  const { want, pass, looks } = scene();
  want("ns/a");
  await pass(30_000, 37);
  await pass(30_000, 180);
  const seconds = looks.map(({ atMs }) => Math.floor(atMs / 1000));
  t.equal(new Set(seconds).size, looks.length, "never two");
  t.ok(looks.length >= 58, `${looks.length} looks`);
  t.ok(looks[0]!.atMs >= t0 + 1000, "the first not before a stream had time to come");
});

test("a look that takes long delays the next", async (t) => {
  const { want, pass, looks, hold, release } = scene();
  want("ns/a");
  hold();
  await pass(5000);
  t.equal(looks.length, 0);
  await release();
  t.equal(looks.length, 1, "one, not five");
});

test("what comes of a revision that is not asked any more is dropped", async (t) => {
  const { want, pass, looks, hold, release } = scene();
  want("ns/a");
  hold();
  await pass(2500);
  want("ns/a", false);
  await release();
  t.equal(looks.length, 0);
});

test("with more to ask than may be asked at a time, the others have their turn", async (t) => {
  const { want, pass, looks, hold, release, asking } = scene(2);
  for (const key of ["ns/a", "ns/b", "ns/c", "ns/d"]) want(key);
  hold();
  await pass(2500);
  t.equal(asking(), 2);
  await release();
  await release();
  t.strictSame([...new Set(looks.map(({ key }) => key))].sort(), ["ns/a", "ns/b", "ns/c", "ns/d"]);
});
