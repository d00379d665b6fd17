import { mock } from "node:test";
import { test } from "tap";
import { WorkQueue } from "./work-queue.ts";

test("a work queue hands out keys in order of arrival, each once", async (t) => {
  const queue = new WorkQueue();
  for (const key of ["a", "b", "a", "c", "b"]) queue.add(key);
  t.equal(queue.depth, 3);
  t.strictSame([await queue.take(), await queue.take(), await queue.take()], ["a", "b", "c"]);
});

test("a key that is added while it runs is run again, and only after done", async (t) => {
  const queue = new WorkQueue();
  queue.add("a");
  t.equal(await queue.take(), "a");
  queue.add("a");
  queue.add("a");
  t.equal(queue.depth, 0, "nobody else may run it");
  queue.done("a");
  t.equal(queue.depth, 1);
  t.equal(await queue.take(), "a");
  queue.done("a");
  t.equal(queue.depth, 0);
});

test("workers that wait are served in order, and let go at shutdown", async (t) => {
  const queue = new WorkQueue();
  const taken = [queue.take(), queue.take(), queue.take()];
  queue.add("a");
  queue.add("b");
  queue.shutDown();
  t.strictSame(await Promise.all(taken), ["a", "b", undefined]);
  queue.add("c");
  t.equal(await queue.take(), undefined);
});

test("of several times for one key the earliest counts", async (t) => {
  const queue = new WorkQueue();
  queue.addAfter("late", 3_600_000);
  queue.addAfter("early", 3_600_000);
  queue.addAfter("early", 1);
  queue.addAfter("early", 3_600_000);
  t.equal(await queue.take(), "early");
  queue.shutDown();
});

test("retries of a key take longer each time until it is forgotten", async (t) => {
  mock.timers.enable({ apis: ["setTimeout"] });
  t.teardown(() => mock.timers.reset());
  const queue = new WorkQueue(() => 1);
  const delays: number[] = [];
  for (const step of [1, 2, 3, "forget", 5] as const) {
    if (step === "forget") {
      queue.forget("a");
      continue;
    }
    queue.addRateLimited("a");
    let waited = 0;
    for (; queue.depth === 0; waited += 1) mock.timers.tick(1);
    delays.push(waited);
    queue.done((await queue.take())!);
  }
  t.strictSame(delays, [5, 10, 20, 5]);
});

test("order holds over many keys", async (t) => {
  const queue = new WorkQueue();
  const keys = Array.from({ length: 5000 }, (_, at) => `key-${at}`);
  for (const key of keys) queue.add(key);
  const taken: (string | undefined)[] = [];
  for (let at = 0; at < 2500; at += 1) taken.push(await queue.take());
  queue.add("last");
  while (queue.depth > 0) taken.push(await queue.take());
  t.strictSame(taken, [...keys, "last"]);
});

test("what nobody waits for comes after the others, but comes", async (t) => {
  const queue = new WorkQueue();
  for (const key of ["a1", "a2"]) queue.addBehind(key);
  for (let at = 0; at < 20; at += 1) queue.add(`b${at}`);
  t.equal(queue.depth, 22);
  const taken: (string | undefined)[] = [];
  while (queue.depth > 0) taken.push(await queue.take());
  t.strictSame(
    taken.flatMap((key, at) => (key?.startsWith("a") === true ? [at] : [])),
    [7, 15],
  );
});

test("a key that somebody waits for after all is moved up, and run once", async (t) => {
  const queue = new WorkQueue();
  for (const key of ["a", "b", "c"]) queue.addBehind(key);
  queue.add("c");
  queue.addBehind("c");
  t.strictSame([await queue.take(), await queue.take(), await queue.take()], ["c", "a", "b"]);
  t.equal(queue.depth, 0);
});

test("a worker that is free takes what nobody waits for", async (t) => {
  const queue = new WorkQueue();
  const taken = queue.take();
  queue.addBehind("a");
  t.equal(await taken, "a");
  queue.addBehind("a");
  queue.done("a");
  t.equal(await queue.take(), "a", "added while it ran");
});
