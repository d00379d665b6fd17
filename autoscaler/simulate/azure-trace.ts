/** The public trace of function invocations (Azure, 2021): CSV with the columns app, func, end_timestamp, duration. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Workload } from "./workload.ts";

export class TraceError extends Error {
  override readonly name = "TraceError";
}

export interface TraceOptions {
  /** The function's hash, or its beginning; default: the one with the most invocations. */
  func?: string;
  /** No more than this much of it. */
  mostMs?: number;
}

const wanted = ["app", "func", "end_timestamp", "duration"];
/** Refused beyond: the simulation holds all of them. */
const mostInvocations = 20_000_000;

/** The invocations of one function, from its first. Times in the file are seconds. Throws {@link TraceError}. */
export async function loadAzureTrace(file: string, { func, mostMs = Infinity }: TraceOptions = {}): Promise<Workload> {
  return azureWorkload(createInterface({ input: createReadStream(file), crlfDelay: Infinity }), {
    ...(func === undefined ? {} : { func }),
    mostMs,
  });
}

export async function azureWorkload(
  lines: AsyncIterable<string> | Iterable<string>,
  { func, mostMs = Infinity }: TraceOptions = {},
): Promise<Workload> {
  const byFunction = new Map<string, { startMs: number; serviceMs: number }[]>();
  let columns: number[] | undefined;
  let [row, count] = [0, 0];
  for await (const line of lines) {
    row += 1;
    if (line.trim() === "") continue;
    const cells = line.split(",");
    if (columns === undefined) {
      columns = wanted.map((name) => cells.findIndex((cell) => cell.trim() === name));
      const missing = wanted.filter((_, index) => columns![index]! < 0);
      if (missing.length > 0) throw new TraceError(`line 1: no column ${missing.join(", ")}`);
      continue;
    }
    const [, name = "", end, duration] = columns.map((index) => cells[index]?.trim() ?? "");
    const [endS, durationS] = [Number(end), Number(duration)];
    if (end === "" || duration === "" || !Number.isFinite(endS) || !Number.isFinite(durationS) || durationS < 0)
      throw new TraceError(`line ${row}: want numbers in end_timestamp and duration`);
    if (func !== undefined && !name.startsWith(func)) continue;
    if (++count > mostInvocations) throw new TraceError(`more than ${mostInvocations} invocations`);
    let calls = byFunction.get(name);
    if (calls === undefined) byFunction.set(name, (calls = []));
    calls.push({ startMs: (endS - durationS) * 1000, serviceMs: Math.max(1, durationS * 1000) });
  }
  const [busiest] = [...byFunction].toSorted((a, b) => b[1].length - a[1].length);
  if (busiest === undefined)
    throw new TraceError(
      func === undefined ? "no invocations" : `no invocations of a function that begins with ${func}`,
    );
  const [name, all] = busiest;
  const calls = all.toSorted((a, b) => a.startMs - b.startMs);
  const firstMs = calls[0]!.startMs;
  const used = calls.filter(({ startMs }) => startMs - firstMs < mostMs);
  const lastMs = Math.max(...used.slice(-1000).map(({ startMs, serviceMs }) => startMs + serviceMs)) - firstMs;
  return {
    name: `function ${name.slice(0, 12)}`,
    durationMs: Math.ceil(Math.min(lastMs + 120_000, mostMs) / 1000) * 1000,
    arrivalMs: Float64Array.from(used, ({ startMs }) => startMs - firstMs),
    serviceMs: Float64Array.from(used, ({ serviceMs }) => serviceMs),
  };
}
