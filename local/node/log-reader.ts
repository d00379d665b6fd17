/** Reads a container's log as `kubectl logs` asks for it. */
import type { LogFile, LogPart } from "./log-files.ts";

export interface LogOptions {
  follow: boolean;
  tailLines?: number;
  sinceSeconds?: number;
  timestamps: boolean;
  limitBytes?: number;
}

interface Line {
  atMs: number;
  bytes: Buffer;
}

const newline = 0x0a;

/** Lines with their times; the last may lack its newline. A line without a mark has the time 0. */
export function linesOf({ bytes, marks }: LogPart): Line[] {
  const lines: Line[] = [];
  let mark = -1;
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(newline, start);
    const next = end < 0 ? bytes.length : end + 1;
    while (mark + 1 < marks.length && marks[mark + 1]!.offset <= start) mark += 1;
    lines.push({ atMs: marks[mark]?.atMs ?? 0, bytes: bytes.subarray(start, next) });
    start = next;
  }
  return lines;
}

/** The lines of `parts` that the options ask for. */
export function select(parts: readonly LogPart[], options: LogOptions, nowMs: number): Line[] {
  let lines = parts.flatMap(linesOf);
  if (options.sinceSeconds !== undefined) {
    const fromMs = nowMs - options.sinceSeconds * 1000;
    lines = lines.filter((line) => line.atMs >= fromMs);
  }
  if (options.tailLines !== undefined) lines = options.tailLines <= 0 ? [] : lines.slice(-options.tailLines);
  return lines;
}

/** @param live the log that is still being written, to be followed. */
export async function* readLog(
  parts: readonly LogPart[],
  live: LogFile | undefined,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = options.limitBytes ?? Infinity;
  const stamped = ({ atMs, bytes }: Line): Buffer =>
    options.timestamps ? Buffer.concat([Buffer.from(`${new Date(atMs).toISOString()} `), bytes]) : bytes;
  const limited = (bytes: Buffer): Buffer => {
    const cut = bytes.subarray(0, left);
    left -= cut.length;
    return cut;
  };
  const first = Buffer.concat(select(parts, options, Date.now()).map(stamped));
  let generation = live?.generation ?? 0;
  let offset = parts.at(-1)?.bytes.length ?? 0;
  if (first.length > 0) yield limited(first);
  if (!options.follow || live === undefined) return;

  let grown = Promise.withResolvers<void>();
  const wake = (): void => grown.resolve();
  const stopListening = live.onGrowth(wake);
  signal.addEventListener("abort", wake, { once: true });
  try {
    let unfinished: Line | undefined;
    while (!signal.aborted) {
      const isLast = live.isClosed;
      const more = live.since(generation, offset);
      ({ generation, offset } = more);
      const lines = linesOf(more.part);
      // With a time before it, a line can only be told once it is whole.
      if (unfinished !== undefined && lines[0] !== undefined)
        lines[0] = { atMs: unfinished.atMs, bytes: Buffer.concat([unfinished.bytes, lines[0].bytes]) };
      else if (unfinished !== undefined) lines.push(unfinished);
      unfinished = undefined;
      if (options.timestamps && !isLast && lines.at(-1)?.bytes.at(-1) !== newline) unfinished = lines.pop();
      if (lines.length > 0) yield limited(Buffer.concat(lines.map(stamped)));
      if (isLast || left <= 0) return;
      await grown.promise;
      grown = Promise.withResolvers();
    }
  } finally {
    stopListening();
    signal.removeEventListener("abort", wake);
  }
}
