/** Durations as Go writes and reads them (`1h2m3.5s`), the form of every Knative duration that is text. */

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds (fractions for µs and ns), undefined where Go's ParseDuration fails. */
export function parseDuration(text: string): number | undefined {
  const match = /^([+-]?)(.+)$/su.exec(text);
  if (match === null) return undefined;
  const body = match[2]!;
  if (body === "0") return 0;
  const terms = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/uy;
  let sum = 0;
  while (terms.lastIndex < body.length) {
    const term = terms.exec(body);
    if (term === null) return undefined;
    sum += Number(term[1]) * unitMs[term[2]!]!;
  }
  // Go's durations are 64-bit nanoseconds.
  if (sum > 9_223_372_036_854) return undefined;
  return match[1] === "-" && sum !== 0 ? -sum : sum;
}

/** As Go prints it: `0s`, `1.5ms`, `6s`, `1m0s`, `1h0m0s`. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  const sign = ms < 0 ? "-" : "";
  const ns = Math.round(Math.abs(ms) * 1e6);
  if (ns < 1e3) return `${sign}${ns}ns`;
  if (ns < 1e6) return `${sign}${ns / 1e3}µs`;
  if (ns < 1e9) return `${sign}${ns / 1e6}ms`;
  const hours = Math.floor(ns / 3.6e12);
  const minutes = Math.floor((ns % 3.6e12) / 6e10);
  const seconds = (ns % 6e10) / 1e9;
  if (hours > 0) return `${sign}${hours}h${minutes}m${seconds}s`;
  return minutes > 0 ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`;
}
