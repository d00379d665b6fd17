/**
 * What is done while a bucket is ours: go on where the owner before us was, decide, and hand over to the next. What
 * cannot be known, because the owner before us died, is treated as unknown: see `ScaledRevision.foundRunning`.
 */
import { once } from "node:events";
import type { Lease } from "../../api/core.ts";
import type { Reconciler } from "../../kube/reconciler.ts";
import type { Logger } from "../../process/logger.ts";
import type { DeciderMemory } from "../decider.ts";
import type { MultiScaler } from "../multi-scaler.ts";
import type { RevisionStats } from "../revision-stats.ts";
import type { Buckets } from "./bucket.ts";
import { packHandOver, unpackHandOver, type HandOver, type RevisionMemory } from "./hand-over.ts";
import type { HandOverStore } from "./hand-over-store.ts";

/** What decides for the revisions of one bucket. */
export interface Deciding {
  multiScaler: MultiScaler;
  reconciler: Reconciler;
}

/** Where a revision belongs. */
export type Owner = { is: "here" } | { is: "elsewhere"; address: string } | { is: "unknown" };

export interface TermsOptions {
  buckets: Buckets;
  stats: Pick<RevisionStats, "memory" | "restore" | "endHandOver" | "shareAgain">;
  store: HandOverStore;
  /** Address of the autoscaler that holds the bucket's lease. */
  ownerOf: (bucket: string) => string | undefined;
  ip: string;
  /** All revisions there are. */
  keys: () => Iterable<string>;
  start: (from: { sinceMs: number; remembered: (key: string) => DeciderMemory | undefined }) => Deciding;
  /** The pods of these revisions have to report elsewhere. */
  endPods: (isTheirs: (key: string) => boolean) => void;
  nowMs: () => number;
  /** Calls back once, later; returns what cancels it. */
  after: (ms: number, call: () => void) => () => void;
  log: Logger;
}

/** For reading what the last owner left, and for leaving it: a successor that has to wait decides nothing meanwhile. */
const readMs = 1000;
const writeMs = 2000;
/** Pods of a bucket that was handed over come within this, or are gone. */
const awaitedMs = 5000;

export class Terms {
  readonly #options: TermsOptions;
  readonly #deciding = new Map<string, Deciding>();
  /** Buckets whose lease we could not keep, with what we knew: nobody else may have taken them. */
  readonly #lost = new Map<string, HandOver>();

  constructor(options: TermsOptions) {
    this.#options = options;
  }

  /** What decides for the revision, if that is done here. */
  of(key: string): Deciding | undefined {
    return this.#deciding.get(this.#options.buckets.of(key));
  }

