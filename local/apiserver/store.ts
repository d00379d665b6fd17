/**
 * The objects of the cluster: in memory for reading, in SQLite for keeping.
 *
 * The file holds one table, the log: every write appends one row, and the last row of an object is the object. So a
 * write is a single INSERT, a watch replays rows, and a `kill -9` loses nothing that was acknowledged (WAL; the pages
 * are the kernel's once the statement returns). Rows that later ones replaced are removed when they are older than the
 * last `keep` writes; a watch from before that point is told to list again.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { KubeObject } from "../../api/meta.ts";
import { freeze } from "./json-value.ts";

export type ChangeType = "ADDED" | "MODIFIED" | "DELETED";
const codes: readonly ChangeType[] = ["ADDED", "MODIFIED", "DELETED"];

/** One write, as watches see it. */
export interface Change {
  readonly version: number;
  /** As `resourceName` builds it. */
  readonly resource: string;
  readonly type: ChangeType;
  readonly namespace: string;
  readonly name: string;
  /** The object after the write; what was removed, with the version of its removal. Frozen. */
  readonly object: KubeObject;
  /** The object before the write; undefined where there was none or it is no longer known. */
  readonly previous: KubeObject | undefined;
  /** `object` as JSON. */
  readonly json: string;
}

export interface Entry {
  readonly resource: string;
  object: KubeObject;
  version: number;
}

export interface Store {
  /** Version of the last write. */
  readonly version: number;
  /** A watch can start at this version or any later one. */
  readonly oldest: number;
  get(resource: string, namespace: string, name: string): KubeObject | undefined;
  /** This very object as JSON, if it was written a moment ago: most are asked for right then, by who wrote them. */
  jsonOf(object: object): string | undefined;
  /** Sorted by namespace, then name. All namespaces when undefined. */
  list(resource: string, namespace?: string): readonly Entry[];
  /** Stores a new or changed object: takes it over, sets its resourceVersion and freezes it. */
  put(resource: string, object: KubeObject): KubeObject;
  /** Removes the object; `last` is its state at the end. Takes it over like `put`. */
  remove(resource: string, last: KubeObject): KubeObject;
  /** Writes after `version`, oldest first; undefined when some of them are gone. */
  changesSince(resource: string, version: number): Change[] | undefined;
  byUid(uid: string): Entry | undefined;
  /** The objects that name this uid as an owner. */
  dependents(uid: string): readonly Entry[];
  /** Names of the resources that have objects. */
  resources(): string[];
  /** Called within the write, after it is durable. Listeners do not write: they would reorder what others hear. */
  onChange(listener: (change: Change) => void): void;
  close(): void;
}

export interface StoreOptions {
  /** SQLite file, `:memory:` for none. */
  file: string;
  /** Writes that stay replayable. */
  keep?: number;
}

/** The log is trimmed while nothing else goes on, or at last when it is this much over its bound. */
const trimSlack = 2_000;
const housekeepingMs = 1_000;
const mostTexts = 16;

interface Bucket {
  entries: Map<string, Entry>;
  /** By name; undefined after a change of the set. */
  sorted: Entry[] | undefined;
}

