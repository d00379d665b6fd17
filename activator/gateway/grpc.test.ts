/** grpc and grpc/split of Knative's ingress conformance list (data-plane 3.6), with real gRPC clients and servers. */
import {
  credentials,
  makeGenericClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
  type ClientDuplexStream,
  type ServerDuplexStream,
} from "@grpc/grpc-js";
import { test, type Test } from "tap";
import { coreService, ingress, paths, setUp, toService } from "../fixture.ts";

const bytes = { serialize: (value: Buffer): Buffer => value, deserialize: (value: Buffer): Buffer => value };
const method = {
  path: "/test.Ping/PingStream",
  requestStream: true,
  responseStream: true,
  requestSerialize: bytes.serialize,
  requestDeserialize: bytes.deserialize,
  responseSerialize: bytes.serialize,
  responseDeserialize: bytes.deserialize,
};

/** Answers each message with its name and the message. */
async function grpcBackend(t: Test, name: string) {
  const server = new Server();
  server.addService(
    { pingStream: method },
    {
      pingStream: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on("data", (message: Buffer) => call.write(Buffer.from(`${name} ${message.toString()}`)));
        call.on("error", () => undefined);
        call.on("end", () => call.end(new Metadata()));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  t.teardown(() => server.forceShutdown());
  return coreService(name, [port], { name: "http2" });
}

function client(t: Test, port: number, authority: string): () => ClientDuplexStream<Buffer, Buffer> {
  const Ping = makeGenericClientConstructor({ pingStream: method }, "test.Ping");
  const ping = new Ping(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.default_authority": authority,
    "grpc.enable_http_proxy": 0,
  });
  t.teardown(() => ping.close());
  return () => (ping as unknown as { pingStream(): ClientDuplexStream<Buffer, Buffer> }).pingStream();
}

async function roundTrip(stream: ClientDuplexStream<Buffer, Buffer>, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    stream.once("error", reject);
    stream.once("data", (message: Buffer) => {
      stream.off("error", reject);
      resolve(message.toString());
    });
    stream.write(Buffer.from(text));
  });
}

async function ended(stream: ClientDuplexStream<Buffer, Buffer>): Promise<number> {
  return new Promise((resolve) => {
    stream.on("status", ({ code }: { code: number }) => resolve(code));
    stream.on("error", () => undefined);
    stream.resume().end();
  });
}

test("grpc: a hundred round trips on one stream, and its status at the end", async (t) => {
  const { gateway } = await setUp(t, [
    ...(await grpcBackend(t, "a")),
    [paths.ingresses, ingress("grpc", ["grpc.example.com"], { splits: [toService("a")] })],
  ]);
  const stream = client(t, gateway, "grpc.example.com")();
  let right = 0;
  for (let at = 0; at < 100; at += 1) if ((await roundTrip(stream, `${at}`)) === `a ${at}`) right += 1;
  t.equal(right, 100);
  t.equal(await ended(stream), 0);
});

test("grpc/split: both backends are seen, each stream stays with its own", async (t) => {
  const { gateway } = await setUp(t, [
    ...(await grpcBackend(t, "a")),
    ...(await grpcBackend(t, "b")),
    [paths.ingresses, ingress("grpc", ["grpc.example.com"], { splits: [toService("a", 50), toService("b", 50)] })],
  ]);
  const open = client(t, gateway, "grpc.example.com");
  const seen = new Set<string>();
  for (let at = 0; at < 100 && seen.size < 2; at += 1) {
    const stream = open();
    const answers = [await roundTrip(stream, "x"), await roundTrip(stream, "x"), await roundTrip(stream, "x")];
    t.equal(new Set(answers).size, 1);
    seen.add(answers[0]!);
    await ended(stream);
  }
  t.strictSame([...seen].sort(), ["a x", "b x"]);
});

test("grpc: an unknown host is an HTTP error that gRPC clients understand", async (t) => {
  const { gateway } = await setUp(t);
  // 404 is UNIMPLEMENTED (12) by gRPC's table for answers that are not gRPC's.
  t.equal(await ended(client(t, gateway, "nobody.example.com")()), 12);
});
