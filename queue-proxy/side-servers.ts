/** The ports beside the main one: admin (preStop hook of the app's container) and metrics. */
import type { IncomingMessage, RequestListener, Server } from "node:http";
import { listen, type ListenAddress } from "../process/listen.ts";
import type { Drainer } from "../proxy/drain.ts";
import { autoMetricsType } from "./auto-metrics.ts";

/** A hook without a signal that follows within so long is a restart of the app, not the pod's end (data-plane 1.10). */
const signalFollowsMs = 1000;

export async function startSideServer(address: ListenAddress, listener: RequestListener): Promise<Server> {
  const server = process.getBuiltinModule("node:http").createServer(listener);
  await listen(server, address);
  return server;
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
    if (pathOf(request) === "/metrics" && (request.method === "GET" || request.method === "HEAD"))
      response.writeHead(200, { "Content-Type": "text/plain; version=0.0.4; charset=utf-8" }).end(text());
    else response.writeHead(404).end();
  };
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "").split("?", 1)[0]!;
}
