import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { Metadata, Server, ServerCredentials, status, type ServerDuplexStream } from "@grpc/grpc-js";
import { test } from "tap";
import { startApp, type Teardown } from "./fixture.ts";
import { openGrpcStream, type GrpcStream } from "./grpc-stream.ts";

type Call = ServerDuplexStream<Buffer, Buffer>;

/** A grpc-js server of one method that knows nothing of messages. */
async function startGrpcServer(t: Teardown, onCall: (call: Call) => void): Promise<number> {
  const server = new Server();
  const same = (bytes: Buffer): Buffer => bytes;
  const method = {
    path: "/a.B/C",
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService({ C: method }, { C: onCall });
  t.teardown(() => server.forceShutdown());
  return new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    ),
  );
}

function open(t: Teardown, port: number) {
  const messages: Buffer[] = [];
  const ended = Promise.withResolvers<Error>();
  let wake = (): void => {};
  let drained = (): void => {};
  const stream: GrpcStream = openGrpcStream(
    { host: "127.0.0.1", port, localAddress: undefined, path: "/a.B/C" },
    {
      onMessage(message) {
        messages.push(Buffer.from(message));
        wake();
      },
      onDrain: () => drained(),
      onEnd: (error) => ended.resolve(error),
    },
  );
  t.teardown(() => stream.close());
  return {
    stream,
    messages,
    ended: ended.promise,
    until: async (count: number) => {
      while (messages.length < count) await new Promise<void>((resolve) => (wake = resolve));
    },
    drain: () => new Promise<void>((resolve) => (drained = resolve)),
  };
}

test("with grpc-js", async (t) => {
  await t.test("messages of every size go there and back, in order, within the windows", async (t) => {
    const port = await startGrpcServer(t, (call) =>
      call.on("data", (message: Buffer) => call.write(message.subarray(0, 60_000))),
    );
    const { stream, messages, until, drain } = open(t, port);
    const sizes = [0, 1, 5, 16_384, 16_385, 70_000, 300_000, 2];
    for (const size of sizes) if (!stream.send(Buffer.alloc(size, size % 251))) await drain();
    await until(sizes.length);
    for (const [index, size] of sizes.entries())
      t.ok(messages[index]!.equals(Buffer.alloc(Math.min(size, 60_000), size % 251)), `${size} bytes`);
  });

  await t.test("the other side's window is used up and given back many times", async (t) => {
    const port = await startGrpcServer(t, (call) => call.on("data", () => call.write(Buffer.alloc(1000, 7))));
    const { stream, messages, until, drain } = open(t, port);
    for (let index = 0; index < 400; index += 1) if (!stream.send(Buffer.alloc(1000))) await drain();
    await until(400);
    t.equal(messages.length, 400);
  });

  await t.test("a refusal comes with its code and its words", async (t) => {
    const port = await startGrpcServer(t, (call) => {
      call.emit("error", { code: status.UNAUTHENTICATED, details: "the token is not välid", metadata: new Metadata() });
    });
    t.match((await open(t, port).ended).message, "the call ended with gRPC status 16: the token is not välid");
  });

  await t.test("an end after messages comes with status 0", async (t) => {
    const port = await startGrpcServer(t, (call) => {
      call.write(Buffer.from("a"));
      call.end();
    });
    const { ended, messages } = open(t, port);
    t.match((await ended).message, "the call ended with gRPC status 0");
    t.equal(messages.length, 1);
  });

  await t.test("close cancels the call", async (t) => {
    const cancelled = Promise.withResolvers<void>();
    const port = await startGrpcServer(t, (call) => {
      call.on("cancelled", () => cancelled.resolve());
      call.write(Buffer.from("a"));
    });
    const { stream, until } = open(t, port);
    await until(1);
    stream.close();
    await cancelled.promise;
    t.pass();
  });

  await t.test("nobody there", async (t) => {
    t.match((await open(t, 1).ended).message, /ECONNREFUSED/);
  });
});

const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
const status200 = Buffer.from([0x88]);
const message = (text: string): Buffer => Buffer.from([0, 0, 0, 0, text.length, ...Buffer.from(text)]);

