import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { test } from "tap";
import { get, heldApp, raw, startApp, startSidecar } from "./fixture.ts";

test("drain", async (t) => {
  await t.test("the hook returns when nothing is in flight, then everything closes", async (t) => {
    const app = heldApp();
    const userPort = await startApp(t, app.listener);
    const sidecar = await startSidecar(t, { userPort }, { inFlightGraceMs: 60_000 });
    const inFlight = raw(sidecar.port, get("/slow"));
    await app.until(1);
    let returned = false;
    const hook = raw(sidecar.adminPort, get("/wait-for-drain")).then((answer) => {
      returned = true;
      return answer;
    });
    sidecar.stop();
    await raw(sidecar.autoMetricsPort, get("/metrics"));
    t.notOk(returned, "a request is in flight");
    app.arrived[0]!.answer("done");
    t.match(await inFlight, /done$/);
    t.match(await hook, /^HTTP\/1\.1 200 /);
    await sidecar.finished;
    t.match(await raw(sidecar.port, get("/")), /^\[reset\]$/, "it no longer listens");
  });

  await t.test("without a signal the hook ends the drain by itself", async (t) => {
    const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
    const sidecar = await startSidecar(t, { userPort }, { quietMs: 3000 });
    t.match(await raw(sidecar.adminPort, get("/wait-for-drain")), /^HTTP\/1\.1 200 /);
    t.match(await raw(sidecar.port, get("/", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n")), /^HTTP\/1\.1 200 /);
    t.match(await raw(sidecar.adminPort, get("/other")), /^HTTP\/1\.1 404 /);
    sidecar.stop();
  });

  await t.test("a WebSocket's client is told to go, between two frames", async (t) => {
    const app = createServer();
    let appSocket: Socket | undefined;
    app.on("upgrade", (_incoming, socket: Socket) => {
      appSocket = socket;
      socket.on("error", () => {});
      // Half a frame: 4 bytes announced, 2 sent.
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      socket.write(Buffer.from([0x81, 0x04, 0x61, 0x62]));
      socket.on("data", () => socket.end());
    });
    const userPort = await startApp(t, app);
    const sidecar = await startSidecar(t, { userPort }, { inFlightGraceMs: 60_000, upgradeGraceMs: 60_000 });
    const socket = connect(sidecar.port, "127.0.0.1");
    let received = Buffer.alloc(0);
    socket.on("data", (chunk) => (received = Buffer.concat([received, chunk])));
    socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    const until = async (end: Buffer): Promise<void> => {
      while (!received.subarray(-end.length).equals(end)) await once(socket, "data");
    };
    await until(Buffer.from("ab"));
    sidecar.stop();
    while (!sidecar.lines.some((line) => line.includes("draining")))
      await new Promise((resolve) => setImmediate(resolve));
    // The quiet period is over when nothing new can connect.
    while (!/\[reset\]/.test(await raw(sidecar.port, ""))) await new Promise((resolve) => setImmediate(resolve));
    appSocket!.write(Buffer.from([0x63, 0x64, 0x81, 0x01, 0x7a]));
    await until(Buffer.from([0x63, 0x64, 0x88, 0x02, 0x03, 0xe9]));
    // The client's own close frame ends it.
    socket.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
    await once(socket, "close");
    await sidecar.finished;
    t.pass();
  });
});
