import { test } from "tap";
import { StartPacing } from "./start-pacing.ts";

const never = new AbortController().signal;

test("starts are admitted in order of arrival, so many at a time", async (t) => {
  const pacing = new StartPacing({ limit: 2, maxHoldMs: 60_000 });
  const admitted: string[] = [];
  const start = async (name: string, first = false) => {
    const place = await pacing.place(first, never);
    admitted.push(name);
    return place;
  };
  const one = await start("one");
  await start("two");
  const three = start("three");
  const four = start("four");
  const platform = await start("platform", true);
  t.same(admitted, ["one", "two", "platform"], "the platform's do not wait");
  platform.release();
  one.release();
  one.release();
  (await three).release();
  await four;
  t.same(admitted, ["one", "two", "platform", "three", "four"]);
});

test("a start that takes too long gives its place up, one that is called off leaves the queue", async (t) => {
  const pacing = new StartPacing({ limit: 1, maxHoldMs: 1 });
  await pacing.place(false, never);
  const off = new AbortController();
  const leaving = pacing.place(false, off.signal);
  off.abort(new Error("deleted"));
  await t.rejects(leaving, { message: "deleted" });
  const keepsLoopAlive = setTimeout(() => {}, 60_000);
  await t.resolves(pacing.place(false, never));
  clearTimeout(keepsLoopAlive);
});