test("frames that grpc-js does not send", async (t) => {
  const rows: { name: string; frames: Buffer[]; messages?: string[]; end: RegExp }[] = [
    {
      name: "padding, priority, a header block in parts, unknown frames and a message in parts are read",
      frames: [
        frame(4, 0, 0, Buffer.alloc(0)),
        frame(1, 0x28, 1, Buffer.from([2, 0, 0, 0, 0, 16, 0x88, 0, 0])),
        frame(9, 0, 1, Buffer.alloc(0)),
        frame(9, 4, 1, Buffer.from([0x00, 1, 0x61, 1, 0x62])),
        frame(0xbb, 0xff, 7, Buffer.from("?")),
        frame(0, 8, 1, Buffer.concat([Buffer.from([3]), message("one").subarray(0, 6), Buffer.alloc(3)])),
        frame(0, 1, 1, Buffer.concat([message("one").subarray(6), message("two")])),
      ],
      messages: ["one", "two"],
      end: /ended without a status/,
    },
    {
      name: "a reset ends it",
      frames: [frame(3, 0, 1, Buffer.from([0, 0, 0, 7]))],
      end: /was reset \(HTTP\/2 error 7\)/,
    },
    {
      name: "going away without an error lets it run on",
      frames: [
        frame(7, 0, 0, Buffer.from([0, 0, 0, 1, 0, 0, 0, 0])),
        frame(1, 4, 1, status200),
        frame(0, 1, 1, message("late")),
      ],
      messages: ["late"],
      end: /without a status/,
    },
    {
      name: "going away before it was seen ends it",
      frames: [frame(7, 0, 0, Buffer.from([0, 0, 0, 0, 0, 0, 0, 0]))],
      end: /went away \(HTTP\/2 error 0\)/,
    },
    {
      name: "a proxy's 503 ends it",
      frames: [frame(1, 5, 1, Buffer.from([0x08, 3, ...Buffer.from("503")]))],
      end: /HTTP 503/,
    },
    { name: "too large a frame", frames: [Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 1])], end: /a frame of 65536 bytes/ },
    {
      name: "a frame inside a header block",
      frames: [frame(1, 0, 1, status200), frame(6, 0, 0, Buffer.alloc(8))],
      end: /inside a header block/,
    },
    { name: "more padding than frame", frames: [frame(0, 8, 1, Buffer.from([9, 0]))], end: /more padding/ },
    { name: "a compressed message", frames: [frame(0, 0, 1, Buffer.from([1, 0, 0, 0, 0]))], end: /compressed/ },
    {
      name: "a message without end",
      frames: [frame(0, 0, 1, Buffer.from([0, 1, 0, 0, 0]))],
      end: /a message of 16777216 bytes/,
    },
    {
      name: "a header block that means nothing",
      frames: [frame(1, 4, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))],
      end: /HPACK/,
    },
    { name: "a short reset", frames: [frame(3, 0, 1, Buffer.from([0]))], end: /range|bounds/ },
  ];
  for (const bytewise of [false, true])
    for (const { name, frames, messages = [], end } of rows)
      await t.test(`${name}${bytewise ? ", byte by byte" : ""}`, async (t) => {
        const app = createServer((socket: Socket) => {
          socket.on("error", () => {});
          socket.setNoDelay(true);
          const all = Buffer.concat(frames);
          if (!bytewise) socket.write(all);
          else for (const byte of all) socket.write(Buffer.from([byte]));
        });
        const port = await startApp(t, app as Parameters<typeof startApp>[1]);
        const call = open(t, port);
        t.match((await call.ended).message, end);
        t.strictSame(call.messages.map(String), messages);
      });

  await t.test("pings are answered, settings acknowledged, and a closed window holds data back", async (t) => {
    const app = createServer();
    const port = await startApp(t, app as Parameters<typeof startApp>[1]);
    const { stream, drain } = open(t, port);
    const [socket] = (await once(app, "connection")) as [Socket];
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => (received = Buffer.concat([received, chunk])));
    const until = async (bytes: Buffer): Promise<void> => {
      while (!received.includes(bytes)) await once(socket, "data");
    };
    socket.write(frame(4, 0, 0, Buffer.from([0, 4, 0, 0, 0, 6])));
    await until(frame(4, 1, 0, Buffer.alloc(0)));
    t.notOk(stream.send(Buffer.from("abc")), "6 of 8 bytes fit");
    await until(frame(0, 0, 1, Buffer.from([0, 0, 0, 0, 3, 0x61])));
    socket.write(frame(6, 0, 0, Buffer.from("pingping")));
    await until(frame(6, 1, 0, Buffer.from("pingping")));
    const drained = drain();
    socket.write(frame(8, 0, 1, Buffer.from([0, 0, 0, 9])));
    await until(frame(0, 0, 1, Buffer.from("bc")));
    await drained;
    t.ok(stream.send(Buffer.from("")));
  });
});
