/** For tests: one reconcile over the objects of a row, and what it wrote and said. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Test } from "tap";
import { parseAllDocuments, stringify } from "yaml";
import type { KubeObject, Resource } from "../api/meta.ts";
import { apiVersionOf } from "../api/meta.ts";
import type { Condition } from "../api/serving.ts";
import { silentLogger } from "../process/logger.ts";
import { createCaches, startCaches } from "./caches.ts";
import { fixedConfig, parsePlatformConfig } from "./config/store.ts";
import { merge, MemoryCluster } from "./memory-cluster.ts";
import type { Deps, Reconciler } from "./reconciler.ts";
import type { ApiError } from "../kube/client.ts";

export const nowMs = Date.parse("2026-01-02T00:00:00Z");

export type ConfigData = Record<string, Record<string, string | null>>;

/** Merge patches by `Kind name`; null takes the object away. */
export type Changes = Record<string, object | null>;

const stockConfig: ConfigData = {
  "config-deployment": { "queue-sidecar-image": "dev.local/swell-queue-proxy:0.1.0" },
  "config-network": { "ingress-class": "swell.ingress.networking.knative.dev" },
  "config-domain": { "example.com": "" },
};

export interface RowInput {
  make: (deps: Deps) => Reconciler;
  /** Default `default/hello`. */
  key?: string;
  objects: readonly KubeObject[];
  /** Laid over the stock one, by ConfigMap. */
  config?: ConfigData;
  nowMs?: number;
  refuse?: (write: string) => ApiError | undefined;
  /** Another reconcile may write: the row says why. */
  unsettled?: string;
}

export interface RowResult {
  cluster: MemoryCluster;
  /** Of the first reconcile. */
  writes: string[];
  /** `Warning NotOwned: text` for warnings, `Created: text` for the others. */
  events: string[];
  error: string | undefined;
  /** When the key runs again although nothing changed. */
  againMs: number | undefined;
  /** `Ready False NotOwned: message` of the object that stands at the key now, informational ones with `(Info)`. */
  conditions(resource: Resource, key?: string): string[];
}

/** Reconciles until the row is at rest, which is after the first time: a second one must write nothing. */
export async function reconcileRow(t: Test, input: RowInput): Promise<RowResult> {
  const { key = "default/hello", config = {}, nowMs: rowMs = nowMs } = input;
  const cluster = new MemoryCluster(input.objects);
  cluster.refuse = input.refuse;
  const stop = new AbortController();
  const caches = createCaches(cluster, silentLogger);
  await startCaches(caches, silentLogger, stop.signal);
  const events: string[] = [];
  const reconciler = input.make({
    client: cluster,
    caches,
    config: fixedConfig(parsePlatformConfig((name) => configOf(config, name), "cluster.local")),
    record: (_object, type, reason, message) =>
      events.push(`${type === "Warning" ? "Warning " : ""}${reason}: ${message}`),
    nowMs: () => rowMs,
    log: silentLogger,
    systemNamespace: "knative-serving",
    clusterDomain: "cluster.local",
  });
  const run = async (): Promise<{ error?: string; againMs?: number }> => {
    try {
      const outcome = await reconciler.reconcile(key, stop.signal);
      return outcome.is === "again" ? { againMs: outcome.afterMs } : {};
    } catch (error) {
      return { error: (error as Error).message };
    } finally {
      // The informers hear of a write in a turn of their own.
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
  };
  try {
    const { error, againMs } = await run();
    const first = { writes: [...cluster.writes], events: [...events] };
    if (input.unsettled === undefined) {
      await run();
      t.same(cluster.writes.slice(first.writes.length), [], "a second reconcile writes nothing");
    }
    return {
      cluster,
      ...first,
      error,
      againMs,
      conditions: (resource, of = key) =>
        conditionLines(
          cluster.find<KubeObject & { status?: { conditions?: Condition[] } }>(resource, of)?.status?.conditions,
        ),
    };
  } finally {
    stop.abort();
  }
}

/** The data of a ConfigMap: the stock one with the row's over it, where null takes a key away. */
export const configOf = (config: ConfigData, name: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries({ ...stockConfig[name], ...config[name] }).filter(([, value]) => value !== null),
  ) as Record<string, string>;

export function conditionLines(conditions: readonly Condition[] | undefined): string[] {
  return (conditions ?? []).map(({ type, status, severity, reason = "", message = "" }) =>
    [
      `${type}${severity === undefined ? "" : ` (${severity})`} ${status}`,
      reason === "" ? "" : ` ${reason}`,
      message === "" ? "" : `: ${message}`,
    ].join(""),
  );
}

/** The documents of a YAML file. */
export function objectsIn(file: string): KubeObject[] {
  return parseAllDocuments(readFileSync(file, "utf8")).map((document) => document.toJS() as KubeObject);
}

/** The objects with each change merged into the one it names; a name that is not there is a mistake of the row. */
export function withChanges(objects: readonly KubeObject[], changes: Changes = {}): KubeObject[] {
  const left = new Set(Object.keys(changes));
  const changed = objects.flatMap((object) => {
    const name = `${object.kind} ${object.metadata.name}`;
    left.delete(name);
    const change = changes[name];
    if (change === null) return [];
    return [change === undefined ? object : (merge(object, change) as KubeObject)];
  });
  if (left.size > 0) throw new Error(`no ${[...left].join(", ")} to change`);
  return changed;
}

/** Compares stored objects with the documents of a YAML file. SWELL_UPDATE_TESTDATA=1 writes the file instead. */
export function matchesFile(
  t: Test,
  file: string,
  cluster: MemoryCluster,
  wanted: readonly [resource: Resource, key: string][],
): void {
  const found = wanted.map(([resource, key]) => {
    const object = cluster.find<KubeObject>(resource, key);
    if (object === undefined) throw new Error(`there is no ${apiVersionOf(resource)} ${resource.kind} ${key}`);
    const { resourceVersion: _version, uid: _uid, generation: _gen, creationTimestamp: _at, ...rest } = object.metadata;
    return JSON.parse(JSON.stringify({ ...object, metadata: rest })) as KubeObject;
  });
  if (process.env["SWELL_UPDATE_TESTDATA"] === "1" || !existsSync(file))
    writeFileSync(
      file,
      found.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join("---\n"),
    );
  t.same(found, objectsIn(file), file.split("/").at(-1) ?? file);
}
