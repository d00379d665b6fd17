import * as fc from "fast-check";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "tap";
import { data, frame, grpcMessage, headers, plainSettings, RawSidecar } from "./fixture.ts";
import { frameType, maxStreams, preface, setting, type PlainCall } from "./plain-connection.ts";
import { decodePlainFields, encodePlainFields } from "./plain-fields.ts";
import { createPlainServer, speakerOf } from "./plain-server.ts";

const path = "/test/Echo";
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

/** A server that says back what it hears, and what it heard. */
async function scene(t: { teardown(end: () => void): void }, options: { helloMs?: number } = {}) {
  const heard: string[] = [];
  const broken: string[] = [];
  const others: Socket[] = [];
  const calls: PlainCall[] = [];
  let ended = 0;
  const server = createPlainServer({
    open(call) {
      if (call.path !== path) return undefined;
      calls.push(call);
      return {
        message(bytes) {
          heard.push(text(bytes));
          call.send(Buffer.from(bytes));
        },
        ended: () => void (ended += 1),
      };
    },
    broken: (error) => broken.push(error.message),
    other: (socket) => others.push(socket),
    helloMs: options.helloMs ?? 5000,
  });
  const port = await server.listen("127.0.0.1", 0);
  t.teardown(() => {
    for (const socket of others) socket.destroy();
    server.close();
  });
  return { server, port, heard, broken, others, calls, ended: () => ended };
}

test("a call is heard, answered, and ended by either side", async (t) => {
  const s = await scene(t);
  const sidecar = await RawSidecar.open(s.port, path);
  sidecar.write(data(1, Buffer.from("one")), data(1, Buffer.from("two")));
  await sidecar.until(() => sidecar.messages().length === 2);
  t.same(sidecar.messages().map(text), ["one", "two"]);
  t.equal(s.server.connections, 1);
  t.match(s.calls[0]?.peer, /^127\.0\.0\.1:\d+$/);

  sidecar.write(headers(3, path), data(3, Buffer.from("three"), 0x1));
  await sidecar.until(() => sidecar.status(3) !== undefined);
  t.equal(sidecar.status(3), 0, "the client has ended it");
  t.equal(s.ended(), 1);
  sidecar.write(headers(5, "/test/Unknown"));
  await sidecar.until(() => sidecar.status(5) !== undefined);
  t.equal(sidecar.status(5), 12);

  s.calls[0]?.end(16, "go");
  await sidecar.until(() => sidecar.ended);
  t.equal(sidecar.status(1), 16, "and without calls the connection goes");
  t.equal(s.ended(), 1, "which the one who ended it is not told");
  t.equal(s.server.connections, 0);
  t.same(s.broken, []);
});

test("a connection that breaks ends its calls, once", async (t) => {
  const s = await scene(t);
  const sidecar = await RawSidecar.open(s.port, path);
  sidecar.write(headers(3, path), data(3, Buffer.from("here")));
  await sidecar.until(() => sidecar.messages(3).length === 1);
  sidecar.socket.resetAndDestroy();
  while (s.server.connections > 0) await new Promise((resolve) => setImmediate(resolve));
  t.equal(s.ended(), 2);
});

