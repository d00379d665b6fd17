import * as fc from "fast-check";
import { test } from "tap";
import { Breaker, RequestQueueFullError } from "./breaker.ts";

test("a container concurrency of 1 runs one, holds ten and refuses the twelfth", (t) => {
  const breaker = new Breaker({ queueDepth: 10, maxConcurrency: 1 });
  t.ok(breaker.tryAcquire());
  for (let waiting = 0; waiting < 10; waiting += 1) t.ok(breaker.enqueue(() => {}));
  t.notOk(breaker.enqueue(() => {}));
  t.strictSame([breaker.active, breaker.waiting, breaker.inFlight], [1, 10, 11]);
  t.end();
});

test("acquire waits, gives up with the signal's reason and refuses past the last slot", async (t) => {
  const breaker = new Breaker({ queueDepth: 1, maxConcurrency: 1 });
  const never = new AbortController().signal;
  await breaker.acquire(never);
  const gone = new AbortController();
  const waiting = breaker.acquire(gone.signal);
  await t.rejects(breaker.acquire(never), RequestQueueFullError);
  gone.abort(new Error("client gone"));
  await t.rejects(waiting, { message: "client gone" });
  t.equal(breaker.inFlight, 1);
  breaker.release();
  t.throws(() => breaker.release());
});

test("a newcomer does not overtake those who are about to be admitted", (t) => {
  const breaker = new Breaker({ queueDepth: 10, maxConcurrency: 3, capacity: 0 });
  const order: string[] = [];
  breaker.enqueue(() => {
    order.push("first");
    if (breaker.tryAcquire()) order.push("newcomer");
  });
  breaker.enqueue(() => order.push("second"));
  breaker.updateCapacity(2);
  t.strictSame(order, ["first", "second"]);
  t.end();
});

test("whatever happens: permits within capacity, arrival order, no free permit while someone waits", (t) => {
  const step = fc.oneof(
    fc.constant({ is: "arrive" as const }),
    fc.record({ is: fc.constant("finish" as const), pick: fc.nat() }),
    fc.record({ is: fc.constant("give up" as const), pick: fc.nat() }),
    fc.record({ is: fc.constant("capacity" as const), capacity: fc.nat(4) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const breaker = new Breaker({ queueDepth: 5, maxConcurrency: 4, capacity: 2 });
      const waiters = new Map<number, () => void>();
      const running: number[] = [];
      const admitted: number[] = [];
      let next = 0;
      for (const step of steps) {
        if (step.is === "arrive") {
          const id = next++;
          if (breaker.tryAcquire()) {
            running.push(id);
            admitted.push(id);
          } else {
            const admit = (): void => {
              waiters.delete(id);
              running.push(id);
              admitted.push(id);
            };
            if (breaker.enqueue(admit)) waiters.set(id, admit);
            else if (running.length + waiters.size < 9) return false;
          }
        } else if (step.is === "finish" && running.length > 0) {
          running.splice(step.pick % running.length, 1);
          breaker.release();
        } else if (step.is === "give up" && waiters.size > 0) {
          const [id, admit] = [...waiters][step.pick % waiters.size]!;
          waiters.delete(id);
          if (!breaker.leave(admit)) return false;
        } else if (step.is === "capacity") breaker.updateCapacity(step.capacity);
        if (breaker.active !== running.length || breaker.waiting !== waiters.size) return false;
        if (breaker.active < breaker.capacity && breaker.waiting > 0) return false;
      }
      return admitted.every((id, at) => at === 0 || id > admitted[at - 1]!);
    }),
  );
  t.end();
});
