/**
 * One cluster per data folder. The lock is one the operating system holds for the process and drops when it dies,
 * however it dies, so that no lock is ever stale; what stands beside it in `cluster.json` is for people and tools.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import path from "node:path";

export interface Holder {
  pid: number;
  /** URLs; absent while it starts. */
  gateway?: string;
  api?: string;
}

export class FolderInUseError extends Error {
  override readonly name = "FolderInUseError";
  readonly holder: Holder | undefined;

  constructor(folder: string, holder: Holder | undefined) {
    const where = holder?.gateway === undefined ? "" : `, gateway ${holder.gateway}`;
    const who = holder === undefined ? "" : ` (pid ${holder.pid}${where})`;
    super(
      `a cluster is already running on ${folder}${who}: use that one, stop it, or start another with --data OTHER_FOLDER --gateway-port 0 --api-port 0`,
    );
    this.holder = holder;
  }
}

export interface FolderLock {
  /** Tells the others who holds it. */
  describe(holder: Holder): void;
  release(): void;
}

/**
 * Makes the folder where it is missing, for its owner only: Secrets and tokens lie in it. Throws
 * {@link FolderInUseError} while another process holds it.
 */
export function lockFolder(folder: string): FolderLock {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const description = path.join(folder, "cluster.json");
  const database = new DatabaseSync(path.join(folder, "lock"));
  try {
    database.exec("PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (!(error as Error).message.includes("locked")) throw error;
    throw new FolderInUseError(folder, holderOf(description));
  }
  return {
    describe: (holder) => writeFileSync(description, `${JSON.stringify(holder, null, 2)}\n`),
    release: () => database.close(),
  };
}

function holderOf(description: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(description, "utf8")) as Holder;
  } catch {
    return undefined; // it is just starting
  }
}
