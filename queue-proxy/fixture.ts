/** Starts the real sidecar on free ports of a loopback address, for tests. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { get, raw } from "../proxy/fixture.ts";
import { parseConfig, type QueueProxyConfig } from "./config.ts";
import { createLog } from "./log.ts";
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

const anyPort = { host: "127.0.0.1", port: 0, reusePort: false, optional: false };

export interface Sidecar extends Running {
  port: number;
  stop: () => void;
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
