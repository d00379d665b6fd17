import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type Test } from "tap";
import { WebSocketServer, type WebSocket } from "ws";
import { silentLogger } from "../process/logger.ts";
import { WireStatMessages, type WireStatMessage } from "../proto/gen/upstream-stat.ts";
import { ConcurrencyReporter } from "./concurrency-reporter.ts";
import { UpstreamConnection, type UpstreamMode } from "./upstream-stats-connection.ts";

/** Stands for Knative's autoscaler; `ours`: for one that takes streams. */
async function scene(
  t: Test,
  {
    mode = "always",
    ours = false,
    streams = () => false,
  }: { mode?: UpstreamMode; ours?: boolean; streams?: () => boolean } = {},
) {
  const server = createServer();
  const sockets = new WebSocketServer({ server });
  if (ours) sockets.on("headers", (headers) => headers.push("swell-stats: grpc"));
  const connected: { socket: WebSocket; request: IncomingMessage }[] = [];
  const messages: WireStatMessage[] = [];
  const waiting: (() => void)[] = [];
  const wake = (): void => {
    for (const each of waiting.splice(0)) each();
  };
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds()) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  sockets.on("connection", (socket, request) => {
    connected.push({ socket, request });
    socket.on("message", (data, binary) => {
      t.ok(binary, "frames are binary");
      messages.push(...WireStatMessages.decode(data as Buffer).messages);
      wake();
    });
    socket.on("close", wake);
    // Its answer says that the client is through with opening.
    socket.on("pong", wake);
    socket.ping();
    wake();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const stop = new AbortController();
  const reporter = new ConcurrencyReporter({
    nowMs: () => performance.now(),
    onUrgent: (loads) => connection.urgent(loads),
  });
  const connection = new UpstreamConnection({
    mode,
    host: "autoscaler.knative-serving.svc.cluster.local",
    port,
    resolve: async () => ["127.0.0.1"],
    streams,
    reporter,
    pod: "act-1",
    nowMs: () => performance.now(),
    log: silentLogger,
  });
  const running = connection.run(stop.signal);
  t.teardown(async () => {
    stop.abort();
    await running;
    sockets.close();
    server.close();
  });
  const hold = (): void => {
    const of = reporter.of("default", "hello-00001");
    reporter.arrived(of);
    reporter.hold(of);
  };
  return { connection, connected, messages, until, hold, running, stop };
}

const concurrencies = (messages: WireStatMessage[]): (number | undefined)[] =>
  messages.map(({ stat }) => stat?.averageConcurrentRequests);

test("the first request that is held is told at once, and each second after that what is", async (t) => {
  const { connected, messages, until, hold, connection } = await scene(t);
  await until(() => connected.length === 1);
  t.equal(connected[0]!.request.headers.host?.split(":")[0], "autoscaler.knative-serving.svc.cluster.local");
  await until(() => connection.reachable);
  hold();
  await until(() => messages.length >= 1);
  t.match(messages[0], {
    namespace: "default",
    name: "hello-00001",
    stat: { podName: "act-1", averageConcurrentRequests: 1, requestCount: 1 },
  });
  await until(() => messages.length >= 3);
  t.ok(Math.abs(concurrencies(messages)[2]! - 1) < 0.01, "a whole second of one request");
  t.ok(connection.everReachable);
});

test("an autoscaler that starts anew is connected to again, and hears of what is held", async (t) => {
  const { connected, messages, until, hold, connection } = await scene(t);
  await until(() => connection.reachable);
  hold();
  await until(() => messages.length >= 1);
  connected[0]!.socket.close(1012, "Restarting");
  const before = messages.length;
  await until(() => connected.length === 2 && messages.length > before);
  t.match(messages.slice(before)[0], { stat: { averageConcurrentRequests: 1, requestCount: 1 } });
  t.equal(connection.errors, 1);
});

test("without streams for a while the connection is made by itself, and given up for one", async (t) => {
  let streams = false;
  const { connected, until, connection } = await scene(t, { mode: "auto", streams: () => streams });
  await until(() => connected.length === 1);
  streams = true;
  await until(() => connected[0]!.socket.readyState === 3);
  t.equal(connection.errors, 0);
});

test("an autoscaler that takes streams is told nothing", async (t) => {
  const { connected, messages, until, hold, connection } = await scene(t, { mode: "auto", ours: true });
  hold();
  await until(() => connected.length === 1 && connected[0]!.socket.readyState === 3);
  t.strictSame(messages, []);
  t.equal(connection.reachable, false);
  t.equal(connection.everReachable, false);
});

test("where it is switched off nothing is tried", async (t) => {
  const { running, connected } = await scene(t, { mode: "never" });
  await running;
  t.equal(connected.length, 0);
});
