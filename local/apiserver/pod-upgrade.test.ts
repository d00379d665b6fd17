import { spawn } from "node:child_process";
import { once } from "node:events";
import https from "node:https";
import { createServer, type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { constants, createDeflate, createInflate } from "node:zlib";
import type { IncomingMessage } from "node:http";
import { test, type Test } from "tap";
import { Agent, WebSocket } from "undici";
import { pods, type Pod } from "../../api/core.ts";
import { silentLogger } from "../../process/logger.ts";
import type { PodBackend } from "./pod-logs.ts";
import { servingPair } from "./rest-fixture.ts";
import { startApiServer } from "./server.ts";
import { spdyDictionary } from "./spdy-dictionary.ts";

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "default" },
  spec: { containers: [{ name: "app", image: "x" }] },
};

/** A node that runs commands here and forwards every port to one that says back what it hears. */
async function start(t: Test) {
  const echo = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(echo, "listening");
  const backend: PodBackend = {
    // oxlint-disable-next-line require-yield -- a container that says nothing
    async *logs() {},
    async exec(_, __, { command, stdin }) {
      const [file = "", ...args] = command;
      const child = spawn(file, args, { stdio: [stdin ? "pipe" : "ignore", "pipe", "pipe"] });
      const exited = once(child, "close").then(([code]) => (code as number | null) ?? 137);
      return {
        stdin: child.stdin ?? undefined,
        stdout: child.stdout!,
        stderr: child.stderr!,
        exited,
        kill: () => child.kill("SIGKILL"),
      };
    },
    address: (_, port) => ({ host: "127.0.0.1", port: port === 80 ? (echo.address() as AddressInfo).port : 1 }),
  };
  const { ca, cert, key } = await servingPair();
  const server = await startApiServer({
    file: ":memory:",
    addresses: [{ host: "127.0.0.1", port: 0 }],
    tls: { key, cert },
    authenticate: (bearer) => (bearer === "secret" ? { username: "tester", groups: [] } : undefined),
    authorize: (_, { subresource, verb }) => ({ allowed: subresource !== "attach" || verb !== "create" }),
    pods: backend,
    log: silentLogger,
  });
  t.teardown(async () => {
    await server.close();
    echo.close();
  });
  await server.client.create(pods, pod);
  return { ca, host: `127.0.0.1:${server.ports[0]}` };
}

const target = (subresource: string, query = ""): string =>
  `/api/v1/namespaces/default/pods/web/${subresource}?${query}`;

/** What a command said on each channel of a WebSocket. */
async function overWebSocket(
  { ca, host }: { ca: string; host: string },
  query: string,
  input?: string,
): Promise<Record<number, string>> {
  const socket = new WebSocket(`wss://${host}${target("exec", query)}`, {
    protocols: ["v5.channel.k8s.io"],
    headers: { authorization: "Bearer secret" },
    dispatcher: new Agent({ connect: { ca } }),
  });
  socket.binaryType = "arraybuffer";
  const said: Record<number, string> = {};
  socket.addEventListener("message", ({ data }) => {
    const bytes = Buffer.from(data as ArrayBuffer);
    said[bytes[0]!] = (said[bytes[0]!] ?? "") + bytes.subarray(1).toString();
  });
  socket.addEventListener("open", () => {
    if (input === undefined) return;
    socket.send(Buffer.concat([Buffer.from([0]), Buffer.from(input)]));
    socket.send(Buffer.from([255, 0]));
  });
  await once(socket as unknown as EventTarget, "close");
  return said;
}

const commandOf = (...words: string[]): string => words.map((word) => `command=${encodeURIComponent(word)}`).join("&");

test("a command over a WebSocket", async (t) => {
  const world = await start(t);
  const failed = await overWebSocket(
    world,
    `stdout=1&stderr=1&${commandOf("sh", "-c", "echo out; echo err >&2; exit 3")}`,
  );
  t.match(failed, { 1: "out\n", 2: "err\n" });
  t.match(JSON.parse(failed[3]!), {
    status: "Failure",
    reason: "NonZeroExitCode",
    message: "command terminated with non-zero exit code: exit status 3",
    details: { causes: [{ reason: "ExitCode", message: "3" }] },
  });
  const big = "0123456789".repeat(50_000);
  const echoed = await overWebSocket(world, `stdin=true&stdout=true&${commandOf("cat")}`, big);
  t.equal(echoed[1], big, "input ends where the client says so, and nothing is lost");
  t.match(JSON.parse(echoed[3]!), { status: "Success" });
  const missing = await overWebSocket(world, `stdout=true&${commandOf("/no/such/program")}`);
  t.match(JSON.parse(missing[3]!), { status: "Failure", reason: "InternalError" });
});

test("who is refused is told so before anything is streamed", async (t) => {
  const { ca, host } = await start(t);
  const cases = [
    { name: "without a token", path: target("exec", commandOf("true")), token: "", want: 401 },
    { name: "without permission", method: "POST", path: target("attach"), want: 403 },
    { name: "for a pod that is not there", path: "/api/v1/namespaces/default/pods/none/exec?command=x", want: 404 },
    { name: "for a container that it does not have", path: target("exec", "container=x&command=x"), want: 400 },
    { name: "for no command", path: target("exec"), want: 400 },
    { name: "for another resource", path: "/api/v1/namespaces/default/services/web/exec", want: 404 },
    { name: "in a protocol that is not spoken", path: target("exec", commandOf("true")), upgrade: "h2c", want: 400 },
  ];
  for (const { name, method = "GET", path, token = "secret", upgrade = "SPDY/3.1", want } of cases) {
    const request = https.request({
      host: host.split(":")[0],
      port: host.split(":")[1],
      path,
      method,
      ca,
      agent: false,
      headers: { authorization: `Bearer ${token}`, connection: "Upgrade", upgrade },
    });
    request.end();
    const [response] = (await once(request, "response")) as [IncomingMessage];
    t.equal(response.statusCode, want, name);
    response.resume();
  }
});

