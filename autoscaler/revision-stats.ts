/** What the streams tell of each revision: its load, its pods, and who wants to hear of these. */
import { PodState, type ActivatorDemand, type Load, type PodAddress } from "../proto/gen/stats.ts";
import { Collection, type CollectionMemory, type Recorded, type WindowSettings } from "./collector.ts";
import { ActivatorDemands } from "./activator-demands.ts";
import type { LoadSource } from "./load-source.ts";

/** An activator's stream, as far as it is told of pods. */
export interface PodSubscriber {
  /** Resolves when it is written, or the stream has ended. With `complete`, `pods` are all there are. */
  tell(key: string, pods: readonly PodAddress[], complete: boolean): Promise<void>;
  /** Who has requests of the revision now, in order of names. */
  share?(key: string, demands: readonly ActivatorDemand[]): void;
}

/** One pod's stream. */
export interface PodFeed {
  /**
   * Takes a report in; the state it carries is passed on when it is new. The promise, if there is one, resolves when
   * every subscribed activator was told of it.
   */
  report(state: PodState, load: Load | undefined): { told: Promise<unknown> | undefined };
  close(): void;
}

/** One activator's stream. */
export interface ActivatorFeed {
  load(key: string, load: Load): void;
  add(key: string): void;
  remove(key: string): void;
  readonly subscriptions: number;
  close(): void;
}

export interface RevisionStatsEvents {
  /** The load of a revision changed: what is in flight now may differ. */
  onLoad: (key: string) => void;
  /** A pod became ready or stopped being so. */
  onPods: (key: string) => void;
  /** Somebody began to scale the revision here. */
  onKept?: (key: string) => void;
}

interface Revision {
  collection: Collection;
  pods: Map<string, Pod>;
  subscribers: Set<PodSubscriber>;
  demands: ActivatorDemands;
  /** Pods without streams that are spoken for by those of them that were last asked, and when. */
  asked: { pods: number; atMs: number } | undefined;
  /** Somebody scales it: its windows stay without streams too. */
  kept: boolean;
}

interface Pod {
  address: PodAddress;
  feed: PodFeed;
  /** As it last said, what came through an activator included. */
  inFlight: number;
}

/** Pods that were not asked with success for so long are not known. */
const answerHoldsMs = 5000;

export const refusals = ["malformed", "future", "implausible"] as const;

export class RevisionStats {
  readonly #revisions = new Map<string, Revision>();
  readonly #events: RevisionStatsEvents;
  readonly #settings: WindowSettings;
  readonly #nowMs: () => number;
  /** Load messages by what became of them. */
  readonly counts: Record<"used" | "stale" | (typeof refusals)[number], number> = {
    used: 0,
    stale: 0,
    malformed: 0,
    future: 0,
    implausible: 0,
  };
  #activators = 0;
  /** Streams of each activator: it may come again before its last stream is seen to be dead. */
  readonly #streamsOf = new Map<string, number>();
  /** Activators that send averages (`upstream/`). */
  averagingActivators = 0;

  /** `settings` hold until a revision's own are known. */
  constructor(options: { settings: WindowSettings; events: RevisionStatsEvents; nowMs: () => number }) {
    this.#settings = options.settings;
    this.#events = options.events;
    this.#nowMs = options.nowMs;
  }

  /** Activators with a stream: while there is one, what is held for a revision is known. */
  get activators(): number {
    return this.#activators + this.averagingActivators;
  }

  get size(): number {
    return this.#revisions.size;
  }

  /** The windows of a revision that is scaled here. */
  keep(key: string, settings: WindowSettings): Collection {
    const revision = this.#revision(key);
    const fresh = !revision.kept;
    revision.kept = true;
    revision.collection.configure(settings);
    if (fresh) this.#events.onKept?.(key);
    return revision.collection;
  }

  /** The revision is not scaled here any more. */
  release(key: string): void {
    const revision = this.#revisions.get(key);
    if (revision === undefined) return;
    revision.kept = false;
    this.#dropIfUnused(key, revision);
  }

  collection(key: string): Collection | undefined {
    return this.#revisions.get(key)?.collection;
  }

  /** What another autoscaler needs to go on with the revision. */
  memory(key: string): CollectionMemory | undefined {
    return this.#revisions.get(key)?.collection.memory(this.#nowMs());
  }

