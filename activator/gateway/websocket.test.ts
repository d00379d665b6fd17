/** websocket and websocket/split of Knative's ingress conformance list (data-plane 3.6). */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test, type Test } from "tap";
import { coreService, fakePod, ingress, paths, setUp, toService } from "../fixture.ts";
import type { Objects } from "./dispatch-fixture.ts";

/** Opens a WebSocket; resolves with its socket and the backend that answered. */
async function openWebSocket(port: number, host: string): Promise<{ socket: Socket; backend: string }> {
  const socket = connect(port, "127.0.0.1");
  socket.write(
    `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
  );
  const [chunk] = (await once(socket, "data")) as [Buffer];
  const head = chunk.toString("latin1");
  if (!head.startsWith("HTTP/1.1 101")) throw new Error(head);
  return { socket, backend: /x-pod: (\w+)/i.exec(head)?.[1] ?? "" };
}

async function webSocketPod(t: Test, name: string): Promise<Objects> {
  const pod = await fakePod(t, name);
  pod.server.on("upgrade", (_request, socket: Socket) => {
    t.teardown(() => socket.destroy());
    socket.on("error", () => undefined);
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Pod: ${name}\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  return coreService(name, [pod.port]);
}

/** One short masked text frame there and back. */
async function echo(socket: Socket, text: string): Promise<boolean> {
  const frame = Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);
  socket.write(frame);
  let got = Buffer.alloc(0);
  while (got.length < frame.length) got = Buffer.concat([got, ((await once(socket, "data")) as [Buffer])[0]]);
  return got.equals(frame);
}

test("websocket: a hundred messages there and back", async (t) => {
  const { gateway } = await setUp(t, [
    ...(await webSocketPod(t, "a")),
    [paths.ingresses, ingress("ws", ["ws.example.com"], { splits: [toService("a")] })],
  ]);
  const { socket } = await openWebSocket(gateway, "ws.example.com");
  let echoed = 0;
  for (let at = 0; at < 100; at += 1) if (await echo(socket, `message ${at}`)) echoed += 1;
  t.equal(echoed, 100);
  socket.destroy();
});

test("websocket/split: both backends are seen, each connection stays with its own", async (t) => {
  const { gateway } = await setUp(t, [
    ...(await webSocketPod(t, "a")),
    ...(await webSocketPod(t, "b")),
    [paths.ingresses, ingress("ws", ["ws.example.com"], { splits: [toService("a", 50), toService("b", 50)] })],
  ]);
  const seen = new Set<string>();
  for (let at = 0; at < 100 && seen.size < 2; at += 1) {
    const { socket, backend } = await openWebSocket(gateway, "ws.example.com");
    seen.add(backend);
    t.ok((await echo(socket, "one")) && (await echo(socket, "two")));
    socket.destroy();
  }
  t.strictSame([...seen].sort(), ["a", "b"]);
});
