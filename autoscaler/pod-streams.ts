/** What is said on a pod's stream (proto/stats.proto), whoever carries it. */
import { status } from "@grpc/grpc-js";
import type { Logger } from "../process/logger.ts";
import { PodState, type PodDirective, type PodHello, type PodReport } from "../proto/gen/stats.ts";
import type { Owner } from "./buckets/terms.ts";
import type { PodFeed, RevisionStats } from "./revision-stats.ts";
import { isName, peerAddress, type Credentials } from "./stats-credentials.ts";
import type { Door, Doors } from "./stream-doors.ts";

/** A call as its carrier gives it. */
export interface PodCall {
  /** `address:port`, the TCP peer. */
  readonly peer: string;
  write(directive: PodDirective): void;
  /** Without a code: as the other side has. */
  end(code?: status, why?: string): void;
}

export interface PodStream {
  report(report: PodReport): void;
  /** What came is no report. */
  malformed(): void;
  /** The call is over. */
  ended(): void;
}

export interface PodStreamsOptions {
  stats: RevisionStats;
  doors: Doors;
  credentials: Credentials;
  owner: (key: string) => Owner;
  podsPerRevision: number;
  log: Logger;
}

/** Sidecars wait ten seconds for an acknowledgement; of a pod that reports all the time one in so many goes out. */
const acknowledgeMs = 2000;
/** They go out in so many parts of that time. */
const acknowledgeParts = 40;

export class PodStreams {
  readonly #options: PodStreamsOptions;
  readonly #streams = new Map<PodCall, { door: Door; key: string }>();
  readonly #acknowledgements = new DelayedCalls(acknowledgeMs, acknowledgeParts);

  constructor(options: PodStreamsOptions) {
    this.#options = options;
  }

  open(call: PodCall): PodStream {
    const { log } = this.#options;
    let feed: PodFeed | undefined;
    let used = 0;
    let acknowledged = 0;
    /** The first message that waits for the activators to be told. */
    let held = Infinity;
    const door = this.#options.doors.accept("pods", {
      finish: (code, why) => call.end(code, why),
      close: () => {
        feed?.close();
        this.#streams.delete(call);
      },
    });
    const acknowledge = (): void => {
      const upTo = Math.min(used, held - 1);
      if (!door.open || upTo <= acknowledged) return;
      acknowledged = upTo;
      call.write({ acknowledged });
    };
    const take = ({ body }: PodReport): void => {
      if (!door.open) return;
      if (feed === undefined) {
        if (body?.$case === "hello") feed = this.#greet(call, door, body.value);
        else door.refuse("malformed", status.INVALID_ARGUMENT, "the first message has to be a hello");
        return;
      }
      if (body?.$case !== "load") {
        door.refuse("malformed", status.INVALID_ARGUMENT, "expected a load");
        return;
      }
      const { sequence, state, load } = body.value;
      const { told } = feed.report(knownState(state), load);
      used = Math.max(used, sequence);
      if (told === undefined) {
        // The first one tells the sidecar that it was understood.
        this.#acknowledgements.add(acknowledge, acknowledged === 0);
        return;
      }
      // A pod that drains may stop listening once this is acknowledged: every activator has to have been told.
      held = Math.min(held, sequence);
      void told.then(() => {
        held = Infinity;
        acknowledge();
      });
    };
    return {
      report(report) {
        try {
          take(report);
        } catch (error) {
          // One pod's report is no reason to fail all the others.
          log.error({ err: error, peer: call.peer }, "a pod's report could not be taken in");
          door.end(status.INTERNAL, "internal error");
        }
      },
      malformed: () => door.refuse("malformed", status.INVALID_ARGUMENT, "not a report"),
      ended: () => door.end(),
    };
  }

  /** Ends the streams of some revisions' pods. */
  endWhere(isTheirs: (key: string) => boolean, code: status, why: string): void {
    for (const { door, key } of this.#streams.values()) if (isTheirs(key)) door.end(code, why);
  }

  stop(): void {
    this.#acknowledgements.stop();
  }

  /** Undefined: it was not let in. */
  #greet(call: PodCall, door: Door, hello: PodHello): PodFeed | undefined {
    const { stats, credentials, owner, podsPerRevision } = this.#options;
    const { namespace, revision, servingPort: port, pod: name, epoch } = hello;
    const refused = credentials.refusal(`pod/${namespace}/${revision}`, hello.token);
    if (refused !== undefined) {
      if (refused.code === status.UNAUTHENTICATED) door.refuse("token", refused.code, refused.why);
      else door.end(refused.code, refused.why);
      return undefined;
    }
    const ip = peerAddress(call.peer);
    if (!isName(name) || !isName(namespace) || !isName(revision) || port < 1 || port > 65_535 || ip === undefined) {
      door.refuse("malformed", status.INVALID_ARGUMENT, "malformed hello");
      return undefined;
    }
    const key = `${namespace}/${revision}`;
    const takenBy = owner(key);
    if (takenBy.is === "elsewhere") call.write({ acknowledged: 0, owner: takenBy.address });
    if (takenBy.is !== "here") {
      door.end(status.UNAVAILABLE, "another autoscaler decides for this revision");
      return undefined;
    }
    if (stats.podCount(key) >= podsPerRevision) {
      door.refuse("limit", status.RESOURCE_EXHAUSTED, "too many pods");
      return undefined;
    }
    door.greeted();
    this.#streams.set(call, { door, key });
    return stats.openPod(key, { name, ip, port, epoch });
  }
}

/** Runs what was added a while later, each once; what was added over that while is spread over it again. */
class DelayedCalls {
  readonly #partMs: number;
  /** The oldest part first. */
  readonly #parts: Set<() => void>[];
  readonly #waiting = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(delayMs: number, parts: number) {
    this.#partMs = delayMs / parts;
    this.#parts = Array.from({ length: parts }, () => new Set());
  }

  add(call: () => void, soon: boolean): void {
    if (this.#waiting.has(call)) return;
    this.#waiting.add(call);
    this.#parts.at(soon ? 0 : -1)!.add(call);
    this.#timer ??= setTimeout(() => this.#next(), this.#partMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
    for (const part of this.#parts) part.clear();
  }

  #next(): void {
    const due = this.#parts.shift()!;
    for (const call of due) {
      this.#waiting.delete(call);
      call();
    }
    due.clear();
    this.#parts.push(due);
    this.#timer = this.#waiting.size > 0 ? setTimeout(() => this.#next(), this.#partMs).unref() : undefined;
  }
}

const knownState = (state: PodState): PodState => (state === PodState.UNRECOGNIZED ? PodState.UNSPECIFIED : state);
