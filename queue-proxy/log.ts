/**
 * The sidecar's log lines: the same fields as process/logger.ts writes, without loading its library, which would be a
 * third of what this process may take to start. Nothing here is written per request.
 */
import type { ProxyLog } from "../proxy/exchange.ts";

const levels = ["debug", "info", "warn", "error"] as const;

export type Log = ProxyLog;

/** An unknown level counts as `info`; `silent` writes nothing. */
export function createLog(component: string, level: string, write: (line: string) => void = writeOut): Log {
  const found = (levels as readonly string[]).indexOf(level);
  const threshold = level === "silent" ? levels.length : level === "trace" ? 0 : found < 0 ? 1 : found;
  const at = (index: number) => (fields: unknown, message?: string) => {
    if (index < threshold) return;
    const entry: Record<string, unknown> = { level: levels[index], time: new Date().toISOString(), component };
    if (typeof fields === "string") entry["msg"] = fields;
    else Object.assign(entry, serializable(fields as Record<string, unknown>), { msg: message });
    write(`${JSON.stringify(entry)}\n`);
  };
  return { debug: at(0), info: at(1), warn: at(2), error: at(3) };
}

function writeOut(line: string): void {
  process.stdout.write(line);
}

function serializable(fields: Record<string, unknown>): Record<string, unknown> {
  const { err, ...rest } = fields;
  if (!(err instanceof Error)) return fields;
  const { name: type, message, stack, cause } = err;
  const reason = cause instanceof Error ? { cause: cause.message } : {};
  return { ...rest, err: { type, message, ...reason, stack } };
}
