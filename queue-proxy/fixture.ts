/** Starts the real sidecar on free ports of a loopback address, for tests. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { Drainer } from "../proxy/drain.ts";
import { get, raw } from "../proxy/fixture.ts";
import { RequestStats } from "../proxy/request-stats.ts";
import { createProxyServer } from "../proxy/server.ts";
import { parseConfig, type QueueProxyConfig } from "./config.ts";
import { mainHandler } from "./handlers.ts";
import { createLog } from "./log.ts";
import type { Observability } from "./observability.ts";
import { proxyHandler } from "./proxy-handler.ts";
import { createReadinessProbe } from "./readiness-probe.ts";
import { start, type DrainSettings, type Running } from "./run.ts";

export { get, raw };

export interface Teardown {
  teardown(fn: () => unknown): unknown;
}

export const requiredEnv: Readonly<Record<string, string>> = {
  CONTAINER_CONCURRENCY: "0",
  QUEUE_SERVING_PORT: "8012",
  QUEUE_SERVING_TLS_PORT: "8112",
  USER_PORT: "8080",
  REVISION_TIMEOUT_SECONDS: "300",
  SERVING_LOGGING_CONFIG: "",
  SERVING_LOGGING_LEVEL: "",
  SERVING_NAMESPACE: "default",
  SERVING_CONFIGURATION: "hello",
  SERVING_REVISION: "hello-00001",
  SERVING_POD: "hello-00001-pod",
  SERVING_POD_IP: "10.0.0.1",
};

export const anyPort = { host: "127.0.0.1", port: 0, reusePort: false, optional: false };

/** No logs, metrics, traces or profiles. */
export const unobserved: Observability = {
  requestLog: undefined,
  userMetrics: undefined,
  metricsExport: undefined,
  tracing: undefined,
  profiling: undefined,
};

export interface Sidecar extends Running {
  port: number;
  stop: () => void;
  /** Of the log. */
  lines: string[];
}

/** `change` is applied to the parsed configuration; quiet periods are short. */
export async function startSidecar(
  t: Teardown,
  change: Partial<QueueProxyConfig>,
  drain: Partial<DrainSettings> = {},
): Promise<Sidecar> {
  const config: QueueProxyConfig = {
    ...parseConfig(requiredEnv),
    serving: [anyPort],
    tlsServing: [anyPort],
    admin: anyPort,
    autoMetrics: anyPort,
    ...change,
  };
  const controller = new AbortController();
  const lines: string[] = [];
  const running = await start(
    config,
    createLog("queue-proxy", "info", (line) => void lines.push(line)),
    controller.signal,
    {},
    {
      quietMs: 1,
      acknowledgedQuietMs: 1,
      upgradeGraceMs: 1000,
      inFlightGraceMs: 0,
      ...drain,
    },
  );
  t.teardown(async () => {
    controller.abort();
    await running.finished;
  });
  return { ...running, port: running.ports[0]!, stop: () => controller.abort(), lines };
}

export async function startApp(t: Teardown, app: RequestListener | Server): Promise<number> {
  const server = typeof app === "function" ? createServer(app) : app;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections?.();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** The real chain in the middle of a quiet period that the test ends. */
export async function startDraining(t: Teardown, userPort: number): Promise<number> {
  const drainer = new Drainer({ quietMs: 600_000, acknowledgedQuietMs: 600_000 });
  drainer.start();
  const log = createLog("queue-proxy", "silent");
  const stats = new RequestStats(0);
  const server = createProxyServer({
    log,
    handler: mainHandler({
      drainer,
      readiness: createReadinessProbe({ probes: [], http2AutoDetection: false, log, onChange: () => {} }),
      upgrades: new Set(),
      limits: { totalMs: 0, responseStartMs: 0, idleMs: 0 },
      observers: [],
      observeProbe: undefined,
      proxy: proxyHandler({
        userPort,
        breaker: undefined,
        stats,
        onStats: () => {},
        metrics: undefined,
        tracing: undefined,
        log,
      }),
      log,
    }),
  });
  const [port] = await server.listen([anyPort]);
  t.teardown(async () => {
    drainer.cancel();
    await server.close(0);
  });
  return port!;
}

/** An app that grants every upgrade and then echoes. */
export function upgradingApp(seen: (fields: string[]) => void = () => {}): Server {
  const app = createServer((_incoming, outgoing) => void outgoing.end("not upgraded"));
  app.on("upgrade", (incoming, socket: Socket) => {
    seen(incoming.rawHeaders);
    socket.on("error", () => {});
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${incoming.headers.upgrade}\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  return app;
}

export const upgradeTo = (token: string): string =>
  `GET / HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: ${token}\r\n\r\n`;

/** A port that nothing listens on. */
export async function closedPort(): Promise<number> {
  const spare = createTcpServer().listen(0, "127.0.0.1");
  await once(spare, "listening");
  const { port } = spare.address() as AddressInfo;
  spare.close();
  await once(spare, "close");
  return port;
}

/** An app whose requests are answered when the test says so. */
export function heldApp() {
  const arrived: { path: string; answer: (body: string) => void; gone: Promise<void> }[] = [];
  let wake = (): void => {};
  const listener = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const gone = once(outgoing, "close").then(() => {});
    arrived.push({ path: incoming.url!, answer: (body) => outgoing.end(body), gone });
    wake();
  };
  const until = async (count: number): Promise<void> => {
    while (arrived.length < count) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { listener, arrived, until };
}
