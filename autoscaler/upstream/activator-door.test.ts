import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type Test } from "tap";
import { WebSocket } from "ws";
import { silentLogger } from "../../process/logger.ts";
import { WireStatMessages, type Stat, type WireStatMessage } from "../../proto/gen/upstream-stat.ts";
import { RevisionStats } from "../revision-stats.ts";
import { createActivatorDoor, type ActivatorDoorOptions } from "./activator-door.ts";
import { createStatForwarder } from "./stat-forwarder.ts";

/** As Knative's own code writes: default/hello-00001, pod act-1, concurrency 1, count 1. */
const recorded = Buffer.from(
  "0a310a0764656661756c74120b68656c6c6f2d30303030311a190a056163742d3111000000000000f03f21000000000000f03f",
  "hex",
);
const key = "default/hello-00001";
const settings = { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" as const };

async function scene(t: Test, options: Partial<ActivatorDoorOptions> = {}) {
  const heard: string[] = [];
  const waiting: (() => void)[] = [];
  let nowMs = 1_700_000_000_500;
  const stats = new RevisionStats({
    settings,
    events: {
      onLoad(of) {
        heard.push(`${of} ${stats.collection(of)?.inFlight}`);
        for (const wake of waiting.splice(0)) wake();
      },
      onPods: () => undefined,
    },
    nowMs: () => nowMs,
  });
  const collection = stats.keep(key, settings);
  const forwarded: WireStatMessage[] = [];
  const door = createActivatorDoor({
    stats,
    deciding: () => true,
    ownsBucket: (bucket) => bucket === "autoscaler-bucket-00-of-02",
    forward: (message) => forwarded.push(message) > 0,
    nowMs: () => nowMs,
    log: silentLogger,
    ...options,
  });
  const server = createServer().on("upgrade", door.upgrade).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  t.teardown(async () => {
    await door.close();
    server.close();
  });
  const connect = async (headers: Record<string, string> = {}): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/any/path`, { headers });
    socket.on("error", () => undefined);
    await once(socket, "open");
    return socket;
  };
  const send = (socket: WebSocket, ...messages: { name?: string; stat?: Partial<Stat> }[]): void =>
    socket.send(WireStatMessages.encode(wire(messages)).finish());
  /** Everything that was sent before has been taken in: frames are answered in order. */
  const settled = async (socket: WebSocket): Promise<void> => {
    socket.ping();
    await once(socket, "pong");
  };
  const until = async (what: string): Promise<void> => {
    while (!heard.includes(what)) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return {
    stats,
    collection,
    door,
    port,
    connect,
    send,
    settled,
    until,
    heard,
    forwarded,
    tick: (ms: number) => (nowMs += ms),
    now: () => nowMs,
  };
}

const wire = (messages: { name?: string; stat?: Partial<Stat> }[]): WireStatMessages => ({
  messages: messages.map(({ name = "hello-00001", stat }) => ({
    namespace: "default",
    name,
    stat: { ...WireStatMessages.decode(recorded).messages[0]!.stat!, ...stat },
  })),
});

test("the first message of an activator is load at once, and an average like any other", async (t) => {
  const { collection, connect, until, settled, stats, door, now } = await scene(t);
  const socket = await connect();
  t.equal(stats.activators, 0, "who has said nothing may be anybody");
  socket.send(recorded);
  await until(`${key} 1`);
  await settled(socket);
  t.match(collection.averages("concurrency", now()), { stable: 1, panic: 1, hasData: true });
  t.match(collection.averages("rps", now()), { stable: 1, panic: 1 });
  t.notOk(collection.isQuiet, "it is looked at while somebody waits");
  t.equal(stats.activators, 1);
  t.match(door.counts, { used: 1 });
});

test("messages of one second add up, and the newest says what is in flight", async (t) => {
  const { collection, connect, send, until, settled, tick, now } = await scene(t);
  const [one, two] = [await connect(), await connect()];
  send(one, { stat: { averageConcurrentRequests: 1, requestCount: 1 } });
  send(one, { stat: { averageConcurrentRequests: 99, requestCount: 99 } });
  await until(`${key} 99`);
  send(two, { stat: { averageConcurrentRequests: 20 } });
  await until(`${key} 119`);
  t.equal(collection.averages("concurrency", now()).panic, 120);
  tick(1000);
  send(one, { stat: { averageConcurrentRequests: 50, requestCount: 0 } });
  await until(`${key} 70`);
  await settled(one);
  t.equal(collection.averages("concurrency", now()).panic, 85, "(120 + 50) / 2");
});

test("an activator that goes away takes what it had in flight with it, not what was", async (t) => {
  const { collection, connect, send, until, now, stats } = await scene(t);
  const socket = await connect();
  send(socket, { stat: { averageConcurrentRequests: 7 } });
  await until(`${key} 7`);
  socket.terminate();
  await until(`${key} 0`);
  t.equal(collection.averages("concurrency", now()).panic, 7);
  t.ok(collection.isQuiet);
  t.equal(stats.activators, 0);
});

const hostile: [string, Parameters<Awaited<ReturnType<typeof scene>>["send"]>[1] | Buffer | string, string][] = [
  ["text", "hello", "unreadable"],
  ["bytes that are no message", Buffer.from("0aff01", "hex"), "unreadable"],
  ["not a number", { stat: { averageConcurrentRequests: Number.NaN } }, "malformed"],
  ["a negative load", { stat: { averageConcurrentRequests: -5 } }, "malformed"],
  ["a load beyond belief", { stat: { averageConcurrentRequests: 1e300 } }, "implausible"],
  ["a time to come", { stat: { timestamp: 1_800_000_000 } }, "future"],
  ["a time long ago", { stat: { timestamp: 1_600_000_000 } }, "stale"],
  ["a revision that has no name", { name: "" }, "unknown"],
  ["a revision of another shape", { name: "a/b" }, "unknown"],
];
for (const [name, what, outcome] of hostile)
  test(`${name} changes nothing and is counted as ${outcome}`, async (t) => {
    const { connect, send, settled, door, heard, stats, collection, now } = await scene(t);
    const socket = await connect();
    if (typeof what === "string" || Buffer.isBuffer(what)) socket.send(what);
    else send(socket, what);
    await settled(socket);
    t.match(door.counts, { [outcome]: 1, used: 0 });
    t.strictSame(heard, []);
    t.equal(collection.averages("concurrency", now()).hasData, false);
    t.equal(stats.size, 1, "no other revision came to be");
    t.equal(socket.readyState, WebSocket.OPEN);
  });

test("a frame that is too large ends its connection only", async (t) => {
  const { connect } = await scene(t);
  const [socket, other] = [await connect(), await connect()];
  socket.send(Buffer.alloc(5 * 1024 * 1024));
  const [code] = (await once(socket, "close")) as [number];
  t.equal(code, 1009);
  t.equal(other.readyState, WebSocket.OPEN);
});

test("at the end clients are told to come again", async (t) => {
  const { connect, door } = await scene(t);
  const socket = await connect();
  const closed = once(socket, "close") as Promise<[number, Buffer]>;
  await door.close();
  const [code, reason] = await closed;
  t.equal(code, 1012);
  t.equal(reason.toString(), "Restarting");
  await t.rejects(connect(), "nobody else comes in");
});

const refusals: [string, Record<string, string>, Partial<ActivatorDoorOptions>][] = [
  [
    "by the name of another's bucket",
    { host: "autoscaler-bucket-01-of-02.knative-serving.svc.cluster.local:8080" },
    {},
  ],
  ["where nobody decides", {}, { deciding: () => false }],
];
for (const [name, headers, options] of refusals)
  test(`a connection ${name} is refused`, async (t) => {
    const { port } = await scene(t, options);
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { headers });
    const [error] = (await once(socket, "error")) as [Error];
    t.match(error.message, /503/);
  });

test("a connection by the name of our bucket is taken", async (t) => {
  const { connect } = await scene(t);
  const socket = await connect({ host: "autoscaler-bucket-00-of-02.knative-serving:8080" });
  t.equal(socket.readyState, WebSocket.OPEN);
});

test("what another autoscaler decides for is handed on to it with the time it came, once and no further", async (t) => {
  const owner = await scene(t);
  const forwarder = createStatForwarder({ ownerOf: () => "127.0.0.1", port: owner.port, log: silentLogger });
  t.teardown(() => forwarder.close());
  const other = await scene(t, { forward: (message) => forwarder.forward(message) });
  other.stats.release(key);
  const socket = await other.connect();
  other.send(socket, { stat: { averageConcurrentRequests: 3 } }, { name: "nobodys-00001" });
  await owner.until(`${key} 3`);
  t.match(other.door.counts, { forwarded: 2, used: 0 });
  t.match(owner.door.counts, { used: 1, unknown: 1, forwarded: 0 });
  t.strictSame(owner.forwarded, []);
});

test("what is handed on says when it came", async (t) => {
  const { stats, connect, settled, forwarded, now } = await scene(t);
  stats.release(key);
  const socket = await connect();
  socket.send(recorded);
  await settled(socket);
  t.match(forwarded, [{ name: "hello-00001", stat: { timestamp: Math.floor(now() / 1000) } }]);
});