  all(): Deciding[] {
    return [...this.#deciding.values()];
  }

  isOurs(bucket: string): boolean {
    return this.#deciding.has(bucket);
  }

  /** For a look inside. */
  describe(): Record<string, Owner> {
    const { buckets, ownerOf, ip } = this.#options;
    const ownerOfBucket = (bucket: string): Owner => {
      const address = ownerOf(bucket);
      if (this.isOurs(bucket)) return { is: "here" };
      return address === undefined || address === ip ? { is: "unknown" } : { is: "elsewhere", address };
    };
    return Object.fromEntries(buckets.names.map((bucket) => [bucket, ownerOfBucket(bucket)]));
  }

  /** Where the pods of the revision should report. */
  owner(key: string): Owner {
    const bucket = this.#options.buckets.of(key);
    if (this.#deciding.has(bucket)) return { is: "here" };
    const address = this.#options.ownerOf(bucket);
    if (address !== undefined && address !== this.#options.ip) return { is: "elsewhere", address };
    // While the API server is away nobody leads; what we know stays good until somebody else does.
    return this.#lost.has(bucket) ? { is: "here" } : { is: "unknown" };
  }

  /** Owners may have changed: pods of a bucket that we lost go to who took it. */
  look(): void {
    const { buckets, ownerOf, ip, endPods } = this.#options;
    for (const bucket of this.#lost.keys()) {
      const address = ownerOf(bucket);
      if (address === undefined || address === ip) continue;
      this.#lost.delete(bucket);
      endPods((key) => buckets.of(key) === bucket);
    }
  }

  /** One term: from taking the lease to giving it up. Resolves when it may be released. */
  async serve(bucket: string, over: AbortSignal, term: Lease): Promise<void> {
    const { buckets, stats, keys, nowMs, endPods } = this.#options;
    const log = this.#options.log.child({ bucket });
    const transitions = term.spec?.leaseTransitions ?? 0;
    const isMine = (key: string): boolean => buckets.of(key) === bucket;

    const remembered = await this.#receive(bucket, transitions, log);
    const restored = [...remembered.keys()];
    const deciding = this.#options.start({
      sinceMs: nowMs(),
      remembered(key) {
        const memory = remembered.get(key);
        // A revision that is made again later starts afresh.
        remembered.delete(key);
        return memory;
      },
    });
    this.#deciding.set(bucket, deciding);
    for (const key of keys()) if (isMine(key)) deciding.reconciler.queue.add(key);
    stats.shareAgain(isMine);
    const cancelAwaited = this.#options.after(awaitedMs, () => {
      for (const key of restored) stats.endHandOver(key);
    });

    const running = deciding.reconciler.run(over);
    if (!over.aborted) await once(over, "abort");
    cancelAwaited();
    this.#deciding.delete(bucket);
    const handOver: HandOver = { bucket, transitions, atMs: nowMs(), revisions: this.#memories(deciding) };
    deciding.multiScaler.stop();
    if (over.reason === "lost") {
      this.#lost.set(bucket, handOver);
      this.look();
    } else {
      await this.#leave(handOver, log);
      endPods(isMine);
    }
    await running;
  }

  #memories({ multiScaler }: Deciding): RevisionMemory[] {
    return multiScaler.memories().map(([key, decider]) => {
      const load = this.#options.stats.memory(key);
      return { key, decider, ...(load === undefined ? {} : { load }) };
    });
  }

  /** Puts the windows in place that the owner before us left, and returns its decisions. */
  async #receive(bucket: string, transitions: number, log: Logger): Promise<Map<string, DeciderMemory>> {
    const { store, stats, nowMs } = this.#options;
    const lost = this.#lost.get(bucket);
    this.#lost.delete(bucket);
    // Nobody was in between: our windows went on, and only the deciders were stopped.
    if (lost !== undefined && lost.transitions + 1 === transitions) {
      log.info("decides again");
      return new Map(lost.revisions.map(({ key, decider }) => [key, decider]));
    }
    try {
      const packed = await within(readMs, store.read(bucket));
      if (packed === undefined) return new Map();
      const handOver = unpackHandOver(packed, { bucket, transitions }, nowMs());
      store.remove(bucket).catch((error: unknown) => log.debug({ err: error }, "a hand-over stays, and is not used"));
      if (handOver === undefined) return new Map();
      const whole = handOver.revisions.filter(({ load }) => load !== undefined);
      for (const { key, load } of whole) stats.restore(key, load!);
      log.info({ revisions: whole.length, ageMs: nowMs() - handOver.atMs }, "goes on with the windows handed over");
      return new Map(whole.map(({ key, decider }) => [key, decider]));
    } catch (error) {
      log.warn({ err: error }, "the windows handed over cannot be used: what runs is kept for a stable window");
      return new Map();
    }
  }

  async #leave(handOver: HandOver, log: Logger): Promise<void> {
    try {
      const { packed, dropped } = packHandOver(handOver);
      await within(writeMs, this.#options.store.write(handOver.bucket, packed));
      log.info({ bytes: packed.length, dropped }, "windows left for the next owner");
    } catch (error) {
      log.warn({ err: error }, "windows could not be left for the next owner");
    }
  }
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
