/**
 * Where queue-proxies and activators stream their load to, and hear of pods (proto/stats.proto). The first message
 * says who it is and proves it; the address of a pod is the stream's TCP peer, never a field of a message.
 */
import { Server, ServerCredentials, status, type ServerDuplexStream, type ServiceError } from "@grpc/grpc-js";
import type { Logger } from "../process/logger.ts";
import {
  PodDirective,
  PodReport,
  StatsService,
  type ActivatorDirective,
  type ActivatorReport,
  type RevisionKey,
  type StatsServer as StatsServerImplementation,
} from "../proto/gen/stats.ts";
import { ActivatorWriter } from "./activator-writer.ts";
import type { Owner } from "./buckets/terms.ts";
import { PodStreams } from "./pod-streams.ts";
import type { ActivatorFeed, PodSubscriber, RevisionStats } from "./revision-stats.ts";
import type { PlainCall, PlainCallHandler } from "./sidecar-grpc/plain-connection.ts";
import { createPlainServer } from "./sidecar-grpc/plain-server.ts";
import { createCredentials, isName } from "./stats-credentials.ts";
import { Doors, type StreamRefusal } from "./stream-doors.ts";

export interface StatsServerOptions {
  stats: RevisionStats;
  /** Signs the tokens; undefined until it is known. */
  key: () => Buffer | undefined;
  /** While this is false no stream is taken: clients go on to the next address. */
  leading: () => boolean;
  /** Pods are sent to the autoscaler that decides for their revision. Default: always this one. */
  owner?: (key: string) => Owner;
  /** All autoscalers, this one first: activators report to each. */
  autoscalers?: () => string[];
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
  /** The same for the pods of some revisions. */
  endPods(isTheirs: (key: string) => boolean): void;
  /** There are more or fewer autoscalers: activators are told. */
  autoscalersChanged(): void;
  readonly streams: { pods: number; activators: number };
  /** Streams that were not let in, or were put out, by reason. */
  readonly refused: Readonly<Record<StreamRefusal, number>>;
  close(): Promise<void>;
}

const defaultLimits: StatsLimits = {
  streams: 200_000,
  podsPerRevision: 10_000,
  subscriptionsPerActivator: 100_000,
  helloMs: 5000,
};

const closeMs = 2000;

type Call = ServerDuplexStream<PodReport, PodDirective> | ServerDuplexStream<ActivatorReport, ActivatorDirective>;

