import { test } from "tap";
import { TimeWindow } from "./time-window.ts";

const t0 = 1_700_000_000_000;

test("a window of five seconds", (t) => {
  const rows = [
    { after: "nothing", atS: 0, linear: 0, weighted: 0, empty: true },
    { after: "10 at 0 s", write: [0, 10], atS: 0, linear: 10, weighted: 8.415107, empty: false },
    { after: "20 at 1 s", write: [1, 20], atS: 1, linear: 15, weighted: 18.163918, empty: false },
    { after: "4 more in the same second", write: [1.5, 4], atS: 1.5, linear: 17, weighted: 21.529961, empty: false },
    { after: "6 after a gap of two seconds", write: [4, 6], atS: 4, linear: 8, weighted: 5.134776, empty: false },
    { after: "one silent second", atS: 5, linear: 7.5, weighted: 0.812966, empty: false },
    { after: "two silent seconds", atS: 6, linear: 2, weighted: 0.126827, empty: false },
    { after: "four silent seconds", atS: 8, linear: 6, weighted: 0.003186, empty: false },
    { after: "exactly the window of silence", atS: 9, linear: 0, weighted: 0, empty: false },
    { after: "more than the window of silence", atS: 10, linear: 0, weighted: 0, empty: true },
    { after: "100 that arrive late", write: [3, 100], atS: 4, linear: 28, weighted: 18.471822, empty: false },
    { after: "7 after everything has left", write: [20, 7], atS: 20, linear: 7, weighted: 5.890575, empty: false },
    { after: "8 next to it", write: [21, 8], atS: 21, linear: 7.5, weighted: 7.665679, empty: false },
  ];
  const linear = new TimeWindow(5000, "linear");
  const weighted = new TimeWindow(5000, "weighted-exponential");
  for (const { after, write, atS, ...want } of rows) {
    if (write !== undefined) for (const window of [linear, weighted]) window.record(t0 + write[0]! * 1000, write[1]!);
    const now = t0 + atS * 1000;
    t.same(
      { linear: linear.average(now), weighted: to6(weighted.average(now)), empty: linear.isEmpty(now) },
      want,
      `after ${after}`,
    );
  }
  t.end();
});

test("a step from 10 to 100 after 60 seconds", (t) => {
  const rows = [
    { k: 1, linear60: 11.5, weighted60: 28, linear6: 25, weighted6: 80.61 },
    { k: 2, linear60: 13, weighted60: 42.4, linear6: 40, weighted6: 95.82 },
    { k: 3, linear60: 14.5, weighted60: 53.92, linear6: 55, weighted6: 99.1 },
    { k: 6, linear60: 19, weighted60: 76.41, linear6: 100, weighted6: 99.99 },
    { k: 11, linear60: 26.5, weighted60: 92.27, linear6: 100, weighted6: 99.99 },
    { k: 30, linear60: 55, weighted60: 99.89, linear6: 100, weighted6: 99.99 },
  ];
  const windows = {
    linear60: new TimeWindow(60_000, "linear"),
    weighted60: new TimeWindow(60_000, "weighted-exponential"),
    linear6: new TimeWindow(6000, "linear"),
    weighted6: new TimeWindow(6000, "weighted-exponential"),
  };
  for (let second = 1; second <= 90; second++) {
    const now = t0 + second * 1000;
    for (const window of Object.values(windows)) window.record(now, second <= 60 ? 10 : 100);
    const row = rows.find((candidate) => candidate.k === second - 60);
    if (row === undefined) continue;
    const seen = Object.fromEntries(
      Object.entries(windows).map(([name, window]) => [name, Math.round(window.average(now) * 100) / 100]),
    );
    t.same({ k: row.k, ...seen }, row, `${row.k} seconds into the step`);
  }
  t.end();
});

test("a resized window keeps its newest seconds", (t) => {
  const window = new TimeWindow(10_000, "linear");
  for (let second = 0; second < 10; second++) window.record(t0 + second * 1000, second);
  window.resize(5000);
  t.equal(window.average(t0 + 9000), 7, "the average of 5 to 9");
  window.resize(10_000);
  t.equal(window.average(t0 + 9000), 7, "what was dropped does not come back as zero");
  t.end();
});

function to6(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
