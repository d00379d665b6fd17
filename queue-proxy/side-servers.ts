/** The ports beside the main one: admin (preStop hook of the app's container), metrics, profiles. */
import type { IncomingMessage, RequestListener, Server as HttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import type { TlsOptions } from "node:tls";
import { listen, type ListenAddress } from "../process/listen.ts";
import type { Drainer } from "../proxy/drain.ts";
import { autoMetricsType } from "./auto-metrics.ts";

/** A hook without a signal that follows within so long is a restart of the app, not the pod's end (data-plane 1.10). */
const signalFollowsMs = 1000;

export interface SideServer {
  readonly port: number;
  /** Lets answers that are under way finish. */
  close(): Promise<void>;
}

/** Most of these ports never see a connection, so what answers one is made when the first comes. */
export async function startSideServer(
  address: ListenAddress,
  listener: RequestListener,
  tls?: TlsOptions,
): Promise<SideServer> {
  let http: HttpServer | undefined;
  let server: Server;
  if (tls === undefined) {
    server = createServer({ noDelay: true }, (socket) => {
      (http ??= process.getBuiltinModule("node:http").createServer(listener)).emit("connection", socket);
    });
  } else {
    const https = process.getBuiltinModule("node:https").createServer(tls, listener);
    // A certificate that is not asked for but given must be good.
    if (tls.requestCert === true && tls.rejectUnauthorized === false)
      https.on("secureConnection", (socket) => {
        if (!socket.authorized && Object.keys(socket.getPeerCertificate()).length > 0) socket.destroy();
      });
    server = https;
    http = https as unknown as HttpServer;
  }
  await listen(server, address);
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound !== null ? bound.port : 0,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        http?.closeIdleConnections();
      }),
  };
}

/** `/wait-for-drain`: returns when no new requests come and none is in flight; starts the drain itself. */
export function adminListener(drainer: Drainer, stop: AbortSignal, onDrainChange: () => void): RequestListener {
  return (request, response) => {
    if (pathOf(request) !== "/wait-for-drain") {
      response.writeHead(404).end();
      return;
    }
    drainer.start();
    onDrainChange();
    if (!stop.aborted)
      setTimeout(() => {
        if (stop.aborted) return;
        drainer.cancel();
        onDrainChange();
      }, signalFollowsMs).unref();
    void drainer.drained.then(() => response.writeHead(200).end());
  };
}

export function autoMetricsListener(scrape: () => Buffer): RequestListener {
  return (request, response) => {
    if (pathOf(request) !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    const body = scrape();
    response.writeHead(200, { "Content-Type": autoMetricsType, "Content-Length": body.length }).end(body);
  };
}

export function userMetricsListener(text: () => string): RequestListener {
  return (request, response) => {
    if (pathOf(request) !== "/metrics" || (request.method !== "GET" && request.method !== "HEAD")) {
      response.writeHead(404).end();
      return;
    }
    const body = Buffer.from(text());
    const type = "text/plain; version=0.0.4; charset=utf-8";
    response.writeHead(200, { "Content-Type": type, "Content-Length": body.length }).end(body);
  };
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").split("?", 1)[0]!;
}
