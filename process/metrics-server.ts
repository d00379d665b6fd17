/** What every long-lived process serves beside its work: health, readiness, metrics, and a look inside as JSON. */
import Fastify from "fastify";
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { Registry } from "prom-client";
import { bindAddress, listen } from "./listen.ts";
import type { Env } from "./env.ts";
import type { Logger } from "./logger.ts";

/** Why not, in a sentence; undefined means yes. */
export type Check = () => string | undefined;

/** Answers `GET /debug/<name>/<rest>` with JSON; `rest` is what follows the name, decoded; undefined is a 404. */
export type DebugRoute = (rest: string[], query: Record<string, string>) => unknown;

export interface AdminServerOptions {
  /** Container port; 0 picks a free one. */
  port: number;
  /** For SWELL_BIND_ADDRESS. */
  env: Env;
  log: Logger;
  /** Served at `/metrics`, absent: 404. */
  register?: Registry;
  /** `/health` and `/healthz`: 200, or 503 with the reason. Default: always healthy. */
  health?: Check;
  /** `/readiness`, and any other path that a kubelet probes. Default: as `health`. */
  readiness?: Check;
  debug?: Readonly<Record<string, DebugRoute>>;
  /** Takes connections that ask for another protocol; whoever has them ends them before `close`. */
  upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export interface AdminServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Listens, or throws why it cannot. */
export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const { register, debug, log } = options;
  const health = options.health ?? (() => undefined);
  const readiness = options.readiness ?? health;
  const app = Fastify({ logger: false, requestTimeout: 10_000, bodyLimit: 64 * 1024, forceCloseConnections: true });

  const answer = (check: Check) => async (_request: unknown, reply: { code(status: number): unknown }) => {
    const problem = check();
    if (problem !== undefined) reply.code(503);
    return problem ?? "ok";
  };
  app.get("/health", answer(health));
  app.get("/healthz", answer(health));
  app.get("/readiness", answer(readiness));
  if (register !== undefined)
    app.get("/metrics", async (_request, reply) => {
      reply.type(register.contentType);
      return register.metrics();
    });
  for (const [name, route] of Object.entries(debug ?? {})) {
    const look = async (rest: string[], query: unknown, reply: { code(status: number): unknown }): Promise<unknown> => {
      const found = await route(rest, query as Record<string, string>);
      if (found !== undefined) return found;
      reply.code(404);
      return { error: "not found" };
    };
    app.get(`/debug/${name}`, (request, reply) => look([], request.query, reply));
    app.get<{ Params: { "*": string } }>(`/debug/${name}/*`, (request, reply) =>
      look(
        request.params["*"].split("/").filter((part) => part !== ""),
        request.query,
        reply,
      ),
    );
  }
  app.setNotFoundHandler((request, reply) => {
    const kubelet =
      request.headers["user-agent"]?.startsWith("kube-probe/") === true ||
      request.headers["k-kubelet-probe"] !== undefined;
    if (!kubelet) return reply.code(404).send("not found");
    const problem = readiness();
    return reply.code(problem === undefined ? 200 : 503).send(problem ?? "ok");
  });
  app.setErrorHandler((error, request, reply) => {
    log.warn({ err: error, url: request.url }, "admin request failed");
    return reply.code(500).send("internal error");
  });

  if (options.upgrade !== undefined) app.server.on("upgrade", options.upgrade);
  await app.ready();
  await listen(app.server, {
    host: bindAddress(options.env) ?? "::",
    port: options.port,
    reusePort: false,
    optional: false,
  });
  return {
    port: (app.server.address() as AddressInfo).port,
    async close() {
      // Fastify closes only what it opened itself.
      const closed = new Promise<void>((resolve) => app.server.close(() => resolve()));
      app.server.closeAllConnections();
      await closed;
      await app.close();
    },
  };
}
