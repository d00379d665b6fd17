import { test } from "tap";
import { QueueBudget, Throttler, type PodSlot } from "./throttler.ts";

const create = (containerConcurrency: number, limits: { maxWaiting?: number; total?: number; bytes?: number } = {}) => {
  const budget = new QueueBudget({ requests: limits.total ?? 100, bytes: limits.bytes ?? 1000 });
  const throttler = new Throttler({ containerConcurrency, maxWaiting: limits.maxWaiting ?? 100, budget });
  const admitted: string[] = [];
  const slots = new Map<string, PodSlot>();
  const wait = (name: string): { refused: string | undefined; leave: () => boolean } => {
    const waiter = (slot: PodSlot): void => {
      admitted.push(`${name}@${slot.address}`);
      slots.set(name, slot);
    };
    return { refused: throttler.enqueue(waiter, 10), leave: () => throttler.leave(waiter) };
  };
  return { throttler, budget, admitted, slots, wait };
};

test("requests wait while there is no pod and are admitted in order of arrival", (t) => {
  const { throttler, admitted, wait } = create(0);
  t.equal(throttler.tryAcquire(), undefined);
  for (const name of ["first", "second", "third"]) wait(name);
  throttler.setPods(["1.1.1.1:8012"]);
  t.strictSame(admitted, ["first@1.1.1.1:8012", "second@1.1.1.1:8012", "third@1.1.1.1:8012"]);
  t.strictSame([throttler.waiting, throttler.active], [0, 3]);
  t.end();
});

test("a pod with a limit admits so many, and the next when one ends", (t) => {
  const { throttler, admitted, slots, wait } = create(2);
  for (const name of ["a", "b", "c", "d"]) wait(name);
  throttler.setPods(["p:1"]);
  t.strictSame(admitted, ["a@p:1", "b@p:1"]);
  t.equal(throttler.tryAcquire(), undefined, "a newcomer does not overtake");
  throttler.release(slots.get("a")!);
  t.strictSame(admitted.slice(2), ["c@p:1"]);
  t.end();
});

test("whoever gives up leaves the line at once", (t) => {
  const { throttler, budget, admitted, wait } = create(1);
  const [a, b] = [wait("a"), wait("b")];
  t.equal(a.leave(), true);
  t.equal(budget.used, 1);
  throttler.setPods(["p:1"]);
  t.strictSame(admitted, ["b@p:1"]);
  t.equal(b.leave(), false, "too late: it was admitted");
  t.equal(budget.used, 0);
  t.end();
});

test("the line is bounded per revision, over all, and in bytes", (t) => {
  const one = create(1, { maxWaiting: 2 });
  t.strictSame(
    ["a", "b", "c"].map((name) => one.wait(name).refused),
    [undefined, undefined, "queue-full"],
  );
  const all = create(1, { total: 1 });
  t.equal(all.wait("a").refused, undefined);
  t.equal(all.wait("b").refused, "queue-full");
  const small = create(1, { bytes: 15 });
  const first = small.wait("a");
  t.equal(small.wait("b").refused, "memory-full");
  first.leave();
  t.equal(small.wait("c").refused, undefined, "what one gives back another may have");
  t.end();
});

test("a pod that goes finishes what it has and gets nothing new", (t) => {
  const { throttler, admitted, wait } = create(1);
  throttler.setPods(["old:1"]);
  const old = throttler.tryAcquire()!;
  throttler.setPods([]);
  wait("a");
  throttler.release(old);
  t.strictSame(admitted, []);
  throttler.setPods(["new:1"]);
  t.strictSame(admitted, ["a@new:1"]);
  t.end();
});

test("a pod that comes back still has the requests it had", (t) => {
  const { throttler } = create(1);
  throttler.setPods(["p:1"]);
  const slot = throttler.tryAcquire()!;
  throttler.setPods([]);
  throttler.setPods(["p:1"]);
  t.equal(throttler.tryAcquire(), undefined, "its one place is taken");
  throttler.release(slot);
  t.equal(throttler.tryAcquire(), slot);
  throttler.release(slot);
  t.throws(() => throttler.release(slot), /released twice/);
  t.end();
});

test("a request whose pod was gone goes ahead of those who wait", (t) => {
  const { throttler, wait } = create(1);
  throttler.setPods(["p:1"]);
  throttler.tryAcquire();
  wait("a");
  t.equal(throttler.tryAcquire(true), undefined, "but takes nobody's place");
  throttler.setPods(["p:1", "q:1"]);
  t.equal(throttler.waiting, 0);
  throttler.setPods(["p:1", "q:1", "r:1"]);
  t.equal(throttler.tryAcquire(true)?.address, "r:1");
  t.end();
});

test("limits from 4 on go round the pods", (t) => {
  const { throttler } = create(4);
  throttler.setPods(["a:1", "b:1", "c:1"]);
  t.strictSame(
    Array.from({ length: 4 }, () => throttler.tryAcquire()?.address),
    ["a:1", "b:1", "c:1", "a:1"],
  );
  t.end();
});

test("addresses are taken apart, IPv6 too", (t) => {
  const { throttler } = create(0);
  throttler.setPods(["[fd00::1]:8013"]);
  t.match(throttler.tryAcquire(), { host: "fd00::1", port: 8013 });
  t.end();
});
