/**
 * Where Knative's activators send what they hold: a WebSocket on the port that also answers the kubelet (autoscaling
 * 2.3). Its path means nothing; frames are binary, anything else is dropped.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import type { WireStatMessage } from "../../proto/gen/upstream-stat.ts";
import type { Logger } from "../../process/logger.ts";
import type { RevisionStats } from "../revision-stats.ts";
import { outcomes, Reporter, type Outcome } from "./reporter.ts";
import { forwardedHeader } from "./stat-forwarder.ts";

export interface ActivatorDoorOptions {
  stats: RevisionStats;
  /** Somebody here decides; else the client is sent away, to come to another of us. */
  deciding: () => boolean;
  /** For connections by the name of a bucket's own Service. */
  ownsBucket: (bucket: string) => boolean;
  /** Hands a message on to whoever decides for its revision; false: that is nobody. */
  forward: (message: WireStatMessage) => boolean;
  nowMs: () => number;
  log: Logger;
}

export interface ActivatorDoor {
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  readonly connections: number;
  readonly counts: Readonly<Record<Outcome, number>>;
  /** Has every client connect anew. */
  endConnections(): void;
  close(): Promise<void>;
}

/** Tells our own activators that a stream can be had here. */
export const streamHeader = "swell-stats";
const bucketHost = "autoscaler-bucket";
/** The activators of a large cluster, and the other autoscalers. */
const mostConnections = 1000;
/** About a hundred bytes for each revision. */
const largestFrameBytes = 4 * 1024 * 1024;
const sweepMs = 1000;
const pingMs = 15_000;
const deadMs = 40_000;
const closeMs = 1000;
const serviceRestart = 1012;

interface Client {
  reporter: Reporter;
  /** When it last gave a sign of life. */
  seenMs: number;
  pingedMs: number;
  speaks: boolean;
}

export function createActivatorDoor(options: ActivatorDoorOptions): ActivatorDoor {
  const { stats, nowMs, log } = options;
  const counts = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<Outcome, number>;
  const clients = new Map<WebSocket, Client>();
  const server = new WebSocketServer({ noServer: true, clientTracking: false, maxPayload: largestFrameBytes });
  server.on("headers", (headers) => headers.push(`${streamHeader}: grpc`));
  let sweeper: NodeJS.Timeout | undefined;
  let closed = false;

  const sweep = (): void => {
    const now = nowMs();
    for (const [socket, client] of clients) {
      client.reporter.expire();
      if (now - client.seenMs > deadMs) socket.terminate();
      else if (now - Math.max(client.seenMs, client.pingedMs) > pingMs) {
        client.pingedMs = now;
        socket.ping();
      }
    }
  };

  const accept = (socket: WebSocket, request: IncomingMessage): void => {
    // A message from another autoscaler goes no further.
    const forwarded = request.headers[forwardedHeader] !== undefined;
    const client: Client = {
      reporter: new Reporter({
        stats,
        nowMs,
        count: (outcome) => void (counts[outcome] += 1),
        forward: forwarded ? undefined : options.forward,
      }),
      seenMs: nowMs(),
      pingedMs: 0,
      speaks: false,
    };
    clients.set(socket, client);
    sweeper ??= setInterval(sweep, sweepMs).unref();
    const alive = (): void => void (client.seenMs = nowMs());
    socket.on("ping", alive);
    socket.on("pong", alive);
    socket.on("message", (data, isBinary) => {
      alive();
      if (!isBinary) {
        counts.unreadable += 1;
        return;
      }
      if (!client.reporter.receive(data as Buffer) || client.speaks) return;
      client.speaks = true;
      stats.averagingActivators += 1;
    });
    socket.on("error", (error) => log.debug({ err: error }, "an activator's WebSocket failed"));
    socket.on("close", () => {
      clients.delete(socket);
      client.reporter.close();
      if (client.speaks) stats.averagingActivators -= 1;
      if (clients.size > 0) return;
      clearInterval(sweeper);
      sweeper = undefined;
    });
  };

  const endConnections = (): void => {
    for (const socket of clients.keys()) socket.close(serviceRestart, "Restarting");
  };

  return {
    counts,
    get connections() {
      return clients.size;
    },
    upgrade(request, socket, head) {
      const refusal = refusalOf(request, options, closed, clients.size);
      if (refusal === undefined) {
        server.handleUpgrade(request, socket, head, accept);
        return;
      }
      socket.on("error", () => socket.destroy());
      socket.end(
        `HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: ${refusal.length}\r\n\r\n${refusal}`,
      );
    },
    endConnections,
    async close() {
      closed = true;
      endConnections();
      if (clients.size === 0) return;
      await new Promise<void>((resolve) => {
        const ended = (): void => {
          if (clients.size > 0) return;
          clearTimeout(force);
          resolve();
        };
        const force = setTimeout(() => {
          for (const socket of clients.keys()) socket.terminate();
          resolve();
        }, closeMs);
        for (const socket of clients.keys()) socket.once("close", ended);
      });
    },
  };
}

function refusalOf(
  { headers }: IncomingMessage,
  { deciding, ownsBucket }: ActivatorDoorOptions,
  closed: boolean,
  connections: number,
): string | undefined {
  if (closed) return "this autoscaler ends\n";
  const host = headers.host ?? "";
  if (host.startsWith(bucketHost) && !ownsBucket(host.split(/[.:]/, 1)[0]!))
    return "this autoscaler does not own the bucket\n";
  if (!deciding()) return "this autoscaler does not lead\n";
  if (connections >= mostConnections) return "too many connections\n";
  return undefined;
}