export function openStore({ file, keep = 10_000 }: StoreOptions): Store {
  const database = open(file);
  const insert = database.prepare(
    "INSERT INTO log (version, prior, type, resource, namespace, name, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
  );
  const since = database.prepare(
    `SELECT l.version, l.type, l.namespace, l.name, l.body, p.body AS before FROM log l
     LEFT JOIN log p ON p.version = l.prior WHERE l.version > ? AND l.resource = ? ORDER BY l.version`,
  );
  const span = database.prepare(
    "SELECT version, type, resource, namespace, name FROM log WHERE version > ? AND version <= ? ORDER BY version",
  );
  const erase = database.prepare("DELETE FROM log WHERE version = ?");
  const setOldest = database.prepare("INSERT OR REPLACE INTO fact (name, value) VALUES ('oldest', ?)");

  const buckets = new Map<string, Map<string, Bucket>>();
  const uids = new Map<string, Entry>();
  const owned = new Map<string, Set<Entry>>();
  const listeners: ((change: Change) => void)[] = [];
  /** In order of writing. */
  const texts = new Map<object, string>();
  /** Replaced rows that the last trim had kept because they were current. */
  let replaced: number[] = [];
  let version = 0;
  let oldest = 0;
  let lastWriteMs = 0;
  let housekeeping: NodeJS.Timeout | undefined;

  const find = (resource: string, namespace: string, name: string): Entry | undefined =>
    buckets.get(resource)?.get(namespace)?.entries.get(name);

  function hold(entry: Entry, namespace: string, name: string): void {
    let byNamespace = buckets.get(entry.resource);
    if (byNamespace === undefined) buckets.set(entry.resource, (byNamespace = new Map<string, Bucket>()));
    let bucket = byNamespace.get(namespace);
    if (bucket === undefined)
      byNamespace.set(namespace, (bucket = { entries: new Map<string, Entry>(), sorted: undefined }));
    bucket.entries.set(name, entry);
    bucket.sorted = undefined;
    if (entry.object.metadata.uid !== undefined) uids.set(entry.object.metadata.uid, entry);
    own(entry);
  }

  function drop(entry: Entry, namespace: string, name: string): void {
    const byNamespace = buckets.get(entry.resource);
    const bucket = byNamespace?.get(namespace);
    if (bucket === undefined) return;
    bucket.entries.delete(name);
    bucket.sorted = undefined;
    if (bucket.entries.size === 0) byNamespace?.delete(namespace);
    if (entry.object.metadata.uid !== undefined) uids.delete(entry.object.metadata.uid);
    disown(entry);
  }

  function own(entry: Entry): void {
    for (const { uid } of entry.object.metadata.ownerReferences ?? []) {
      const dependents = owned.get(uid);
      if (dependents === undefined) owned.set(uid, new Set([entry]));
      else dependents.add(entry);
    }
  }

  function disown(entry: Entry): void {
    for (const { uid } of entry.object.metadata.ownerReferences ?? []) {
      const dependents = owned.get(uid);
      dependents?.delete(entry);
      if (dependents?.size === 0) owned.delete(uid);
    }
  }

  function keepText(object: KubeObject, json: string): void {
    texts.set(object, json);
    if (texts.size > mostTexts) texts.delete(texts.keys().next().value!);
  }

  function write(code: number, resource: string, object: KubeObject): KubeObject {
    const { namespace = "", name = "" } = object.metadata;
    const entry = find(resource, namespace, name);
    const next = version + 1;
    object.metadata.resourceVersion = String(next);
    const json = JSON.stringify(object);
    insert.run(next, entry?.version ?? 0, code, resource, namespace, name, json);
    version = next;
    freeze(object);
    keepText(object, json);
    const previous = entry?.object;
    if (entry !== undefined && entry.version <= oldest) replaced.push(entry.version);
    if (code === 2) {
      if (entry !== undefined) drop(entry, namespace, name);
    } else if (entry === undefined) hold({ resource, object, version }, namespace, name);
    else {
      disown(entry);
      entry.object = object;
      entry.version = version;
      own(entry);
    }
    const change: Change = { version, resource, type: codes[code]!, namespace, name, object, previous, json };
    for (const listener of listeners) listener(change);
    keepHouse();
    return object;
  }

  function keepHouse(): void {
    lastWriteMs = Date.now();
    if (version - oldest > keep + trimSlack) trim();
    housekeeping ??= setTimeout(atRest, housekeepingMs).unref();
  }

  /** Trims and checkpoints once nobody has written for a while: both may wait for the disk. */
  function atRest(): void {
    const quietMs = Date.now() - lastWriteMs;
    if (quietMs < housekeepingMs) {
      housekeeping = setTimeout(atRest, housekeepingMs - quietMs).unref();
      return;
    }
    housekeeping = undefined;
    trim();
    database.exec("PRAGMA wal_checkpoint(PASSIVE)");
  }

  function trim(): void {
    const until = version - keep;
    if (until <= oldest && replaced.length === 0) return;
    database.exec("BEGIN");
    try {
      for (const row of replaced) erase.run(row);
      if (until > oldest) {
        for (const row of rowsOf(span, oldest, until)) {
          const live = find(row.resource, row.namespace, row.name);
          if (live?.version !== row.version) erase.run(row.version);
        }
        setOldest.run(until);
      }
      database.exec("COMMIT");
    } catch (error) {
      database.exec("ROLLBACK");
      throw error;
    }
    replaced = [];
    oldest = Math.max(oldest, until);
  }

  load();
  return {
    get version() {
      return version;
    },
    get oldest() {
      return oldest;
    },
    get: (resource, namespace, name) => find(resource, namespace, name)?.object,
    jsonOf: (object) => texts.get(object),
    list(resource, namespace) {
      const byNamespace = buckets.get(resource);
      if (byNamespace === undefined) return [];
      if (namespace !== undefined) return sortedOf(byNamespace.get(namespace));
      const names = [...byNamespace.keys()].sort();
      return names.length === 1
        ? sortedOf(byNamespace.get(names[0]!))
        : names.flatMap((name) => sortedOf(byNamespace.get(name)));
    },
    put: (resource, object) =>
      write(
        find(resource, object.metadata.namespace ?? "", object.metadata.name ?? "") === undefined ? 0 : 1,
        resource,
        object,
      ),
    remove: (resource, last) => write(2, resource, last),
    changesSince(resource, after) {
      if (after < oldest) return undefined;
      return since.all(after, resource).map((row) => replayed(resource, row as unknown as ReplayRow));
    },
    byUid: (uid) => uids.get(uid),
    dependents: (uid) => [...(owned.get(uid) ?? [])],
    resources: () => [...buckets].filter(([, byNamespace]) => byNamespace.size > 0).map(([resource]) => resource),
    onChange: (listener) => void listeners.push(listener),
    close() {
      clearTimeout(housekeeping);
      database.close();
    },
  };

  function load(): void {
    oldest = Number(database.prepare("SELECT value FROM fact WHERE name = 'oldest'").get()?.["value"] ?? 0);
    const last = new Map<string, SpanRow>();
    for (const row of rowsOf(span, 0, Number.MAX_SAFE_INTEGER)) {
      const key = `${row.resource}/${row.namespace}/${row.name}`;
      const before = last.get(key);
      if (before !== undefined && before.version <= oldest) replaced.push(before.version);
      last.set(key, row);
      version = row.version;
    }
    const body = database.prepare("SELECT body FROM log WHERE version = ?");
    for (const row of last.values()) {
      if (row.type === 2) {
        if (row.version <= oldest) replaced.push(row.version);
        continue;
      }
      const object = freeze(JSON.parse(String(body.get(row.version)?.["body"])) as KubeObject);
      hold({ resource: row.resource, object, version: row.version }, row.namespace, row.name);
    }
    trim();
  }
}

