/** What is to be told to one activator, merged per revision while its stream is busy. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import type {
  ActivatorDemand,
  ActivatorDirective,
  ActivatorReport,
  Autoscalers,
  PodAddress,
  RevisionKey,
} from "../proto/gen/stats.ts";
import type { PodSubscriber } from "./revision-stats.ts";

interface News {
  complete: boolean;
  pods: Map<string, PodAddress>;
}

type Stream = ServerDuplexStream<ActivatorReport, ActivatorDirective>;

/** Bounded by the subscriptions and their pods: a state that was not written yet gives way to a newer one. */
export class ActivatorWriter implements PodSubscriber {
  readonly #stream: Stream;
  #news = new Map<string, News>();
  #demands = new Map<string, readonly ActivatorDemand[]>();
  /** Told last, and what is still to be told. */
  #told = "";
  #autoscalers: Autoscalers | undefined;
  #waiting: (() => void)[] = [];
  #writing = new Set<() => void>();
  #used = 0;
  #acknowledged = 0;
  #scheduled = false;
  #blocked = false;
  closed = false;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  tell(key: string, pods: readonly PodAddress[], complete: boolean): Promise<void> {
    if (this.closed) return Promise.resolve();
    let news = this.#news.get(key);
    if (news === undefined || complete) {
      news = { complete: complete || news?.complete === true, pods: new Map() };
      this.#news.set(key, news);
    }
    for (const pod of pods) news.pods.set(pod.pod, pod);
    const told = Promise.withResolvers<void>();
    this.#waiting.push(told.resolve);
    this.#schedule();
    return told.promise;
  }

  share(key: string, demands: readonly ActivatorDemand[]): void {
    if (this.closed) return;
    this.#demands.set(key, demands);
    this.#schedule();
  }

  autoscalers(autoscalers: Autoscalers): void {
    const all = autoscalers.all.toSorted();
    const told = `${autoscalers.self} ${all.join(" ")}`;
    if (this.closed || told === this.#told) return;
    this.#told = told;
    this.#autoscalers = { ...autoscalers, all };
    this.#schedule();
  }

  acknowledge(sequence: number): void {
    this.#used = Math.max(this.#used, sequence);
    this.#schedule();
  }

  /** Who waits for a write waits no longer. */
  close(): void {
    this.closed = true;
    for (const resolve of [...this.#waiting, ...this.#writing]) resolve();
    this.#waiting = [];
    this.#writing.clear();
    this.#news.clear();
    this.#demands.clear();
  }

  /** What comes in one turn of the event loop is one message. */
  #schedule(): void {
    if (this.#scheduled || this.#blocked || this.closed) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.closed || this.#blocked) return;
    if (
      this.#news.size === 0 &&
      this.#demands.size === 0 &&
      this.#autoscalers === undefined &&
      this.#used <= this.#acknowledged &&
      this.#waiting.length === 0
    )
      return;
    const pods = [...this.#news].map(([key, news]) => {
      const revision = revisionKey(key);
      // In a complete list, what is not there is gone.
      const known = [...news.pods.values()].filter((pod) => !(news.complete && pod.gone));
      return { revision, complete: news.complete, pods: known };
    });
    const demands = [...this.#demands].map(([key, activators]) => ({
      revision: revisionKey(key),
      activators: [...activators],
    }));
    this.#demands = new Map();
    const autoscalers = this.#autoscalers;
    this.#autoscalers = undefined;
    const resolves = this.#waiting;
    for (const resolve of resolves) this.#writing.add(resolve);
    this.#news = new Map();
    this.#waiting = [];
    this.#acknowledged = this.#used;
    const written = (): void => {
      for (const resolve of resolves) {
        this.#writing.delete(resolve);
        resolve();
      }
    };
    if (this.#stream.write({ acknowledged: this.#acknowledged, pods, demands, autoscalers }, written)) return;
    this.#blocked = true;
    this.#stream.once("drain", () => {
      this.#blocked = false;
      this.#flush();
    });
  }
}

function revisionKey(key: string): RevisionKey {
  const slash = key.indexOf("/");
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