/** A client of SPDY/3.1, as small as it can be. */
async function spdyClient(t: Test, world: { ca: string; host: string }, path: string, protocol: string) {
  const [host, port] = world.host.split(":");
  const request = https.request({
    host,
    port,
    path,
    method: "POST",
    ca: world.ca,
    agent: false,
    headers: {
      authorization: "Bearer secret",
      connection: "Upgrade",
      upgrade: "SPDY/3.1",
      "x-stream-protocol-version": protocol,
    },
  });
  request.end();
  const [response, socket, head] = (await once(request, "upgrade")) as [IncomingMessage, Duplex, Buffer];
  t.equal(response.headers["x-stream-protocol-version"], protocol);
  t.teardown(() => socket.destroy());
  const deflate = createDeflate({ dictionary: spdyDictionary, flush: constants.Z_SYNC_FLUSH });
  const said = new Map<number, string>();
  const ended = new Map<number, PromiseWithResolvers<void>>();
  const endOf = (id: number): PromiseWithResolvers<void> => {
    const known = ended.get(id) ?? Promise.withResolvers<void>();
    ended.set(id, known);
    return known;
  };
  let bytes = head;
  socket.on("data", (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 8 && bytes.length >= 8 + bytes.readUIntBE(5, 3)) {
      const body = bytes.subarray(8, 8 + bytes.readUIntBE(5, 3));
      const isControl = (bytes[0]! & 0x80) !== 0;
      const id = isControl ? body.readUInt32BE(0) : bytes.readUInt32BE(0);
      if (!isControl) said.set(id, (said.get(id) ?? "") + body.toString());
      if ((bytes[4]! & 1) !== 0 || (isControl && bytes.readUInt16BE(2) === 3)) endOf(id).resolve();
      bytes = bytes.subarray(8 + body.length);
    }
  });
  let next = 1;
  const word = (value: number): Buffer => {
    const four = Buffer.alloc(4);
    four.writeUInt32BE(value);
    return four;
  };
  return {
    said,
    ended: (id: number) => endOf(id).promise,
    async open(headers: Record<string, string>): Promise<number> {
      const id = next;
      next += 2;
      const pairs = Object.entries(headers).flatMap(([name, value]) => [
        word(name.length),
        Buffer.from(name),
        word(value.length),
        Buffer.from(value),
      ]);
      const block = Buffer.concat([word(Object.keys(headers).length), ...pairs]);
      await new Promise<void>((resolve) => deflate.write(block, () => resolve()));
      const body = Buffer.concat([word(id), word(0), Buffer.from([0, 0]), deflate.read() as Buffer]);
      socket.write(Buffer.concat([word(0x80030001), word(body.length), body]));
      return id;
    },
    send: (id: number, text: string, isLast = false) =>
      void socket.write(Buffer.concat([word(id), word((isLast ? 1 << 24 : 0) | text.length), Buffer.from(text)])),
    end: () => socket.end(),
  };
}

test("a command over SPDY", async (t) => {
  const world = await start(t);
  const query = `stdin=true&stdout=true&stderr=true&${commandOf("sh", "-c", "cat; echo err >&2; exit 4")}`;
  const client = await spdyClient(t, world, target("exec", query), "v4.channel.k8s.io");
  const error = await client.open({ streamtype: "error" });
  const stdin = await client.open({ streamtype: "stdin" });
  const stdout = await client.open({ streamtype: "stdout" });
  const stderr = await client.open({ streamtype: "stderr" });
  client.send(stdin, "to ");
  client.send(stdin, "cat", true);
  await Promise.all([error, stdout, stderr].map(client.ended));
  t.equal(client.said.get(stdout), "to cat");
  t.equal(client.said.get(stderr), "err\n");
  t.match(JSON.parse(client.said.get(error)!), { details: { causes: [{ reason: "ExitCode", message: "4" }] } });
  client.end();
});

test("a forwarded port carries one connection per pair of streams, and says what is wrong with one", async (t) => {
  const world = await start(t);
  const client = await spdyClient(t, world, target("portforward"), "portforward.k8s.io");
  const pair = async (port: string, requestid: string) => ({
    error: await client.open({ streamtype: "error", port, requestid }),
    data: await client.open({ streamtype: "data", port, requestid }),
  });
  const [first, second, closed] = [await pair("80", "1"), await pair("80", "2"), await pair("81", "3")];
  client.send(second.data, "two", true);
  client.send(first.data, "one", true);
  await Promise.all([first.data, second.data, first.error, closed.error].map(client.ended));
  t.equal(client.said.get(first.data), "one");
  t.equal(client.said.get(second.data), "two");
  t.equal(client.said.get(first.error) ?? "", "");
  t.match(client.said.get(closed.error), /^error forwarding port 81 to pod: .*ECONNREFUSED/);
});

test("header blocks begin from the dictionary of the protocol", (t) => {
  t.equal(spdyDictionary.length, 1423);
  const deflated = createDeflate({ dictionary: spdyDictionary });
  const inflated = createInflate({ dictionary: spdyDictionary });
  deflated.end("content-type");
  deflated.pipe(inflated);
  inflated.on("data", (chunk: Buffer) => {
    t.equal(chunk.toString(), "content-type");
    t.end();
  });
});