function open(file: string): DatabaseSync {
  try {
    const database = new DatabaseSync(file);
    // EXCLUSIVE keeps a second server off the same file, and spares the shared-memory file of WAL.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    database.exec("PRAGMA wal_autocheckpoint = 16000; PRAGMA journal_size_limit = 16777216");
    database.exec(
      `CREATE TABLE IF NOT EXISTS log (version INTEGER PRIMARY KEY, prior INTEGER NOT NULL, type INTEGER NOT NULL,
         resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL);
       CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID`,
    );
    return database;
  } catch (error) {
    const busy = (error as Error).message.includes("locked");
    throw new Error(
      busy
        ? `${file} is in use by another running cluster`
        : `cannot open the cluster's store ${file}: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

interface SpanRow {
  version: number;
  type: number;
  resource: string;
  namespace: string;
  name: string;
}

const rowsOf = (statement: StatementSync, from: number, to: number): SpanRow[] =>
  statement.all(from, to) as unknown as SpanRow[];

function sortedOf(bucket: Bucket | undefined): readonly Entry[] {
  if (bucket === undefined) return [];
  bucket.sorted ??= [...bucket.entries].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, entry]) => entry);
  return bucket.sorted;
}

interface ReplayRow {
  version: number;
  type: number;
  namespace: string;
  name: string;
  body: string;
  before: string | null;
}

/** Parses only what is looked at: a watch without selectors passes the stored text on. */
function replayed(resource: string, row: ReplayRow): Change {
  let object: KubeObject | undefined;
  let previous: KubeObject | undefined;
  return {
    version: row.version,
    resource,
    type: codes[row.type]!,
    namespace: row.namespace,
    name: row.name,
    json: row.body,
    get object() {
      return (object ??= freeze(JSON.parse(row.body) as KubeObject));
    },
    get previous() {
      if (row.before !== null) previous ??= freeze(JSON.parse(row.before) as KubeObject);
      return previous;
    },
  };
}
