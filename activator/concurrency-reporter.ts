/**
 * What is held and proxied here, per revision, as the autoscaler counts it (autoscaling 2.2). The first request that
 * must be held is told at once, so that scaling from zero waits for no period.
 */
import type { Load, RevisionKey } from "../proto/gen/stats.ts";
import { RequestStats } from "../proxy/request-stats.ts";

/** The counters of one revision. */
export interface RevisionStats {
  readonly key: RevisionKey;
  readonly stats: RequestStats;
  /** Of the last change; grows over all revisions. */
  version: number;
  /** Waiting for a pod. */
  held: number;
  /** When it last was told at once. */
  told: { held: number; atMs: number };
}

export interface ReportedLoad {
  revision: RevisionKey;
  load: Load;
}

/** A queue that has doubled since it was told is told again, but not more often than this. */
const growthPeriodMs = 100;

export interface ConcurrencyReporterOptions {
  nowMs: () => number;
  /** The loads should be sent now. Called at most once per turn of the event loop, after all that arrived in it. */
  onUrgent: () => void;
}

export class ConcurrencyReporter {
  readonly #nowMs: () => number;
  readonly #startMs: number;
  readonly #onUrgent: () => void;
  readonly #revisions = new Map<string, RevisionStats>();
  /** Those whose load may still have to be sent. */
  readonly #changed = new Set<RevisionStats>();
  #version = 0;
  #urgent = false;

  constructor({ nowMs, onUrgent }: ConcurrencyReporterOptions) {
    this.#nowMs = nowMs;
    this.#onUrgent = onUrgent;
    this.#startMs = nowMs();
  }

  /** The counters of a revision, made at first use: they live as long as the revision, for they only ever grow. */
  of(namespace: string, name: string): RevisionStats {
    const id = `${namespace}/${name}`;
    let revision = this.#revisions.get(id);
    if (revision === undefined) {
      revision = {
        key: { namespace, name },
        stats: new RequestStats(this.#startMs),
        version: 0,
        held: 0,
        told: { held: 0, atMs: -Infinity },
      };
      this.#revisions.set(id, revision);
    }
    return revision;
  }

  forget(namespace: string, name: string): void {
    const id = `${namespace}/${name}`;
    const revision = this.#revisions.get(id);
    if (revision === undefined) return;
    this.#revisions.delete(id);
    this.#changed.delete(revision);
  }

  all(): Iterable<RevisionStats> {
    return this.#revisions.values();
  }

  arrived(revision: RevisionStats): void {
    revision.stats.arrived(this.#nowMs(), false);
    this.#touch(revision);
  }

  left(revision: RevisionStats): void {
    revision.stats.left(this.#nowMs(), false);
    this.#touch(revision);
  }

  /** A request that has arrived waits for a pod. */
  hold(revision: RevisionStats): void {
    revision.held += 1;
    const nowMs = this.#nowMs();
    const first = revision.held === 1;
    const doubled = revision.held >= 2 * revision.told.held && nowMs - revision.told.atMs >= growthPeriodMs;
    if (!first && !doubled) return;
    revision.told = { held: revision.held, atMs: nowMs };
    // Whatever else arrives in this turn of the event loop goes with it.
    if (this.#urgent) return;
    this.#urgent = true;
    setImmediate(() => {
      this.#urgent = false;
      for (const each of this.#changed) if (each.held > each.told.held) each.told.held = each.held;
      this.#onUrgent();
    });
  }

  /** It waits no longer. */
  unhold(revision: RevisionStats): void {
    revision.held -= 1;
  }

  /**
   * Every load that has changed since `version`, or still changes, and the version to acknowledge. Since 0: every load
   * there ever was, for a receiver that may remember any of them.
   */
  changedSince(version: number): { loads: ReportedLoad[]; version: number } {
    const nowMs = this.#nowMs();
    const loads: ReportedLoad[] = [];
    for (const revision of version === 0 ? this.#revisions.values() : this.#changed)
      if (revision.version > version || revision.stats.inFlight > 0)
        loads.push({ revision: revision.key, load: revision.stats.load(nowMs) });
    return { loads, version: this.#version };
  }

  /** Every autoscaler has used what was reported up to `version`. */
  acknowledged(version: number): void {
    for (const revision of this.#changed)
      if (revision.version <= version && revision.stats.inFlight === 0) this.#changed.delete(revision);
  }

  #touch(revision: RevisionStats): void {
    this.#version += 1;
    revision.version = this.#version;
    this.#changed.add(revision);
  }
}
