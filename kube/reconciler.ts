/** Runs a reconcile function for keys: one run per key at a time, several keys at once, retries with back-off. */
import type { Logger } from "../process/logger.ts";
import { isConflict } from "./client.ts";
import { Deadline } from "./deadline.ts";
import { ReconcileCounts, type Result } from "./reconcile-counts.ts";
import { WorkQueue } from "./work-queue.ts";

export type Outcome = { is: "done" } | { is: "again"; afterMs: number };

export const done: Outcome = { is: "done" };

/** Retrying cannot cure it; the key is run again only when something changes. */
export class TerminalError extends Error {
  override readonly name = "TerminalError";
}

export interface ReconcilerOptions {
  /** For logs. */
  name: string;
  /** Gets a key, never an event; reads what it needs. The signal aborts after `timeoutMs` and at stop. */
  reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>;
  /** Keys in work at once. Default 8. */
  workers?: number;
  log: Logger;
  /** Called for each failed run, after it was logged. */
  onError?: (key: string, error: Error) => void;
  /** Default 30,000. */
  timeoutMs?: number;
  /** Where it is counted, over all terms; absent: nowhere. */
  counts?: ReconcileCounts;
}

export interface Reconciler {
  queue: {
    add(key: string): void;
    /** What nobody waits for, after the others. */
    addBehind(key: string): void;
    addAfter(key: string, ms: number): void;
  };
  /** Works until the signal aborts and what runs then has ended. Call once; keys may be added before. */
  run(signal: AbortSignal): Promise<void>;
  /** Keys that wait for a worker. */
  depth(): number;
}

/** A run that ignores its aborted signal is left behind after this; its key stays locked until it ends. */
const leaveBehindMs = 5000;

export function startReconciler(options: ReconcilerOptions): Reconciler {
  const { name, reconcile, workers = 8, onError, timeoutMs = 30_000 } = options;
  const log = options.log.child({ reconciler: name });
  const counts = options.counts ?? new ReconcileCounts(name);
  const queue = new WorkQueue(Math.random, counts);

  const settle = (key: string, result: { outcome: Outcome } | { error: unknown }): Result => {
    if ("outcome" in result) {
      queue.forget(key);
      if (result.outcome.is === "again") queue.addAfter(key, result.outcome.afterMs);
      return result.outcome.is;
    }
    const error = result.error instanceof Error ? result.error : new Error(String(result.error));
    if (error instanceof TerminalError) {
      queue.forget(key);
      log.error({ key, err: error }, "reconcile failed for good");
    } else {
      queue.addRateLimited(key);
      // Somebody else wrote first: ordinary, and cured by the fresh read of the next run.
      if (isConflict(error)) log.debug({ key, err: error }, "reconcile met a conflict");
      else log.warn({ key, err: error }, "reconcile failed");
    }
    onError?.(key, error);
    return error instanceof TerminalError ? "terminal" : isConflict(error) ? "conflict" : "failed";
  };

  const work = async (stop: AbortSignal): Promise<void> => {
    for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
      const current = key;
      const startMs = performance.now();
      const ended = (result: Result): void => counts.ended(result, performance.now() - startMs);
      const deadline = new Deadline(timeoutMs, "the reconcile did not end", stop);
      const running = (async () => reconcile(current, deadline.signal))()
        .then(
          (outcome) => ended(settle(current, { outcome })),
          (error: unknown) => {
            if (!stop.aborted) ended(settle(current, { error }));
          },
        )
        .finally(() => {
          deadline[Symbol.dispose]();
          queue.done(current);
        });
      await endOrLeave(running, timeoutMs + leaveBehindMs, () =>
        log.error({ key: current }, "reconcile does not end; its key waits, the worker goes on"),
      );
    }
  };

  return {
    queue: {
      add: (key) => queue.add(key),
      addBehind: (key) => queue.addBehind(key),
      addAfter: (key, ms) => queue.addAfter(key, ms),
    },
    depth: () => queue.depth,
    async run(signal) {
      if (signal.aborted) return queue.shutDown();
      const stop = (): void => queue.shutDown();
      signal.addEventListener("abort", stop, { once: true });
      await Promise.all(Array.from({ length: workers }, () => work(signal)));
    },
  };
}

async function endOrLeave(running: Promise<void>, afterMs: number, onLeave: () => void): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const left = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      onLeave();
      resolve();
    }, afterMs);
  });
  await Promise.race([running, left]);
  clearTimeout(timer);
}
