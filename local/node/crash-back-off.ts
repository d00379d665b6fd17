/** How long a container that ended waits before it is started again: Kubernetes' CrashLoopBackOff. */

const firstDelayMs = 10_000;
const maxDelayMs = 300_000;
/** A container that ran this long starts over with a clean record. */
const forgivenAfterMs = 600_000;

/**
 * The first restart is immediate, then 10 s, 20 s … 5 min.
 * @param previousMs the delay before the start that just ended, undefined when it was the first.
 */
export function restartDelayMs(previousMs: number | undefined, ranMs: number): number {
  if (previousMs === undefined || ranMs >= forgivenAfterMs) return 0;
  return previousMs === 0 ? firstDelayMs : Math.min(previousMs * 2, maxDelayMs);
}

/** `10s`, `2m40s`, as Kubernetes prints durations. */
export function formatDelay(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
