/**
 * Output of containers. A process writes straight into its file, so its output costs this process nothing and goes on
 * when this process dies. The time of a line is kept beside it: the file is watched, and each growth is noted with the
 * moment it was seen, at most every 10 ms.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  watch,
  writeFileSync,
  type FSWatcher,
} from "node:fs";
import path from "node:path";

/** A file that grows beyond is moved aside once; what was aside before is lost. */
const maxFileBytes = 10 * 1024 * 1024;
const noteEveryMs = 10;

/** Bytes from `offset` on were seen at `atMs`. */
export interface Mark {
  offset: number;
  atMs: number;
}

/** Part of a log, in order. */
export interface LogPart {
  bytes: Buffer;
  marks: readonly Mark[];
}

/** The log of one run of a container's process. */
export class LogFile {
  readonly path: string;
  readonly #fd: number;
  #watcher: FSWatcher | undefined;
  readonly #listeners = new Set<() => void>();
  readonly #maxBytes: number;
  #marks: Mark[] = [];
  #size = 0;
  #notedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** How often the file was moved aside: tells a follower that its offset is of a former file. */
  #generation = 0;

  constructor(file: string, maxBytes = maxFileBytes) {
    this.path = file;
    this.#maxBytes = maxBytes;
    mkdirSync(path.dirname(file), { recursive: true });
    this.#fd = openSync(file, "a+", 0o600);
    try {
      this.#watcher = watch(file, { persistent: false }, () => this.#changed());
      this.#watcher.on("error", () => {});
    } catch {
      // The system has no watches left: lines get the time at which somebody looks.
    }
  }

  /** To hand to a process. */
  get fd(): number {
    return this.#fd;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get generation(): number {
    return this.#generation;
  }

  /** The last whole lines of what was written: at most `maxBytes` and `maxLines`. */
  tail(maxBytes: number, maxLines: number): string {
    const { size } = fstatSync(this.#fd);
    const start = Math.max(0, size - maxBytes);
    const lines = this.#read(start, size).toString().split("\n");
    // A line whose beginning is cut off says little, unless there is no other.
    if (start > 0 && lines.filter((line) => line !== "").length > 1) lines.shift();
    while (lines.at(-1) === "") lines.pop();
    return lines.slice(-maxLines).join("\n");
  }

  /** Everything there is; nothing more comes from here when closed. */
  parts(): LogPart[] {
    this.note();
    return [...asideParts(this.path), { bytes: this.#read(0, this.#size), marks: this.#marks }];
  }

  /** What came after `offset` of generation `generation`. */
  since(generation: number, offset: number): { part: LogPart; generation: number; offset: number } {
    const from = generation === this.#generation ? offset : 0;
    const bytes = this.#read(from, this.#size);
    const marks = this.#marks.map((mark) => ({ offset: mark.offset - from, atMs: mark.atMs }));
    return { part: { bytes, marks }, generation: this.#generation, offset: from + bytes.length };
  }

  /** Calls back when there is more, and when it is closed. Returns the function that ends it. */
  onGrowth(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Notes what has come since the last note. */
  note(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isClosed) return;
    const nowMs = Date.now();
    const { size } = fstatSync(this.#fd);
    this.#notedMs = nowMs;
    if (size < this.#size) {
      this.#size = 0; // the program truncated it
      this.#marks = [];
    }
    if (size === this.#size) return;
    this.#marks.push({ offset: this.#size, atMs: nowMs });
    this.#size = size;
    if (size > this.#maxBytes) this.#moveAside();
    for (const listener of this.#listeners) listener();
  }

  /** The process has ended: everything it wrote is there. */
  close(): void {
    if (this.#isClosed) return;
    this.note();
    this.#isClosed = true;
    this.#watcher?.close();
    writeTimes(`${this.path}.times`, this.#marks);
    closeSync(this.#fd);
    for (const listener of this.#listeners) listener();
  }

  #changed(): void {
    if (this.#isClosed || this.#timer !== undefined) return;
    const waitMs = this.#notedMs + noteEveryMs - Date.now();
    if (waitMs <= 0) this.note();
    else this.#timer = setTimeout(() => this.note(), waitMs);
  }

  // The process keeps its file open for appending, so the file is copied and emptied rather than renamed. What is
  // written between the two is lost.
  #moveAside(): void {
    copyFileSync(this.path, `${this.path}.1`);
    writeTimes(`${this.path}.1.times`, this.#marks);
    ftruncateSync(this.#fd, 0);
    this.#marks = [];
    this.#size = 0;
    this.#generation += 1;
  }

  #read(from: number, to: number): Buffer {
    if (this.#isClosed) return (storedPart(this.path)[0]?.bytes ?? Buffer.alloc(0)).subarray(from);
    const bytes = Buffer.allocUnsafe(Math.max(0, to - from));
    return bytes.subarray(0, readSync(this.#fd, bytes, 0, bytes.length, from));
  }
}

/** The log of a run that is over, possibly of a former life of this process. */
export function finishedParts(file: string): LogPart[] {
  return [...asideParts(file), ...storedPart(file)];
}

/** Keeps the logs of the run before `restart` and removes those of earlier ones. */
export function removeOldLogs(folder: string, restart: number): void {
  if (!existsSync(folder)) return;
  for (const file of readdirSync(folder)) {
    const run = Number.parseInt(file, 10);
    if (run < restart - 1) rmSync(path.join(folder, file), { force: true });
  }
}

const asideParts = (file: string): LogPart[] => storedPart(`${file}.1`);

function storedPart(file: string): LogPart[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return [];
  }
  let marks: Mark[];
  try {
    marks = JSON.parse(readFileSync(`${file}.times`, "utf8")) as Mark[];
  } catch {
    marks = []; // this process was killed before it could write them
  }
  return [{ bytes, marks }];
}

function writeTimes(file: string, marks: readonly Mark[]): void {
  writeFileSync(file, JSON.stringify(marks));
}