test("however the bytes come, the messages are the same", async (t) => {
  const s = await scene(t);
  const words = fc.array(fc.string({ maxLength: 40 }), { minLength: 1, maxLength: 8 });
  const cuts = fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(words, cuts, async (messages, sizes) => {
      const joined = Buffer.concat(messages.map((message) => grpcMessage(Buffer.from(message))));
      // A message may also be spread over frames.
      const middle = Math.floor(joined.length / 2);
      const frames = [joined.subarray(0, middle), joined.subarray(middle)].map((part) =>
        frame(frameType.data, 0, 1, part),
      );
      const all = Buffer.concat([preface, plainSettings(), headers(1, path), ...frames]);
      const sidecar = new RawSidecar(s.port);
      await once(sidecar.socket, "connect");
      for (let at = 0, cut = 0; at < all.length; cut++) {
        const size = sizes[cut % sizes.length]!;
        sidecar.write(all.subarray(at, at + size));
        at += size;
        if (cut % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await sidecar.until(() => sidecar.messages().length === messages.length);
      t.same(sidecar.messages().map(text), messages);
      sidecar.socket.destroy();
    }),
    { numRuns: 30 },
  );
  t.same(s.broken, []);
});

const broken: [string, Buffer][] = [
  ["a frame that is too long", frame(frameType.data, 0, 1, Buffer.alloc(16_385))],
  ["a message that is too long", frame(frameType.data, 0, 1, Buffer.from([0, 0, 1, 0, 0]))],
  ["a compressed message", frame(frameType.data, 0, 1, Buffer.from([1, 0, 0, 0, 0]))],
  ["padded data", frame(frameType.data, 0x8, 1, Buffer.alloc(5))],
  ["data of the connection", frame(frameType.data, 0, 0, Buffer.alloc(5))],
  ["data of a stream that was not opened", data(7, Buffer.from("?"))],
  ["headers of a stream of ours", headers(2, path)],
  ["headers of an older stream", Buffer.concat([headers(5, path), headers(3, path)])],
  ["headers within a call", headers(1, path)],
  ["a header block in parts", headers(3, path, 0)],
  ["padded headers", headers(3, path, 0x4 | 0x8)],
  ["an indexed header", frame(frameType.headers, 0x4, 3, Buffer.from([0x83]))],
  ["a compressed header", frame(frameType.headers, 0x4, 3, Buffer.from([0, 0x81, 0xff, 0x81, 0xff]))],
  ["a header that does not end", frame(frameType.headers, 0x4, 3, Buffer.from([0, 5, 0x61]))],
  ["a continuation", frame(frameType.continuation, 0x4, 1)],
  ["a push", frame(frameType.pushPromise, 0x4, 1)],
  ["a short ping", frame(frameType.ping, 0, 0, Buffer.alloc(7))],
  ["a ping of a stream", frame(frameType.ping, 0, 1, Buffer.alloc(8))],
  ["settings of odd length", frame(frameType.settings, 0, 0, Buffer.alloc(5))],
  ["a window that is too large", plainSettings([setting.initialWindowSize, 0x80000000])],
  ["a window update of nothing", frame(frameType.windowUpdate, 0, 0, Buffer.alloc(4))],
  ["a window update beyond the largest", frame(frameType.windowUpdate, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))],
  ["a reset of nothing", frame(frameType.reset, 0, 9, Buffer.alloc(4))],
];

test("what is not of the protocol ends the connection, and only this one", async (t) => {
  for (const [name, bytes] of broken) {
    const s = await scene(t);
    const innocent = await RawSidecar.open(s.port, path);
    innocent.write(data(1, Buffer.from("first")));
    await innocent.until(() => innocent.messages().length === 1);
    const culprit = await RawSidecar.open(s.port, path);
    culprit.write(bytes, data(1, Buffer.from("after")));
    await culprit.until(() => culprit.ended);
    t.equal(s.broken.length, 1, name);
    t.notOk(s.heard.includes("after"), `${name}: nothing behind it is heard`);
    t.equal(s.ended(), s.calls.length - 1, `${name}: its calls have ended`);
    innocent.write(data(1, Buffer.from("second")));
    await innocent.until(() => innocent.messages().length === 2);
    innocent.socket.destroy();
  }
});

test("what is to be passed over is", async (t) => {
  const s = await scene(t);
  const sidecar = await RawSidecar.open(s.port, path);
  sidecar.write(frame(frameType.priority, 0, 1, Buffer.alloc(5)), frame(0x42, 0, 0, Buffer.from("?")));
  sidecar.write(frame(frameType.ping, 0, 0, Buffer.from("12345678")), data(1, Buffer.from("still")));
  await sidecar.until(() => sidecar.messages().length === 1);
  const pong = sidecar.frames.find(({ type }) => type === frameType.ping);
  t.same([pong?.flags, pong?.payload.toString()], [1, "12345678"]);
});

