/**
 * Where queue-proxies and activators stream their load to, and hear of pods (proto/stats.proto). The first message
 * says who it is and proves it; the address of a pod is the stream's TCP peer, never a field of a message.
 */
import { Server, ServerCredentials, status, type ServerDuplexStream } from "@grpc/grpc-js";
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Logger } from "../process/logger.ts";
import {
  PodState,
  StatsService,
  type ActivatorDirective,
  type ActivatorReport,
  type PodDirective,
  type PodReport,
  type RevisionKey,
  type StatsServer as StatsServerImplementation,
} from "../proto/gen/stats.ts";
import { ActivatorWriter } from "./activator-writer.ts";
import type { ActivatorFeed, PodFeed, RevisionStats } from "./revision-stats.ts";

export interface StatsServerOptions {
  stats: RevisionStats;
  /** Signs the tokens; undefined until it is known. */
  key: () => Buffer | undefined;
  /** Only the leader takes streams: clients go on to the next address. */
  leading: () => boolean;
  log: Logger;
  limits?: Partial<StatsLimits>;
}

export interface StatsLimits {
  streams: number;
  podsPerRevision: number;
  subscriptionsPerActivator: number;
  helloMs: number;
}

export interface StatsServer {
  /** Resolves with the port. */
  listen(host: string, port: number): Promise<number>;
  /** Ends every stream with UNAVAILABLE, so that its client goes to another address. */
  endStreams(): void;
  readonly streams: { pods: number; activators: number };
  close(): Promise<void>;
}

const defaultLimits: StatsLimits = {
  streams: 200_000,
  podsPerRevision: 10_000,
  subscriptionsPerActivator: 100_000,
  helloMs: 5000,
};

/** Ordinary acknowledgements are sent together, once in this time; sidecars wait ten seconds for them. */
const acknowledgeMs = 500;
const closeMs = 2000;

type Call = ServerDuplexStream<PodReport, PodDirective> | ServerDuplexStream<ActivatorReport, ActivatorDirective>;

