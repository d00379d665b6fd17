import { test } from "tap";
import { silentLogger } from "../process/logger.ts";
import { done, startReconciler, TerminalError, type Outcome } from "./reconciler.ts";

type Step = Outcome | Error;

/** Runs `steps` for one key and resolves with what happened when the last of them was reached. */
async function replay(steps: Step[], extra: { timeoutMs?: number } = {}): Promise<string[]> {
  const seen: string[] = [];
  const stop = new AbortController();
  let runs = 0;
  const reconciler = startReconciler({
    name: "test",
    log: silentLogger,
    ...extra,
    onError: (key, error) => seen.push(`${key}: ${error.message}`),
    reconcile: async (key) => {
      const step = steps[runs];
      runs += 1;
      seen.push(`run ${key}`);
      if (runs >= steps.length) stop.abort();
      if (step instanceof Error) throw step;
      return step ?? done;
    },
  });
  reconciler.queue.add("ns/a");
  await reconciler.run(stop.signal);
  return seen;
}

test("a failed run is reported and repeated", async (t) => {
  t.strictSame(await replay([new Error("boom"), done]), ["run ns/a", "ns/a: boom", "run ns/a"]);
});

test("an outcome of again runs the key after its time", async (t) => {
  t.strictSame(await replay([{ is: "again", afterMs: 1 }, done]), ["run ns/a", "run ns/a"]);
});

test("a terminal error is reported and not repeated", async (t) => {
  const seen: string[] = [];
  const stop = new AbortController();
  const reconciler = startReconciler({
    name: "test",
    log: silentLogger,
    workers: 1,
    onError: (key, error) => seen.push(`${key}: ${error.message}`),
    reconcile: async (key) => {
      seen.push(`run ${key}`);
      if (key === "last") stop.abort();
      else throw new TerminalError("never");
      return done;
    },
  });
  reconciler.queue.add("a");
  // Later than any retry of a first failure.
  reconciler.queue.addAfter("last", 50);
  await reconciler.run(stop.signal);
  t.strictSame(seen, ["run a", "a: never", "run last"]);
});

test("a key never runs twice at once, other keys run beside it", async (t) => {
  const stop = new AbortController();
  let running = 0;
  let most = 0;
  const first = Promise.withResolvers<void>();
  const other = Promise.withResolvers<void>();
  let runsOfA = 0;
  const reconciler = startReconciler({
    name: "test",
    log: silentLogger,
    reconcile: async (key) => {
      if (key === "b") {
        other.resolve();
        return done;
      }
      running += 1;
      most = Math.max(most, running);
      runsOfA += 1;
      if (runsOfA === 1) await first.promise;
      else stop.abort();
      running -= 1;
      return done;
    },
  });
  const ended = reconciler.run(stop.signal);
  reconciler.queue.add("a");
  reconciler.queue.add("b");
  await other.promise;
  reconciler.queue.add("a");
  first.resolve();
  await ended;
  t.strictSame({ most, runsOfA }, { most: 1, runsOfA: 2 });
});

test("a run that takes too long sees its signal abort", async (t) => {
  const stop = new AbortController();
  const errors: Error[] = [];
  const reconciler = startReconciler({
    name: "test",
    log: silentLogger,
    timeoutMs: 5,
    onError: (_, error) => {
      errors.push(error);
      stop.abort();
    },
    reconcile: async (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error));
      }),
  });
  reconciler.queue.add("a");
  await reconciler.run(stop.signal);
  t.match(errors[0], { name: "TimeoutError" });
});