  /** Goes on with what another autoscaler knew. Before anybody scales the revision here, and before its pods come. */
  restore(key: string, memory: CollectionMemory): void {
    const revision = this.#revision(key);
    const before = revision.collection;
    revision.collection = Collection.from(memory);
    // Activators have been reporting here as well.
    revision.collection.adopt(before, this.#nowMs());
  }

  /** Sources that were handed over have had their time to come. */
  endHandOver(key: string): void {
    const revision = this.#revisions.get(key);
    if (revision === undefined) return;
    revision.collection.dropAwaited(this.#nowMs());
    this.#events.onLoad(key);
    this.#dropIfUnused(key, revision);
  }

  /** Tells the activators again who has requests of these revisions. */
  shareAgain(isMine: (key: string) => boolean): void {
    for (const [key, revision] of this.#revisions)
      if (isMine(key) && revision.demands.list().length > 0) this.#share(key, revision, revision.demands.list());
  }

  /** The state of a pod with a stream. */
  podState(key: string, pod: string): PodState | undefined {
    return this.#revisions.get(key)?.pods.get(pod)?.address.state;
  }

  /** Requests in one pod, as it last said; 0 for a pod without a stream. */
  podInFlight(key: string, pod: string): number {
    return this.#revisions.get(key)?.pods.get(pod)?.inFlight ?? 0;
  }

  podCount(key: string): number {
    return this.#revisions.get(key)?.pods.size ?? 0;
  }

  /** Somebody scales the revision here. */
  isKept(key: string): boolean {
    return this.#revisions.get(key)?.kept === true;
  }

  /** Pods whose load is known: of their streams, or of an answer not long ago. */
  knownPods(key: string): number {
    const revision = this.#revisions.get(key);
    if (revision === undefined) return 0;
    const { asked, pods } = revision;
    return pods.size + (asked !== undefined && this.#nowMs() - asked.atMs < answerHoldsMs ? asked.pods : 0);
  }

  /**
   * Averages of a second from those who have no stream (`upstream/`): `pods` they speak for, and by how much what they
   * have in flight has changed. False: nobody scales the revision here.
   */
  recordSecond(
    key: string,
    load: { concurrency: number; requests: number },
    atMs: number,
    { pods, inFlightChange = 0 }: { pods?: number; inFlightChange?: number } = {},
  ): boolean {
    const revision = this.#revisions.get(key);
    if (revision?.kept !== true) return false;
    const nowMs = this.#nowMs();
    revision.collection.recordSecond(load, atMs, nowMs);
    if (pods !== undefined) revision.asked = { pods, atMs: nowMs };
    this.addAveraged(key, inFlightChange);
    return true;
  }

  /** What senders of averages have in flight has changed by so much. */
  addAveraged(key: string, change: number): void {
    const revision = this.#revisions.get(key);
    if (revision === undefined || change === 0) return;
    revision.collection.addAveraged(change);
    this.#events.onLoad(key);
    this.#dropIfUnused(key, revision);
  }

  pods(key: string): PodAddress[] {
    return [...(this.#revisions.get(key)?.pods.values() ?? [])].map((pod) => pod.address);
  }

  openPod(key: string, pod: { name: string; ip: string; port: number; epoch: number }): PodFeed {
    const revision = this.#revision(key);
    const source = revision.collection.attach(pod.name, "pod", pod.epoch, this.#nowMs());
    let state: PodState = PodState.UNSPECIFIED;

    const feed: PodFeed = {
      report: (next, load) => {
        const entry = revision.pods.get(pod.name);
        // Another stream of the same pod has taken over.
        if (entry?.feed !== feed) return { told: undefined };
        if (load !== undefined) entry.inFlight = load.inFlight;
        if (load !== undefined && state !== PodState.DRAINING) this.#record(key, revision, source, load);
        if (next === state || next === PodState.UNSPECIFIED) return { told: undefined };
        const counted = state === PodState.READY || next === PodState.READY || next === PodState.DRAINING;
        state = next;
        // What it still works off is no reason to run another pod.
        if (state === PodState.DRAINING) {
          revision.collection.detach(source, this.#nowMs());
          this.#events.onLoad(key);
        }
        entry.address = { ...entry.address, state };
        const told = this.#tell(key, revision, entry.address);
        if (counted) this.#events.onPods(key);
        return { told };
      },
      close: () => {
        const entry = revision.pods.get(pod.name);
        if (entry?.feed !== feed) return;
        revision.pods.delete(pod.name);
        revision.collection.detach(source, this.#nowMs());
        void this.#tell(key, revision, { ...entry.address, gone: true });
        this.#events.onPods(key);
        this.#dropIfUnused(key, revision);
      },
    };
    revision.pods.set(pod.name, {
      address: { ip: pod.ip, port: pod.port, pod: pod.name, state, gone: false },
      feed,
      inFlight: 0,
    });
    return feed;
  }

  openActivator(activator: { name: string; epoch: number }, subscriber: PodSubscriber): ActivatorFeed {
    this.#activators += 1;
    const life = `${activator.name}/${activator.epoch}`;
    this.#streamsOf.set(life, (this.#streamsOf.get(life) ?? 0) + 1);
    const id = `activator/${activator.name}`;
    const sources = new Map<string, { collection: Collection; source: LoadSource }>();
    const subscribed = new Set<string>();
    let open = true;
    return {
      load: (key, load) => {
        const revision = this.#revision(key);
        const { collection } = revision;
        let fed = sources.get(key);
        // The revision may have been forgotten meanwhile.
        if (fed?.collection !== collection) {
          fed = { collection, source: collection.attach(id, "activator", activator.epoch, this.#nowMs()) };
          sources.set(key, fed);
        }
        this.#record(key, revision, fed.source, load);
        this.#share(key, revision, revision.demands.report(activator.name, load.inFlight));
        if (load.inFlight === 0) this.#dropIfUnused(key, revision);
      },
      add: (key) => {
        subscribed.add(key);
        const revision = this.#revision(key);
        revision.subscribers.add(subscriber);
        void subscriber.tell(key, this.pods(key), true);
        const demands = revision.demands.list();
        if (demands.length > 0) subscriber.share?.(key, demands);
      },
      remove: (key) => {
        subscribed.delete(key);
        const revision = this.#revisions.get(key);
        if (revision === undefined) return;
        revision.subscribers.delete(subscriber);
        this.#dropIfUnused(key, revision);
      },
      get subscriptions() {
        return subscribed.size;
      },
      close: () => {
        if (!open) return;
        open = false;
        this.#activators -= 1;
        const others = (this.#streamsOf.get(life) ?? 1) - 1;
        if (others > 0) this.#streamsOf.set(life, others);
        else this.#streamsOf.delete(life);
        for (const [key, { collection, source }] of sources) {
          // Another stream of it feeds the same sources.
          if (others > 0) break;
          const before = collection.inFlight;
          collection.detach(source, this.#nowMs());
          if (collection.inFlight !== before) this.#events.onLoad(key);
          const revision = this.#revisions.get(key);
          if (revision === undefined) continue;
          this.#share(key, revision, revision.demands.forget(activator.name));
          this.#dropIfUnused(key, revision);
        }
        for (const key of subscribed) {
          const revision = this.#revisions.get(key);
          if (revision === undefined) continue;
          revision.subscribers.delete(subscriber);
          this.#dropIfUnused(key, revision);
        }
      },
    };
  }

  #record(key: string, revision: Revision, source: LoadSource, load: Load): void {
    const before = revision.collection.inFlight;
    const recorded: Recorded = revision.collection.record(source, load, this.#nowMs());
    this.counts[recorded.is === "refused" ? recorded.because : recorded.is] += 1;
    if (recorded.is === "used" && revision.collection.inFlight !== before) this.#events.onLoad(key);
  }

  #tell(key: string, revision: Revision, address: PodAddress): Promise<unknown> {
    return Promise.all([...revision.subscribers].map((subscriber) => subscriber.tell(key, [address], false)));
  }

  #share(key: string, { subscribers }: Revision, demands: readonly ActivatorDemand[] | undefined): void {
    if (demands !== undefined) for (const subscriber of subscribers) subscriber.share?.(key, demands);
  }

  #revision(key: string): Revision {
    let revision = this.#revisions.get(key);
    if (revision === undefined) {
      revision = {
        collection: new Collection(this.#settings, this.#nowMs()),
        pods: new Map(),
        subscribers: new Set(),
        demands: new ActivatorDemands(),
        asked: undefined,
        kept: false,
      };
      this.#revisions.set(key, revision);
    }
    return revision;
  }

  #dropIfUnused(key: string, revision: Revision): void {
    if (revision.kept || revision.pods.size > 0 || revision.subscribers.size > 0 || revision.collection.inFlight > 0)
      return;
    this.#revisions.delete(key);
  }
}
