/** What every client of the soak shares: one request, closed loop, the answer checked. */
import { createHash } from "node:crypto";
import type { Ledger, Load } from "./ledger.ts";
import type { Random } from "./random.ts";

export interface ClientOptions {
  port: number;
  host: string;
  load: Load;
  ledger: Ledger;
  random: Random;
  /** Between an answer and the next request. */
  thinkMs: number;
}

/** Runs until `stop`, then finishes what it has begun. */
export type Client = (options: ClientOptions, stop: AbortSignal) => Promise<void>;

/** An answer that does not come within this is a failure. */
export const deadlineMs = 30_000;

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One request after the other; each is a failure or not, and the next comes all the same. */
export async function closedLoop(options: ClientOptions, stop: AbortSignal, once: () => Promise<void>): Promise<void> {
  const { ledger, load, random, thinkMs } = options;
  while (!stop.aborted) {
    const startedMs = ledger.elapsedMs;
    try {
      await once();
      ledger.succeeded(load, startedMs);
    } catch (error) {
      ledger.failed(load, startedMs, messageOf(error));
    }
    await pause(thinkMs * 2 * random.next());
  }
}

export function messageOf(error: unknown): string {
  const { message, code, cause } = error as NodeJS.ErrnoException & { cause?: unknown };
  // gRPC's message begins with its code.
  const own = typeof code !== "string" || message.includes(code) ? message : `${code} ${message}`;
  return cause instanceof Error ? `${own}: ${messageOf(cause)}` : own;
}

/** The same octets for the same seed text: told apart from any other answer. */
export function body(token: string, bytes: number): Buffer {
  const block = createHash("sha512").update(token).digest();
  return Buffer.alloc(bytes, block);
}
