/** One JSON line per event on standard output. */
import { pino, type Logger } from "pino";

export type { Logger } from "pino";

const levels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

export function createLogger(component: string, level: string): Logger {
  return pino({
    level: levels.includes(level) ? level : "info",
    base: { component },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
  });
}

/** For tests, and for libraries that want a logger where there is none. */
export const silentLogger: Logger = pino({ level: "silent" });
