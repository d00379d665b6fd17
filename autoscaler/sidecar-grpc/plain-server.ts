/**
 * Listens for sidecars and for everyone else: a client whose first SETTINGS allow no dynamic header table is a sidecar
 * (`queue-proxy/grpc-stream.ts`) and is spoken to plainly; any other connection goes to the gRPC library, untouched.
 */
import { createServer, type AddressInfo, type Socket } from "node:net";
import {
  frameHeadBytes,
  frameType,
  PlainConnection,
  preface,
  setting,
  type PlainConnectionOwner,
} from "./plain-connection.ts";

export interface PlainServerOptions {
  open: PlainConnectionOwner["open"];
  broken: PlainConnectionOwner["broken"];
  /** Takes a connection that is not a sidecar's; nothing was written to it, and what was read is put back. */
  other: (socket: Socket) => void;
  /** By then the first SETTINGS have come. */
  helloMs: number;
}

export interface PlainServer {
  /** Resolves with the port. */
  listen(host: string, port: number): Promise<number>;
  readonly connections: number;
  /** Takes no new connection, and ends those of sidecars. */
  close(): void;
}

/** A sidecar that hears nothing asks after 20 s: whoever is silent for longer than three of these is gone. */
const sweepMs = 15_000;
/** A client's first settings have some ten entries. */
const maxSettingsBytes = 6 * 64;
const settingBytes = 6;

export function createPlainServer(options: PlainServerOptions): PlainServer {
  const connections = new Map<PlainConnection, number>();
  const owner: PlainConnectionOwner = {
    open: options.open,
    broken: options.broken,
    gone: (connection) => connections.delete(connection),
  };
  const undecided = new Set<Socket>();

  const accept = (socket: Socket): void => {
    let received: Buffer = Buffer.alloc(0);
    undecided.add(socket);
    const ignore = (): void => {
      socket.destroy();
    };
    const deadline = setTimeout(ignore, options.helloMs).unref();
    const gone = (): void => {
      clearTimeout(deadline);
      undecided.delete(socket);
    };
    const look = (chunk: Buffer): void => {
      received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
      const speaker = speakerOf(received);
      if (speaker === "unknown") return;
      gone();
      socket.off("data", look).off("error", ignore).off("close", gone);
      if (speaker === "sidecar") {
        const connection = new PlainConnection(socket, received.subarray(preface.length), owner);
        if (connection.isOpen) connections.set(connection, 0);
        return;
      }
      socket.pause();
      socket.unshift(received);
      options.other(socket);
    };
    socket.on("data", look).on("error", ignore).on("close", gone);
  };

  const server = createServer({ noDelay: true }, accept);
  const sweep = setInterval(() => {
    for (const [connection, rounds] of connections) {
      if (!connection.silent) connections.set(connection, 0);
      else if (rounds >= 2) connection.destroy();
      else connections.set(connection, rounds + 1);
      connection.silent = true;
    }
  }, sweepMs).unref();

  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        server.once("error", reject);
        // Many pods come at once when an autoscaler starts.
        server.listen({ host, port, backlog: 4096 }, () => {
          server.off("error", reject);
          resolve((server.address() as AddressInfo).port);
        });
      }),
    get connections() {
      return connections.size;
    },
    close() {
      clearInterval(sweep);
      server.close();
      for (const socket of undecided) socket.destroy();
      for (const connection of connections.keys()) connection.destroy();
    },
  };
}

/** Who has sent these first bytes. */
export function speakerOf(bytes: Buffer): "sidecar" | "other" | "unknown" {
  const start = Math.min(bytes.length, preface.length);
  if (bytes.compare(preface, 0, start, 0, start) !== 0) return "other";
  if (bytes.length < preface.length + frameHeadBytes) return "unknown";
  const length = bytes.readUIntBE(preface.length, 3);
  if (bytes[preface.length + 3] !== frameType.settings || length > maxSettingsBytes) return "other";
  const from = preface.length + frameHeadBytes;
  if (bytes.length < from + length) return "unknown";
  for (let at = from; at + settingBytes <= from + length; at += settingBytes)
    if (bytes.readUInt16BE(at) === setting.headerTableSize && bytes.readUInt32BE(at + 2) === 0) return "sidecar";
  return "other";
}
