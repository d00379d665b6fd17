/** What was asked, how it ended, and what was being done to the platform at that time. */

export type Load =
  | "HTTP/1 GET"
  | "HTTP/1 POST"
  | "HTTP/1 POST, new connection"
  | "HTTP/1 GET, one at a time"
  | "HTTP/1 GET, from zero"
  | "h2c GET"
  | "h2c POST"
  | "gRPC unary"
  | "gRPC bidi"
  | "WebSocket";

export interface Fault {
  name: string;
  /** SIGKILL: what is in flight then may fail. */
  killed: boolean;
  startedMs: number;
  /** When the signal was sent; later than the start, for the pod is looked up first. */
  strikeMs: number | undefined;
  /** When the process was seen to be gone: until then it has its connections, though it reads nothing from them. */
  goneMs: number | undefined;
  endedMs: number | undefined;
}

export interface Failure {
  load: Load;
  reason: string;
  startedMs: number;
  failedMs: number;
  fault: string;
  /** It was under way when something was killed. */
  inFlight: boolean;
}

export interface Tally {
  requests: number;
  /** Sent again as the protocol allows: closed before any octet of an answer, or refused by GOAWAY. */
  retried: number;
  /** Sessions that the other side ended with a close frame that asks to come back. */
  sentAway: number;
  failed: number;
  /** Failed, and was under way at a kill. */
  inFlight: number;
  longestMs: number;
  /** What went on during the longest. */
  longestDuring: string;
}

/** A busy client sees the end of its connection this much later. */
const noticeMs = 50;

export class Ledger {
  readonly tallies = new Map<Load, Tally>();
  readonly failures: Failure[] = [];
  readonly faults: Fault[] = [];
  readonly #nowMs: () => number;
  readonly #originMs: number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#originMs = nowMs();
  }

  get elapsedMs(): number {
    return this.#nowMs() - this.#originMs;
  }

  of(load: Load): Tally {
    let tally = this.tallies.get(load);
    if (tally === undefined)
      this.tallies.set(
        load,
        (tally = { requests: 0, retried: 0, sentAway: 0, failed: 0, inFlight: 0, longestMs: 0, longestDuring: "" }),
      );
    return tally;
  }

  succeeded(load: Load, startedMs: number): void {
    const tally = this.of(load);
    tally.requests += 1;
    const tookMs = this.elapsedMs - startedMs;
    if (tookMs <= tally.longestMs) return;
    tally.longestMs = tookMs;
    tally.longestDuring = this.#underWay(startedMs);
  }

  failed(load: Load, startedMs: number, reason: string): void {
    const tally = this.of(load);
    const failedMs = this.elapsedMs;
    const inFlight = this.faults.some(
      ({ strikeMs, goneMs = Infinity }) =>
        strikeMs !== undefined && startedMs <= goneMs + noticeMs && failedMs >= strikeMs,
    );
    tally.requests += 1;
    tally.failed += 1;
    if (inFlight) tally.inFlight += 1;
    const failure = { load, reason, startedMs, failedMs, fault: this.#underWay(startedMs), inFlight };
    this.failures.push(failure);
    console.log(`  ${sentence(failure)}`);
  }

  begin(name: string, killed: boolean): Fault {
    const fault: Fault = {
      name,
      killed,
      startedMs: this.elapsedMs,
      strikeMs: undefined,
      goneMs: undefined,
      endedMs: undefined,
    };
    this.faults.push(fault);
    return fault;
  }

  strike(fault: Fault): void {
    fault.strikeMs = this.elapsedMs;
  }

  gone(fault: Fault): void {
    fault.goneMs = this.elapsedMs;
  }

  end(fault: Fault): void {
    fault.endedMs = this.elapsedMs;
  }

  /** Failures that nothing excuses. */
  get unexcused(): number {
    return this.failures.filter(({ inFlight }) => !inFlight).length;
  }

  #underWay(sinceMs: number): string {
    const during = this.faults.filter(({ endedMs }) => endedMs === undefined || endedMs >= sinceMs);
    if (during.length > 0) return during.map(({ name }) => name).join(", ");
    const last = this.faults.at(-1);
    return last === undefined ? "nothing" : `${seconds(sinceMs - (last.endedMs ?? 0))} after ${last.name}`;
  }
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export function sentence({ load, reason, startedMs, failedMs, fault, inFlight }: Failure): string {
  const kind = inFlight ? "in flight at a kill" : "FAILED";
  return `${kind}: ${load} at ${seconds(startedMs)}, after ${Math.round(failedMs - startedMs)} ms, during ${fault}: ${reason}`;
}
