// data-plane 1.10: what happens from SIGTERM to the end.
import { once } from "node:events";
import { createServer } from "node:http";
import http2 from "node:http2";
import { connect, type Socket } from "node:net";
import { test } from "tap";
import { Drainer } from "../../proxy/drain.ts";
import { get, heldApp, raw, startApp, startSidecar, upgradeTo, type Sidecar } from "../fixture.ts";

const hash = get("/", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n");
const next = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The quiet period is over when nothing new can connect. */
async function untilClosed({ port }: Sidecar): Promise<void> {
  while (!/\[reset\]/.test(await raw(port, ""))) await next();
}

test("1: probes are answered with 503 at once, requests still served", async (t) => {
  const app = heldApp();
  const userPort = await startApp(t, app.listener);
  const sidecar = await startSidecar(t, { userPort }, { quietMs: 300 });
  sidecar.stop();
  t.match(await raw(sidecar.port, hash), /^HTTP\/1\.1 503 [^]*shutting down\n$/);
  const late = raw(sidecar.port, get("/late"));
  await app.until(1);
  app.arrived[0]!.answer("served");
  t.match(await late, /served$/);
});

test("2: every request restarts the quiet period, a probe does not", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
  const sidecar = await startSidecar(t, { userPort }, { quietMs: 1000 });
  sidecar.stop();
  // Together longer than the quiet period, each gap far shorter.
  for (let index = 0; index < 10; index += 1) {
    t.match(await raw(sidecar.port, get("/")), /ok$/, "still served");
    await new Promise((resolve) => setTimeout(resolve, 120));
  }
  while (!/\[reset\]/.test(await raw(sidecar.port, hash))) await next();
  await sidecar.finished;
});

test("3: listeners close, and what is in flight ends in its own time", async (t) => {
  const app = heldApp();
  const userPort = await startApp(t, app.listener);
  const sidecar = await startSidecar(t, { userPort }, { inFlightGraceMs: 60_000 });
  const inFlight = raw(sidecar.port, get("/slow"));
  await app.until(1);
  const idle = connect(sidecar.port, "127.0.0.1");
  const idleClosed = once(idle, "close");
  sidecar.stop();
  await untilClosed(sidecar);
  await idleClosed;
  app.arrived[0]!.answer("done");
  t.match(await inFlight, /Connection: close[^]*done$/);
  await sidecar.finished;
});

test("/wait-for-drain", async (t) => {
  await t.test("better than the original: waits for what is in flight, too", async (t) => {
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
    await untilClosed(sidecar);
    await raw(sidecar.autoMetricsPort, get("/metrics"));
    t.notOk(returned, "a request is in flight");
    app.arrived[0]!.answer("done");
    t.match(await inFlight, /done$/);
    t.match(await hook, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/, "empty");
    await sidecar.finished;
  });

  await t.test("starts the drain itself; without a signal it returns and serving goes on", async (t) => {
    const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
    const sidecar = await startSidecar(t, { userPort }, { quietMs: 3000 });
    const hook = raw(sidecar.adminPort, get("/wait-for-drain"));
    while (!/ 503 /.test(await raw(sidecar.port, hash))) await next();
    t.match(await hook, /^HTTP\/1\.1 200 /);
    t.match(await raw(sidecar.port, hash), /^HTTP\/1\.1 200 /);
    sidecar.stop();
  });

  await t.test("any method; everything else on the port is 404", async (t) => {
    const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
    const sidecar = await startSidecar(t, { userPort });
    t.match(await raw(sidecar.adminPort, get("/other")), /^HTTP\/1\.1 404 /);
    sidecar.stop();
    await sidecar.finished.then(() => t.pass());
    const posted = await startSidecar(t, { userPort });
    const hook = raw(posted.adminPort, "POST /wait-for-drain?x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    posted.stop();
    t.match(await hook, /^HTTP\/1\.1 200 /);
  });
});

test("4, better than the original: upgraded connections are asked to end", async (t) => {
  await t.test("a WebSocket's client gets a close frame, between two frames", async (t) => {
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
    socket.write(upgradeTo("websocket"));
    const until = async (end: Buffer): Promise<void> => {
      while (!received.subarray(-end.length).equals(end)) await once(socket, "data");
    };
    await until(Buffer.from("ab"));
    sidecar.stop();
    await untilClosed(sidecar);
    appSocket!.write(Buffer.from([0x63, 0x64, 0x81, 0x01, 0x7a]));
    await until(Buffer.from([0x63, 0x64, 0x88, 0x02, 0x03, 0xe9]));
    // The client's own close frame ends it.
    socket.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
    await once(socket, "close");
    await sidecar.finished;
    t.pass();
  });

  await t.test("one that does not end by itself is ended after a while", async (t) => {
    const app = createServer();
    app.on("upgrade", (_incoming, socket: Socket) => {
      socket.on("error", () => {});
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    });
    const userPort = await startApp(t, app);
    const sidecar = await startSidecar(t, { userPort }, { inFlightGraceMs: 60_000, upgradeGraceMs: 100 });
    const socket = connect(sidecar.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(upgradeTo("websocket"));
    await once(socket, "data");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.resume();
    sidecar.stop();
    await closed;
    await sidecar.finished;
    t.pass();
  });
});

test("5, better than the original: an HTTP/2 client is told to go away and its streams finish", async (t) => {
  const app = http2.createServer();
  let answer = (): void => {};
  app.on("stream", (stream) => {
    answer = () => {
      stream.respond({ ":status": 200 });
      stream.end("done");
    };
  });
  const userPort = await startApp(t, app as unknown as Parameters<typeof startApp>[1]);
  const sidecar = await startSidecar(t, { userPort }, { inFlightGraceMs: 60_000 });
  const session = http2.connect(`http://127.0.0.1:${sidecar.port}`);
  const goAway = once(session, "goaway");
  const stream = session.request({ ":path": "/" });
  await once(app, "stream");
  sidecar.stop();
  const [code] = (await goAway) as [number];
  t.equal(code, 0, "without an error");
  answer();
  let body = "";
  for await (const chunk of stream) body += String(chunk);
  t.equal(body, "done");
  await sidecar.finished;
});

test("the quiet period is shorter once all senders were told", (t) => {
  // Times from the drainer alone; that an acknowledgement reaches it is stats-stream.test.ts.
  const drainer = new Drainer({ quietMs: 600_000, acknowledgedQuietMs: 1 });
  drainer.start();
  drainer.acknowledged();
  return drainer.drained.then(() => t.ok(drainer.draining));
});