export function createStatsServer(options: StatsServerOptions): StatsServer {
  const { stats, log } = options;
  const limits = { ...defaultLimits, ...options.limits };
  const owner = options.owner ?? ((): Owner => ({ is: "here" }));
  const doors = new Doors({ leading: options.leading, maxStreams: limits.streams, helloMs: limits.helloMs });
  const credentials = createCredentials(options.key);
  const { podsPerRevision } = limits;
  const podStreams = new PodStreams({ stats, doors, credentials, owner, podsPerRevision, log });
  const writers = new Set<ActivatorWriter>();

  /** Whatever the library says of the end of a call. */
  const watchEnd = (call: Call, { ended, malformed }: { ended: () => void; malformed: () => void }): void => {
    call.on("end", ended);
    call.on("cancelled", ended);
    call.on("close", ended);
    call.on("error", (error: Partial<ServiceError>) => {
      log.debug({ err: error }, "a stats stream failed");
      // What could not be decoded, or is longer than a message may be.
      if (error.code === status.INTERNAL || error.code === status.RESOURCE_EXHAUSTED) malformed();
      ended();
    });
  };
  const finishing =
    (call: Call) =>
    (code?: status, why?: string): void => {
      if (code === undefined) call.end();
      else call.emit("error", { code, details: why });
    };

  const pod = (call: ServerDuplexStream<PodReport, PodDirective>): void => {
    const stream = podStreams.open({
      peer: call.getPeer(),
      write: (directive) => call.write(directive),
      end: finishing(call),
    });
    watchEnd(call, stream);
    call.on("data", (report: PodReport) => stream.report(report));
  };

  /** The same without the library. */
  const sidecar = (call: PlainCall): PlainCallHandler | undefined => {
    if (call.path !== StatsService.pod.path) return undefined;
    const stream = podStreams.open({
      peer: call.peer,
      write: (directive) => call.send(Buffer.from(PodDirective.encode(directive).finish())),
      end: (code = status.OK, why = "") => call.end(code, why),
    });
    return {
      message(bytes) {
        let report: PodReport;
        try {
          report = PodReport.decode(bytes);
        } catch (error) {
          log.debug({ err: error }, "a sidecar sent what is no report");
          stream.malformed();
          return;
        }
        stream.report(report);
      },
      ended: () => stream.ended(),
    };
  };

  const tellAutoscalers = (writer: ActivatorWriter): void => {
    const all = options.autoscalers?.();
    if (all?.[0] !== undefined) writer.autoscalers({ self: all[0], all });
  };

  const activator = (call: ServerDuplexStream<ActivatorReport, ActivatorDirective>): void => {
    let feed: ActivatorFeed | undefined;
    const writer = new ActivatorWriter(call);
    // Who has requests is for the one to say who knows the revision's pods.
    const subscriber: PodSubscriber = {
      tell: (key, pods, complete) => writer.tell(key, pods, complete),
      share: (key, demands) => {
        if (owner(key).is === "here") writer.share(key, demands);
      },
    };
    const door = doors.accept("activators", {
      finish: finishing(call),
      close() {
        writers.delete(writer);
        writer.close();
        feed?.close();
      },
    });
    const malformed = (why: string): void => door.refuse("malformed", status.INVALID_ARGUMENT, why);
    watchEnd(call, { ended: () => door.end(), malformed: () => malformed("not a report") });
    call.on("data", (report: ActivatorReport) => {
      if (writer.closed) return undefined;
      const { body } = report;
      if (feed === undefined) {
        if (body?.$case !== "hello") return malformed("the first message has to be a hello");
        const refused = credentials.refusal("activator", body.value.token);
        if (refused?.code === status.UNAUTHENTICATED) return door.refuse("token", refused.code, refused.why);
        if (refused !== undefined) return door.end(refused.code, refused.why);
        if (!isName(body.value.pod)) return malformed("malformed hello");
        door.greeted();
        feed = stats.openActivator({ name: body.value.pod, epoch: body.value.epoch }, subscriber);
        writers.add(writer);
        tellAutoscalers(writer);
        return undefined;
      }
      switch (body?.$case) {
        case "load":
          for (const { revision, load } of body.value.revisions)
            if (load === undefined || !isKey(revision)) stats.counts.malformed += 1;
            else feed.load(`${revision.namespace}/${revision.name}`, load);
          return writer.acknowledge(body.value.sequence);
        case "subscription":
          for (const revision of body.value.remove)
            if (isKey(revision)) feed.remove(`${revision.namespace}/${revision.name}`);
          for (const revision of body.value.add) {
            if (feed.subscriptions >= limits.subscriptionsPerActivator)
              return door.refuse("limit", status.RESOURCE_EXHAUSTED, "too many subscriptions");
            if (isKey(revision)) feed.add(`${revision.namespace}/${revision.name}`);
          }
          return undefined;
        case "hello":
        case undefined:
          return malformed("expected a load or a subscription");
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
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const listener = createPlainServer({
    open: sidecar,
    broken(error) {
      log.debug({ err: error }, "a sidecar's connection was broken");
      doors.refused.malformed += 1;
    },
    other: (socket) => injector.injectConnection(socket),
    helloMs: limits.helloMs,
  });
  const endStreams = (): void => doors.endAll(status.UNAVAILABLE, "this autoscaler stops leading");

  return {
    streams: doors.streams,
    refused: doors.refused,
    endStreams,
    endPods(isTheirs) {
      podStreams.endWhere(isTheirs, status.UNAVAILABLE, "another autoscaler decides for this revision");
    },
    autoscalersChanged() {
      for (const writer of writers) tellAutoscalers(writer);
    },
    // "::" fails where IPv6 is off.
    listen: (host, port) =>
      listener.listen(host, port).catch((error: unknown) => {
        if (host !== "::") throw error;
        return listener.listen("0.0.0.0", port);
      }),
    close: async () => {
      endStreams();
      podStreams.stop();
      listener.close();
      injector.drain(closeMs);
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

const isKey = (key: RevisionKey | undefined): key is RevisionKey =>
  key !== undefined && isName(key.namespace) && isName(key.name);
