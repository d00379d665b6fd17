import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test } from "tap";
import { Dial, tryTimeoutMs } from "./dial.ts";

test("each try may take longer than the one before, and there are sixteen", (t) => {
  const timeouts = Array.from({ length: 18 }, (_, repeats) => tryTimeoutMs(repeats));
  t.strictSame(
    timeouts.map((ms) => ms && Math.round(ms)),
    [50, 70, 98, 137, 192, 269, 376, 527, 738, 1033, 1446, 2025, 2835, 3969, 5556, 7778, undefined, undefined],
  );
  t.end();
});

test("a refused connection fails at once", async (t) => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  await t.rejects(dialled(port), { code: "ECONNREFUSED" });
});

test("a connection that is not taken is tried again until it is", { skip: process.platform !== "linux" }, async (t) => {
  // An app that is stopped takes no connections, and once its queue is full the kernel drops further ones in silence.
  const app = spawn(process.execPath, [
    "-e",
    'require("net").createServer(s => s.on("error", () => {})).listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () { console.log(this.address().port) })',
  ]);
  const waiting: Socket[] = [];
  t.teardown(() => {
    for (const socket of waiting) socket.destroy();
    app.kill("SIGKILL");
  });
  const [line] = (await once(app.stdout, "data")) as [Buffer];
  const port = Number(String(line));
  app.kill("SIGSTOP");
  // Connections stop being made when the queue is full.
  for (let isFull = false; !isFull;) {
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    waiting.push(socket);
    isFull = await Promise.race([
      once(socket, "connect").then(() => false),
      new Promise<boolean>((resolve) => setTimeout(resolve, 200, true)),
    ]);
  }
  let tries = 0;
  const connected = dialled(port, () => {
    tries += 1;
    if (tries === 3) app.kill("SIGCONT");
  });
  const socket = await connected;
  t.ok(tries >= 3, "it was tried again");
  socket.destroy();
});

function dialled(port: number, onTry?: () => void): Promise<Socket> {
  const onRead = { buffer: Buffer.alloc(1), callback: () => true };
  return new Promise(
    (resolve, reject) => void new Dial({ host: "127.0.0.1", port, protocol: "http1" }, onRead, resolve, reject, onTry),
  );
}
