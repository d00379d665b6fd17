/** What /proc says of processes. Everything answers "nothing" where there is no /proc. */
import { readFileSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { setPriority } from "node:os";

export interface ProcessStat {
  state: string;
  parent: number;
  group: number;
  /** Since boot, in clock ticks: with the pid it names one process for ever. */
  startTicks: string;
}

export function readStat(pid: number): ProcessStat | undefined {
  const text = read(`/proc/${pid}/stat`);
  // The command's name may hold spaces and parentheses; the fields follow the last one.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state, parent, group] = fields;
  const startTicks = fields[19];
  if (state === undefined || startTicks === undefined) return undefined;
  return { state, parent: Number(parent), group: Number(group), startTicks };
}

/** Alive, and not a zombie that only waits to be reaped. */
export function isRunning(pid: number, startTicks: string): boolean {
  const stat = readStat(pid);
  return stat !== undefined && stat.startTicks === startTicks && stat.state !== "Z" && stat.state !== "X";
}

/** The process and everything below it. */
export function processTree(pid: number): number[] {
  const found = [pid];
  for (let index = 0; index < found.length && found.length < 1000; index++)
    for (const task of list(`/proc/${found[index]}/task`))
      for (const child of read(`/proc/${found[index]}/task/${task}/children`).split(" "))
        if (child.trim() !== "") found.push(Number(child));
  return found;
}

/** Every process whose environment has `variable` (`NAME=value`), but this one. */
export function processesWith(variable: string): number[] {
  const wanted = `\0${variable}\0`;
  return list("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(Number)
    .filter((pid) => `\0${read(`/proc/${pid}/environ`)}`.includes(wanted));
}

/** Sends a signal to a process, or to a whole group when negative. False when it is gone. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    if ((error as NodeJS.ErrnoException).code === "EPERM") return true;
    throw error;
  }
}

/**
 * Sets the nice value of a process, its threads and its descendants, as far as this user may. Where the kernel groups
 * tasks by session for scheduling (autogroup), nice values only count within a session, and each container is one:
 * there the session has a value of its own.
 */
export function setNice(pid: number, nice: number): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(nice));
  } catch {
    // no autogroups here, or not allowed
  }
  for (const member of processTree(pid))
    for (const thread of [member, ...list(`/proc/${member}/task`).map(Number)])
      try {
        setPriority(thread, nice);
      } catch {
        // it ended, or raising priority is not allowed: it stays where it is
      }
}

/** Local ports on which some socket of these processes listens. Linux only, else undefined. */
export function listeningPorts(pids: readonly number[]): number[] | undefined {
  const tables = ["tcp", "tcp6"].map((table) => read(`/proc/${pids[0] ?? "self"}/net/${table}`));
  if (tables.every((table) => table === "")) return undefined;
  const ports = new Map<string, number>();
  for (const table of tables) for (const [inode, port] of listeningInodes(table)) ports.set(inode, port);
  const found = new Set<number>();
  for (const pid of pids)
    for (const fd of list(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1];
      const port = inode === undefined ? undefined : ports.get(inode);
      if (port !== undefined) found.add(port);
    }
  return [...found].sort((a, b) => a - b);
}

/** Socket inode → port of the listening lines of /proc/net/tcp or tcp6. */
export function listeningInodes(table: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const line of table.split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const [, local = "", , state] = fields;
    const inode = fields[9];
    if (state !== "0A" || inode === undefined) continue; // 0A = LISTEN
    found.set(inode, Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16));
  }
  return found;
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function link(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return "";
  }
}