test("a client has its share and no more", async (t) => {
  const s = await scene(t);
  const greedy = await RawSidecar.open(s.port, path);
  greedy.write(...Array.from({ length: maxStreams }, (_, index) => headers(3 + 2 * index, path)));
  await greedy.until(() => greedy.frames.some(({ type }) => type === frameType.reset));
  t.equal(s.calls.length, maxStreams, "the stream too many was refused");
  greedy.socket.destroy();

  const closed = await RawSidecar.open(s.port, path);
  closed.write(plainSettings([setting.initialWindowSize, 10]), data(1, Buffer.from("a long answer")));
  await closed.until(() => closed.ended);
  t.equal(closed.messages().length, 0, "whoever has no room for an answer is left");

  const deaf = await RawSidecar.open(s.port, path);
  await deaf.until(() => deaf.frames.length > 0);
  deaf.socket.pause();
  const pings = Buffer.concat(Array.from({ length: 2000 }, () => frame(frameType.ping, 0, 0, Buffer.alloc(8))));
  while (!deaf.socket.destroyed && s.server.connections > 0)
    if (!deaf.socket.write(pings))
      await Promise.race([once(deaf.socket, "drain"), once(deaf.socket, "close")]).catch(() => undefined);
  t.pass("whoever makes us answer and does not read is left");
});

test("long calls get their windows back", async (t) => {
  const s = await scene(t);
  const sidecar = await RawSidecar.open(s.port, path);
  const message = Buffer.alloc(1000, "x");
  for (let sent = 0; sent < 40; sent++) sidecar.write(data(1, message));
  await sidecar.until(() => sidecar.messages().length === 40);
  const returned = sidecar.frames
    .filter(({ type, stream }) => type === frameType.windowUpdate && stream === 1)
    .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
  t.ok(returned >= 20_000);
  sidecar.socket.destroy();
});

test("who speaks", async (t) => {
  const rows: [string, Buffer, string][] = [
    ["nothing yet", Buffer.alloc(0), "unknown"],
    ["a beginning", preface.subarray(0, 10), "unknown"],
    ["settings that have not come", preface, "unknown"],
    ["settings without a table of their own", Buffer.concat([preface, plainSettings()]), "sidecar"],
    ["a library", Buffer.concat([preface, frame(frameType.settings, 0, 0, Buffer.from([0, 2, 0, 0, 0, 0]))]), "other"],
    ["no settings first", Buffer.concat([preface, frame(frameType.ping, 0, 0, Buffer.alloc(8))]), "other"],
    ["HTTP/1.1", Buffer.from("GET / HTTP/1.1\r\n"), "other"],
    ["TLS", Buffer.from([0x16, 3, 1]), "other"],
  ];
  for (const [name, bytes, speaker] of rows) t.equal(speakerOf(bytes), speaker, name);

  const s = await scene(t);
  const socket = connect({ host: "127.0.0.1", port: s.port });
  socket.write("GET / HTTP/1.1\r\n");
  while (s.others.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const [chunk] = (await once(s.others[0]!.resume(), "data")) as [Buffer];
  t.equal(chunk.toString(), "GET / HTTP/1.1\r\n", "what was read is put back");
  socket.destroy();
});

test("a client that says nothing is left", async (t) => {
  const s = await scene(t, { helloMs: 20 });
  const socket = connect({ host: "127.0.0.1", port: s.port });
  socket.write(preface.subarray(0, 5));
  socket.on("error", () => undefined).resume();
  await once(socket, "close");
  t.equal(s.others.length, 0);
});

test("fields are read as they were written", (t) => {
  const ascii = fc.string({
    unit: fc.integer({ min: 32, max: 126 }).map((code) => String.fromCharCode(code)),
    maxLength: 400,
  });
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(ascii, ascii), { selector: ([name]) => name, maxLength: 6 }), (fields) => {
      t.same([...decodePlainFields(encodePlainFields(fields))], fields);
    }),
    { numRuns: 100 },
  );
  t.end();
});