export function createStatsServer(options: StatsServerOptions): StatsServer {
  const { stats, log } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const endings = new Set<(code: status, why: string) => void>();
  const streams = { pods: 0, activators: 0 };
  const acknowledgements = new DelayedCalls(acknowledgeMs);

  /** What every stream has: a deadline for its hello, one end, and a refusal at the door. */
  const accept = (call: Call, kind: keyof typeof streams, close: () => void): ((code: status, why: string) => void) => {
    let open = true;
    const end = (code?: status, why?: string): void => {
      if (!open) return;
      open = false;
      clearTimeout(helloTimer);
      endings.delete(end);
      streams[kind] -= 1;
      close();
      if (code === undefined) call.end();
      else call.emit("error", { code, details: why });
    };
    const helloTimer = setTimeout(() => end(status.DEADLINE_EXCEEDED, "no hello"), limits.helloMs);
    helloTimer.unref();
    call.once("hello", () => clearTimeout(helloTimer));
    streams[kind] += 1;
    endings.add(end);
    call.on("end", () => end());
    call.on("cancelled", () => end(status.CANCELLED, "cancelled"));
    call.on("close", () => end(status.CANCELLED, "closed"));
    call.on("error", (error: unknown) => {
      if (open) log.debug({ err: error, kind }, "a stats stream failed");
      end(status.UNKNOWN, "stream error");
    });
    if (!options.leading()) end(status.UNAVAILABLE, "this autoscaler does not lead");
    else if (streams.pods + streams.activators > limits.streams) end(status.RESOURCE_EXHAUSTED, "too many streams");
    return end;
  };

  /** Why the hello is refused, undefined if it is good. */
  const refusal = (subject: string, token: string): [status, string] | undefined => {
    const key = options.key();
    if (key === undefined) return [status.UNAVAILABLE, "the signing key is not known yet"];
    if (!isToken(key, subject, token)) return [status.UNAUTHENTICATED, "the token is not for this source"];
    return undefined;
  };

  const pod = (call: ServerDuplexStream<PodReport, PodDirective>): void => {
    let feed: PodFeed | undefined;
    let used = 0;
    let acknowledged = 0;
    /** The first message that waits for the activators to be told. */
    let held = Infinity;
    let open = true;
    const acknowledge = (): void => {
      const upTo = Math.min(used, held - 1);
      if (!open || upTo <= acknowledged) return;
      acknowledged = upTo;
      call.write({ acknowledged });
    };
    const end = accept(call, "pods", () => {
      open = false;
      feed?.close();
    });
    call.on("data", (report: PodReport) => {
      if (!open) return;
      const { body } = report;
      if (feed === undefined) {
        if (body?.$case !== "hello") return end(status.INVALID_ARGUMENT, "the first message has to be a hello");
        const hello = body.value;
        const refused = refusal(`pod/${hello.namespace}/${hello.revision}`, hello.token);
        if (refused !== undefined) return end(...refused);
        const { servingPort: port, pod: name, epoch } = hello;
        const ip = peerAddress(call.getPeer());
        if (!isName(name) || !isName(hello.namespace) || !isName(hello.revision) || port < 1 || port > 65_535)
          return end(status.INVALID_ARGUMENT, "malformed hello");
        if (ip === undefined) return end(status.INVALID_ARGUMENT, "the peer has no address");
        const key = `${hello.namespace}/${hello.revision}`;
        if (stats.podCount(key) >= limits.podsPerRevision) return end(status.RESOURCE_EXHAUSTED, "too many pods");
        call.emit("hello");
        feed = stats.openPod(key, { name, ip, port, epoch });
        return undefined;
      }
      if (body?.$case !== "load") return end(status.INVALID_ARGUMENT, "expected a load");
      const { sequence, state, load } = body.value;
      const { told } = feed.report(knownState(state), load);
      used = Math.max(used, sequence);
      if (told === undefined) {
        acknowledgements.add(acknowledge);
        return undefined;
      }
      // A pod that drains may stop listening once this is acknowledged: every activator has to have been told.
      held = Math.min(held, sequence);
      void told.then(() => {
        held = Infinity;
        acknowledge();
      });
      return undefined;
    });
  };

  const activator = (call: ServerDuplexStream<ActivatorReport, ActivatorDirective>): void => {
    let feed: ActivatorFeed | undefined;
    const writer = new ActivatorWriter(call);
    const end = accept(call, "activators", () => {
      writer.close();
      feed?.close();
    });
    call.on("data", (report: ActivatorReport) => {
      if (writer.closed) return undefined;
      const { body } = report;
      if (feed === undefined) {
        if (body?.$case !== "hello") return end(status.INVALID_ARGUMENT, "the first message has to be a hello");
        const refused = refusal("activator", body.value.token);
        if (refused !== undefined) return end(...refused);
        if (!isName(body.value.pod)) return end(status.INVALID_ARGUMENT, "malformed hello");
        call.emit("hello");
        feed = stats.openActivator({ name: body.value.pod, epoch: body.value.epoch }, writer);
        return undefined;
      }
      switch (body?.$case) {
        case "load":
          for (const { revision, load } of body.value.revisions)
            if (load !== undefined && isKey(revision)) feed.load(`${revision.namespace}/${revision.name}`, load);
          return writer.acknowledge(body.value.sequence);
        case "subscription":
          for (const revision of body.value.remove)
            if (isKey(revision)) feed.remove(`${revision.namespace}/${revision.name}`);
          for (const revision of body.value.add) {
            if (feed.subscriptions >= limits.subscriptionsPerActivator)
              return end(status.RESOURCE_EXHAUSTED, "too many subscriptions");
            if (isKey(revision)) feed.add(`${revision.namespace}/${revision.name}`);
          }
          return undefined;
        case "hello":
        case undefined:
          return end(status.INVALID_ARGUMENT, "expected a load or a subscription");
      }
    });
  };

  const server = new Server({
    // Dead peers are noticed within 40 s; an idle stream costs two small packets in that time.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.max_concurrent_streams": 16,
    "grpc.max_receive_message_length": 4 * 1024 * 1024,
    // A connection whose streams were refused or ended does not stay.
    "grpc.max_connection_idle_ms": 60_000,
  });
  const implementation: StatsServerImplementation = { pod, activator };
  server.addService(StatsService, implementation);
  const endStreams = (): void => {
    for (const end of endings) end(status.UNAVAILABLE, "this autoscaler stops leading");
  };

  return {
    streams,
    endStreams,
    listen: async (host, port) => {
      const bind = (address: string): Promise<number> =>
        new Promise((resolve, reject) => {
          server.bindAsync(
            `${address.includes(":") ? `[${address}]` : address}:${port}`,
            ServerCredentials.createInsecure(),
            (error, bound) => (error === null ? resolve(bound) : reject(error)),
          );
        });
      // "::" fails where IPv6 is off.
      return bind(host).catch((error: unknown) => {
        if (host !== "::") throw error;
        return bind("0.0.0.0");
      });
    },
    close: async () => {
      endStreams();
      acknowledgements.stop();
      await new Promise<void>((resolve) => {
        const force = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, closeMs);
        server.tryShutdown(() => {
          clearTimeout(force);
          resolve();
        });
      });
    },
  };
}

/** Runs what was added in one go, a while later; each once. */
class DelayedCalls {
  readonly #delayMs: number;
  readonly #calls = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(delayMs: number) {
    this.#delayMs = delayMs;
  }

  add(call: () => void): void {
    this.#calls.add(call);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const calls = [...this.#calls];
      this.#calls.clear();
      for (const each of calls) each();
    }, this.#delayMs).unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#calls.clear();
  }
}

/** base64url(HMAC-SHA256(key, subject)), the token that the controller puts into pods. */
export function statsToken(key: Buffer, subject: string): string {
  return createHmac("sha256", key).update(subject).digest("base64url");
}

function isToken(key: Buffer, subject: string, token: string): boolean {
  const want = Buffer.from(statsToken(key, subject));
  const got = Buffer.from(token);
  return got.length === want.length && timingSafeEqual(got, want);
}

/** `1.2.3.4:5`, `::1:5` and `[::1]:5` → the address. */
export function peerAddress(peer: string): string | undefined {
  const colon = peer.lastIndexOf(":");
  if (colon <= 0) return undefined;
  const host = peer.slice(0, colon).replace(/^\[|\]$/gu, "");
  const address = host.startsWith("::ffff:") && host.includes(".") ? host.slice("::ffff:".length) : host;
  return address === "" || address === "unknown" ? undefined : address;
}

const knownState = (state: PodState): PodState => (state === PodState.UNRECOGNIZED ? PodState.UNSPECIFIED : state);
const isName = (name: string): boolean => name !== "" && name.length <= 253 && !name.includes("/");
const isKey = (key: RevisionKey | undefined): key is RevisionKey =>
  key !== undefined && isName(key.namespace) && isName(key.name);
