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
      const name = /\/dist\/([a-z-]+)-[A-Z0-9]+\.mjs/.exec(commandLine)?.[1];
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
