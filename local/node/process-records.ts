/** Which processes this node started, on disk, so that a node that died can end them when it comes back. */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isRunning, processesWith, readStat, signalProcess } from "./proc.ts";

export interface ProcessRecord {
  pid: number;
  startTicks: string;
  podUid: string;
  container: string;
}

/** In the environment of every container's process; its value is the node's folder. */
export const folderVariable = "SWELL_NODE_FOLDER";

/** How long killed processes may take to disappear. */
const goneWithinMs = 10_000;

export class ProcessRecords {
  readonly #folder: string;
  readonly #nodeFolder: string;

  constructor(nodeFolder: string) {
    this.#nodeFolder = nodeFolder;
    this.#folder = path.join(nodeFolder, "run");
    mkdirSync(this.#folder, { recursive: true });
  }

  add(record: ProcessRecord): void {
    writeFileSync(this.#file(record.pid), JSON.stringify(record));
  }

  remove(pid: number): void {
    rmSync(this.#file(pid), { force: true });
  }

  /**
   * Ends what a former run of this node left behind: the group of every recorded process that is still the same one,
   * and every process that carries this node's folder in its environment (it was started and not yet recorded, or its
   * parent died). Resolves with the records once all are gone; throws when they do not go.
   */
  async endLeftovers(): Promise<ProcessRecord[]> {
    const records: ProcessRecord[] = [];
    const leftovers = new Map<number, string>();
    for (const file of readdirSync(this.#folder)) {
      const record = parseRecord(path.join(this.#folder, file));
      if (record === undefined) continue;
      records.push(record);
      if (isRunning(record.pid, record.startTicks)) {
        signalProcess(-record.pid, "SIGKILL");
        leftovers.set(record.pid, record.startTicks);
      }
    }
    for (const pid of processesWith(`${folderVariable}=${this.#nodeFolder}`)) {
      const stat = readStat(pid);
      if (stat === undefined) continue;
      signalProcess(pid, "SIGKILL");
      leftovers.set(pid, stat.startTicks);
    }
    await gone(leftovers);
    for (const file of readdirSync(this.#folder)) rmSync(path.join(this.#folder, file), { force: true });
    return records;
  }

  #file(pid: number): string {
    return path.join(this.#folder, `${pid}.json`);
  }
}

/** Nobody tells a process that another, which is not its child, has ended: this looks, at growing intervals. */
async function gone(processes: Map<number, string>): Promise<void> {
  const deadlineMs = performance.now() + goneWithinMs;
  for (let waitMs = 2; ; waitMs = Math.min(waitMs * 2, 200)) {
    for (const [pid, startTicks] of processes) if (!isRunning(pid, startTicks)) processes.delete(pid);
    if (processes.size === 0) return;
    if (performance.now() > deadlineMs)
      throw new Error(`processes of a former run do not end: ${[...processes.keys()].join(", ")}`);
    await sleep(waitMs);
  }
}

function parseRecord(file: string): ProcessRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ProcessRecord;
  } catch {
    return undefined; // half written when the node died: the environment finds the process
  }
}
