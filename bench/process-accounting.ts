/** CPU and memory of processes, from /proc. */
import { readFileSync, readdirSync } from "node:fs";

/** USER_HZ, which Linux fixes at 100 for /proc. */
const ticksPerSecond = 100;

/** CPU seconds (user and system) that a process has used; 0 when it is gone. */
export function cpuSeconds(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return 0;
  }
}

export interface Memory {
  rssKiB: number;
  /** Private memory that no file backs: what the process costs beyond its binary. */
  anonKiB: number;
}

export function memory(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
  return { rssKiB: kib("VmRSS"), anonKiB: kib("RssAnon") };
}

/** Pid → name of the bundle that runs there (`activator`, `queue-proxy`, …), among `pids`. */
export function programs(pids: Iterable<number>): Map<number, string> {
  const found = new Map<number, string>();
  for (const pid of pids) {
    try {
      const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      const name = /\/([a-z-]+)-[A-Z0-9]{8}\.mjs/.exec(commandLine)?.[1];
      if (name !== undefined) found.set(pid, name);
    } catch {
      // ended while we looked
    }
  }
  return found;
}

export const allPids = (): number[] =>
  readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);

/**
 * CPU microseconds of all threads of `pids`, by the scheduler's own nanosecond count where the kernel shows it: over
 * a second, {@link cpuSeconds}'s ticks of 10 ms are a percent.
 */
export function cpuMicros(pids: readonly number[]): number {
  return pids.reduce((total, pid) => total + processMicros(pid), 0);
}

function processMicros(pid: number): number {
  try {
    const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
    );
    return nanoseconds.reduce((total, one) => total + one, 0) / 1000;
  } catch {
    return cpuSeconds(pid) * 1e6; // a kernel without it, or the process is gone
  }
}

/** Of all of `pids` together. */
export function totalMemory(pids: readonly number[]): Memory {
  const each = pids.map((pid) => memory(pid));
  const sum = (figure: keyof Memory): number => each.reduce((total, one) => total + one[figure], 0);
  return { rssKiB: sum("rssKiB"), anonKiB: sum("anonKiB") };
}
