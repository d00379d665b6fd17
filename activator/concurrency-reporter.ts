/**
 * What is held and proxied here, per revision, as the autoscaler counts it (autoscaling 2.2). A request that must be held
 * is told at once, and so is a load that has grown a lot: scaling waits for no period. What comes within the same few
 * turns of the event loop goes with it, and while a load goes on growing it is told again, at growing distances.
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
  /** In flight when it was last reported. */
  told: number;
  /** When it last was told ahead of its period, and how long it waits for the next time. */
  urgent: { atMs: number; paceMs: number };
  /** It is about to be told. */
  due: boolean;
}

export interface ReportedLoad {
  revision: RevisionKey;
  load: Load;
}

/** A burst is told whole: while each turn of the event loop brings more of it, but no longer than this. */
const burstMs = 5;
/** While it grows on, a load is told after the first of these, then after twice as long each time, up to the second. */
const firstPaceMs = 2;
const lastPaceMs = 128;
/** A load that was not told ahead of its period for so long is told at once again. */
const quietMs = 1000;
/** Requests that wait for nothing are news when there are so many times as many, and so many more, as were reported. */
const surgeFactor = 2;
const surgeRequests = 2;

export interface ConcurrencyReporterOptions {
  nowMs: () => number;
  /** These loads should be sent now. */
  onUrgent: (loads: ReportedLoad[]) => void;
  /** Calls back once, later. Default: a timer. */
  after?: (ms: number, call: () => void) => void;
}

export class ConcurrencyReporter {
  readonly #nowMs: () => number;
  readonly #startMs: number;
  readonly #onUrgent: ConcurrencyReporterOptions["onUrgent"];
  readonly #after: (ms: number, call: () => void) => void;
  readonly #revisions = new Map<string, RevisionStats>();
  /** Those whose load may still have to be sent. */
  readonly #changed = new Set<RevisionStats>();
  /** Those that are told as soon as their burst is over. */
  readonly #bursting = new Set<RevisionStats>();
  #version = 0;

  constructor({ nowMs, onUrgent, after }: ConcurrencyReporterOptions) {
    this.#nowMs = nowMs;
    this.#onUrgent = onUrgent;
    this.#after = after ?? ((ms, call) => void setTimeout(call, ms).unref());
    this.#startMs = nowMs();
  }

  /** The counters of a revision, made at first use: they live as long as the revision, for they only ever grow. */
  of(namespace: string, name: string): RevisionStats {
    const id = idOf({ namespace, name });
    let revision = this.#revisions.get(id);
    if (revision === undefined) {
      revision = {
        key: { namespace, name },
        stats: new RequestStats(this.#startMs),
        version: 0,
        held: 0,
        told: 0,
        urgent: { atMs: -Infinity, paceMs: 0 },
        due: false,
      };
      this.#revisions.set(id, revision);
    }
    return revision;
  }

  forget(namespace: string, name: string): void {
    const id = idOf({ namespace, name });
    const revision = this.#revisions.get(id);
    if (revision === undefined) return;
    this.#revisions.delete(id);
    this.#changed.delete(revision);
    this.#bursting.delete(revision);
  }

  all(): Iterable<RevisionStats> {
    return this.#revisions.values();
  }

  arrived(revision: RevisionStats): void {
    revision.stats.arrived(this.#nowMs(), false);
    this.#touch(revision);
    if (!revision.due && this.#isNews(revision)) this.#tellSoon(revision);
  }

  left(revision: RevisionStats): void {
    revision.stats.left(this.#nowMs(), false);
    this.#touch(revision);
  }

  /** A request that has arrived waits for a pod. */
  hold(revision: RevisionStats): void {
    revision.held += 1;
    if (!revision.due && revision.stats.inFlight > revision.told) this.#tellSoon(revision);
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
      if (revision.version > version || revision.stats.inFlight > 0) loads.push(this.#reported(revision, nowMs));
    return { loads, version: this.#version };
  }

  /** Every autoscaler has used what was reported up to `version`. */
  acknowledged(version: number): void {
    for (const revision of this.#changed)
      if (revision.version <= version && revision.stats.inFlight === 0) this.#changed.delete(revision);
  }

  /** Of requests that wait for nothing: a surge, and what follows it. */
  #isNews({ stats, told, urgent }: RevisionStats): boolean {
    const { inFlight } = stats;
    if (inFlight <= told) return false;
    if (inFlight >= surgeFactor * told && inFlight - told >= surgeRequests) return true;
    return urgent.paceMs > 0 && urgent.paceMs < lastPaceMs && this.#nowMs() - urgent.atMs < quietMs;
  }

  #tellSoon(revision: RevisionStats): void {
    const nowMs = this.#nowMs();
    const { urgent } = revision;
    if (nowMs - urgent.atMs >= quietMs) urgent.paceMs = 0;
    revision.due = true;
    const waitMs = urgent.atMs + urgent.paceMs - nowMs;
    if (waitMs > 0) this.#after(waitMs, () => this.#tellBurst(revision));
    else this.#tellBurst(revision);
  }

  /** After the turn in which all that came together is counted, and as many more as each bring more. */
  #tellBurst(revision: RevisionStats): void {
    if (this.#revisions.get(idOf(revision.key)) !== revision) return;
    this.#bursting.add(revision);
    if (this.#bursting.size > 1) return;
    const endMs = this.#nowMs() + burstMs;
    let before = revision.stats.inFlight;
    const turn = (): void => {
      let inFlight = 0;
      for (const each of this.#bursting) inFlight += each.stats.inFlight;
      if (inFlight > before && this.#nowMs() < endMs) setImmediate(turn);
      else this.#tell();
      before = inFlight;
    };
    setImmediate(turn);
  }

  #tell(): void {
    const nowMs = this.#nowMs();
    const loads: ReportedLoad[] = [];
    for (const revision of this.#bursting) {
      const { paceMs } = revision.urgent;
      revision.urgent = { atMs: nowMs, paceMs: paceMs === 0 ? firstPaceMs : Math.min(lastPaceMs, 2 * paceMs) };
      revision.due = false;
      loads.push(this.#reported(revision, nowMs));
    }
    this.#bursting.clear();
    if (loads.length > 0) this.#onUrgent(loads);
  }

  #reported(revision: RevisionStats, nowMs: number): ReportedLoad {
    const load = revision.stats.load(nowMs);
    // One that is due is told to all, whoever asked meanwhile.
    if (!revision.due) revision.told = load.inFlight;
    return { revision: revision.key, load };
  }

  #touch(revision: RevisionStats): void {
    this.#version += 1;
    revision.version = this.#version;
    this.#changed.add(revision);
  }
}

const idOf = ({ namespace, name }: RevisionKey): string => `${namespace}/${name}`;
