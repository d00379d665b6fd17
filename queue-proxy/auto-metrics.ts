/**
 * Port 9090: what Knative's own autoscaler scrapes, one protobuf `Stat` for the last finished second (data-plane 1.13).
 * Ours is told over its stream, so nothing is cut until somebody asks.
 */
import { averagesBetween, type CumulativeLoad, type PeriodAverages } from "../proxy/request-stats.ts";

const periodMs = 1000;
/** Without a scrape for so long, periods are no longer cut. */
const forgottenMs = 60_000;

export const autoMetricsType = "application/protobuf";

export function createAutoMetrics(options: { pod: string; startMs: number; load: () => CumulativeLoad }): {
  scrape(): Buffer;
  stop(): void;
} {
  let last = options.load();
  let averages: PeriodAverages | undefined;
  let scrapedMs = -Infinity;
  let timer: NodeJS.Timeout | undefined;
  const cut = (): void => {
    const next = options.load();
    averages = averagesBetween(last, next);
    last = next;
    if (performance.now() - scrapedMs < forgottenMs) return;
    clearInterval(timer);
    timer = undefined;
  };
  return {
    scrape() {
      const nowMs = performance.now();
      scrapedMs = nowMs;
      if (timer === undefined) {
        // The first one in a while hears of the time since the last cut, if that was a whole period.
        if (nowMs - options.startMs - last.clockMs >= periodMs) cut();
        // Periods end between scrapes, which come once a second: at the same moment one might be read twice, or never.
        timer = setTimeout(() => {
          timer = setInterval(cut, periodMs).unref();
          cut();
        }, periodMs / 2).unref();
      }
      return encodeStat(options.pod, averages, (nowMs - options.startMs) / 1000);
    },
    stop: () => clearInterval(timer),
  };
}

/** proto3 `Stat`; `averages` undefined before the first period: only the name. Zeros are left out. */
export function encodeStat(pod: string, averages: PeriodAverages | undefined, uptimeSeconds: number): Buffer {
  const name = Buffer.from(pod);
  // A pod's name has at most 253 bytes: its length is one or two bytes of a varint.
  const length = name.length < 128 ? [name.length] : [(name.length % 128) + 128, Math.floor(name.length / 128)];
  const parts: Buffer[] = name.length === 0 ? [] : [Buffer.from([0x0a, ...length]), name];
  if (averages !== undefined) {
    const doubles = [
      averages.concurrency,
      averages.proxiedConcurrency,
      averages.requestsPerSecond,
      averages.proxiedRequestsPerSecond,
      uptimeSeconds,
    ];
    for (const [index, value] of doubles.entries()) {
      if (value === 0) continue;
      const field = Buffer.alloc(9);
      // Field numbers 2 to 6, wire type 1 (64 bits).
      field[0] = ((index + 2) << 3) | 1;
      field.writeDoubleLE(value, 1);
      parts.push(field);
    }
  }
  return Buffer.concat(parts);
}
