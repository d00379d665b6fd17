import { once } from "node:events";
import { createServer } from "node:http";
import http2 from "node:http2";
import { connect, createServer as createTcpServer, type Socket } from "node:net";
import { test } from "tap";
import { Drainer } from "../proxy/drain.ts";
import { RequestStats } from "../proxy/request-stats.ts";
import { createProxyServer } from "../proxy/server.ts";
import { get, heldApp, raw, startApp, startSidecar, type Teardown } from "./fixture.ts";
import { mainHandler } from "./handlers.ts";
import { createLog } from "./log.ts";
import { proxyHandler } from "./proxy-handler.ts";
import { createReadinessProbe } from "./readiness-probe.ts";

const plain = /Content-Type: text\/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n/;

/** The real chain in the middle of a quiet period that the test ends. */
async function startDraining(t: Teardown, userPort: number): Promise<number> {
  const drainer = new Drainer({ quietMs: 600_000, acknowledgedQuietMs: 600_000 });
  drainer.start();
  const log = createLog("queue-proxy", "silent");
  const server = createProxyServer({
    log,
    handler: mainHandler({
      drainer,
      readiness: createReadinessProbe({ probes: [], http2AutoDetection: false, log, onChange: () => {} }),
      upgrades: new Set(),
      limits: { totalMs: 0, responseStartMs: 0, idleMs: 0 },
      observe: undefined,
      proxy: proxyHandler({
        userPort,
        breaker: undefined,
        stats: new RequestStats(0),
        onStats: () => {},
        metrics: undefined,
        log,
      }),
      log,
    }),
  });
  const [port] = await server.listen([{ host: "127.0.0.1", port: 0, reusePort: false, optional: false }]);
  t.teardown(async () => {
    drainer.cancel();
    await server.close(0);
  });
  return port!;
}

test("headers towards the app", async (t) => {
  let seen: string[] = [];
  const userPort = await startApp(t, (incoming, outgoing) => {
    seen = incoming.rawHeaders;
    outgoing.end();
  });
  const { port } = await startSidecar(t, { userPort });
  const rows: { name: string; send: string; has?: string[][]; not?: string[] }[] = [
    {
      name: "the revision's headers are removed",
      send: "Knative-Serving-Revision: r\r\nKnative-Serving-Namespace: n\r\n",
      not: ["Knative-Serving-Revision", "Knative-Serving-Namespace"],
    },
    {
      name: "K-Original-Host becomes the Host",
      send: "K-Original-Host: public.example\r\n",
      has: [["Host", "public.example"]],
      not: ["K-Original-Host"],
    },
    { name: "the Host stays otherwise", send: "", has: [["Host", "app.example"]], not: ["Forwarded"] },
    {
      name: "Forwarded is made from what came, without the peer that X-Forwarded-For gets",
      send: "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n",
      has: [
        ["Forwarded", "for=1.2.3.4;proto=https"],
        ["X-Forwarded-For", "1.2.3.4, 127.0.0.1"],
      ],
    },
    {
      name: "Knative's other headers and trace context reach the app",
      send: "K-Proxy-Request: activator\r\nKnative-Serving-Tag: a\r\ntraceparent: 00-1-2-01\r\nK-Network-Probe: queue\r\n",
      has: [
        ["K-Proxy-Request", "activator"],
        ["Knative-Serving-Tag", "a"],
        ["traceparent", "00-1-2-01"],
        ["K-Network-Probe", "queue"],
      ],
    },
  ];
  for (const { name, send, has = [], not = [] } of rows)
    await t.test(name, async (t) => {
      t.match(await raw(port, get("/", send)), /^HTTP\/1\.1 200 /);
      const fields = seen.flatMap((field, at) => (at % 2 === 0 ? [`${field}: ${seen[at + 1]}`] : []));
      for (const [field, value] of has) t.ok(fields.includes(`${field}: ${value}`), `${field}: ${value}`);
      for (const field of not)
        t.notOk(
          fields.some((line) => line.startsWith(`${field}:`)),
          `no ${field}`,
        );
    });
});

test("answers of our own", async (t) => {
  const spare = createTcpServer().listen(0, "127.0.0.1");
  await once(spare, "listening");
  const closed = (spare.address() as { port: number }).port;
  spare.close();
  const rows = [
    {
      name: "an app that refuses is a 502",
      userPort: closed,
      want: new RegExp(
        `^HTTP/1\\.1 502 Bad Gateway\\r\\n${plain.source}[^]*\\r\\n\\r\\ndial tcp 127\\.0\\.0\\.1:${closed}: connect: connection refused\\n$`,
      ),
    },
    {
      name: "an app that resets is a 502",
      userPort: await startApp(t, (incoming) => incoming.socket.resetAndDestroy()),
      want: /^HTTP\/1\.1 502 [^]*read tcp [\d.:]+: read: connection reset by peer\n$/,
    },
    {
      name: "an app that hangs up is a 502",
      userPort: await startApp(t, (incoming) => void incoming.socket.end()),
      want: /^HTTP\/1\.1 502 [^]*\r\n\r\nEOF\n$/,
    },
  ];
  for (const { name, userPort, want } of rows)
    await t.test(name, async (t) => {
      const { port } = await startSidecar(t, { userPort });
      t.match(await raw(port, get("/")), want);
    });
});

test("the breaker", async (t) => {
  await t.test("runs one, queues ten, refuses the rest and serves in order of arrival", async (t) => {
    const app = heldApp();
    const userPort = await startApp(t, app.listener);
    const { port } = await startSidecar(t, { userPort, containerConcurrency: 1 });
    const answers: Promise<string>[] = [];
    const order: string[] = [];
    answers.push(raw(port, get("/0")));
    await app.until(1);
    for (let index = 1; index <= 10; index += 1) {
      answers.push(raw(port, get(`/${index}`)));
      // In line before the next one arrives: a probe on a connection that came later has been answered.
      await raw(port, get("/", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n"));
    }
    t.match(
      await raw(port, get("/over")),
      new RegExp(
        `^HTTP/1\\.1 503 Service Unavailable\\r\\n${plain.source}[^]*\\r\\n\\r\\npending request queue full\\n$`,
      ),
    );
    await t.test("a kubelet's probe by header passes it", async (t) => {
      const probe = raw(port, get("/kubelet", "K-Kubelet-Probe: 1\r\n"));
      await app.until(2);
      app.arrived[1]!.answer("alive");
      t.match(await probe, /alive$/);
    });
    for (let index = 0; index <= 10; index += 1) {
      const at = index === 0 ? 0 : index + 1;
      await app.until(at + 1);
      if (index > 0) t.equal(app.arrived.length, at + 1, "one at a time");
      order.push(app.arrived[at]!.path);
      app.arrived[at]!.answer("ok");
    }
    t.strictSame(order, ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9", "/10"]);
    for (const answer of await Promise.all(answers)) t.match(answer, /^HTTP\/1\.1 200 [^]*ok$/);
  });

  await t.test("a client that goes frees its permit or its place", async (t) => {
    const app = heldApp();
    const userPort = await startApp(t, app.listener);
    const { port } = await startSidecar(t, { userPort, containerConcurrency: 1 });
    // Answered after everything that reached the sidecar before it.
    const settled = () => raw(port, get("/", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n"));
    const running = connect(port, "127.0.0.1");
    running.write(get("/running"));
    await app.until(1);
    const waiting = connect(port, "127.0.0.1");
    waiting.write(get("/waiting"));
    await settled();
    const last = raw(port, get("/last"));
    await settled();
    waiting.destroy();
    await settled();
    running.destroy();
    await app.arrived[0]!.gone;
    await app.until(2);
    t.equal(app.arrived[1]!.path, "/last", "the one that left its place is never sent");
    app.arrived[1]!.answer("served");
    t.match(await last, /served$/);
  });
});

test("time limits", async (t) => {
  const limits = { totalMs: 0, responseStartMs: 0, idleMs: 0 };
  const silent = await startApp(t, () => {});
  const half = await startApp(t, (_incoming, outgoing) => void outgoing.write("half"));
  const trickle = await startApp(t, (_incoming, outgoing) => {
    outgoing.flushHeaders();
    let left = 6;
    const timer = setInterval(() => {
      outgoing.write("x");
      if (--left > 0) return;
      clearInterval(timer);
      outgoing.end();
    }, 60);
  });
  const timeout =
    /^HTTP\/1\.1 504 Gateway Timeout\r\nContent-Type: text\/plain; charset=utf-8\r\nContent-Length: 15\r\n[^]*\r\n\r\nrequest timeout$/;
  const rows = [
    { name: "total, nothing sent", app: silent, set: { totalMs: 100 }, want: timeout, line: "Request timeout: 0.1s" },
    {
      name: "response start, nothing sent",
      app: silent,
      set: { totalMs: 60_000, responseStartMs: 100 },
      want: timeout,
      line: "Response start timeout: 0.1s",
    },
    {
      name: "idle, nothing sent",
      app: silent,
      set: { totalMs: 60_000, idleMs: 100 },
      want: timeout,
      line: "Idle timeout: 0.1s",
    },
    {
      name: "total, half a response: visibly broken",
      app: half,
      set: { totalMs: 100 },
      want: /\r\n4\r\nhalf\r\n(?!0)/,
      line: "Request timeout: 0.1s",
    },
    {
      name: "idle, half a response: visibly broken",
      app: half,
      set: { totalMs: 60_000, idleMs: 100 },
      want: /\r\n4\r\nhalf\r\n(?!0)/,
      line: "Idle timeout: 0.1s",
    },
    {
      name: "response start and idle leave a response alone that moves",
      app: trickle,
      set: { totalMs: 60_000, responseStartMs: 250, idleMs: 250 },
      want: /(?:1\r\nx\r\n){6}0\r\n\r\n$/,
      line: undefined,
    },
  ];
  for (const { name, app, set, want, line } of rows)
    await t.test(name, async (t) => {
      const { port, lines } = await startSidecar(t, { userPort: app, limits: { ...limits, ...set } });
      t.match(await raw(port, get("/")), want);
      t.equal(
        lines.some((entry) => line !== undefined && entry.includes(line)),
        line !== undefined,
      );
    });

  await t.test("waiting for the breaker counts", async (t) => {
    const { port } = await startSidecar(t, {
      userPort: silent,
      containerConcurrency: 1,
      limits: { ...limits, totalMs: 100 },
    });
    const both = await Promise.all([raw(port, get("/a")), raw(port, get("/b"))]);
    for (const answer of both) t.match(answer, timeout);
  });

  await t.test("an upgraded connection may live longer than the limits but not be silent for longer", async (t) => {
    const app = createServer();
    app.on("upgrade", (_incoming, socket: Socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.pipe(socket);
    });
    const userPort = await startApp(t, app);
    const { port, lines } = await startSidecar(t, {
      userPort,
      limits: { totalMs: 250, responseStartMs: 100, idleMs: 0 },
    });
    const socket = connect(port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    await once(socket, "data");
    for (let beat = 0; beat < 8; beat += 1) {
      socket.write("x");
      await once(socket, "data");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    t.notOk(
      lines.some((line) => line.includes("timeout")),
      "it outlived both limits",
    );
    await once(socket, "close");
    t.ok(
      lines.some((line) => line.includes("Request timeout")),
      "then silence ended it",
    );
  });
});

test("probes", async (t) => {
  const app = heldApp();
  const userPort = await startApp(t, app.listener);
  const up = await startApp(t, () => {});
  const probe = {
    action: { is: "tcp" as const, host: "127.0.0.1", port: up },
    periodMs: 0,
    timeoutMs: 1000,
    successThreshold: 1,
    failureThreshold: 3,
  };
  const serving = await startSidecar(t, { userPort, probes: [probe] });
  const failing = await startSidecar(t, {
    userPort,
    probes: [{ ...probe, periodMs: 1000, action: { ...probe.action, port: 1 } }],
  });
  const draining = { port: await startDraining(t, userPort) };
  const kubelet = "User-Agent: kube-probe/1.36\r\n";
  const rows = [
    {
      name: "the kubelet asks for the queue",
      send: `${kubelet}K-Network-Probe: queue\r\n`,
      want: /^HTTP\/1\.1 200 [^]*\r\n\r\nqueue$/,
      healthy: true,
    },
    {
      name: "an activator asks for the queue",
      send: "User-Agent: Knative-Activator-Probe\r\nK-Network-Probe: queue\r\n",
      want: /^HTTP\/1\.1 200 [^]*\r\n\r\nqueue$/,
      healthy: true,
    },
    {
      name: "a component without a probe header",
      send: kubelet,
      want: /^HTTP\/1\.1 400 [^]*\r\n\r\nunexpected probe header value: \n$/,
    },
    {
      name: "the autoscaler asks for an activator",
      send: "User-Agent: Knative-Autoscaling-Probe\r\nK-Network-Probe: activator\r\n",
      want: /^HTTP\/1\.1 400 [^]*unexpected probe header value: activator\n$/,
    },
    {
      name: "an ingress sends a hash",
      send: "K-Network-Probe: probe\r\nK-Network-Hash: abc\r\n",
      want: /^HTTP\/1\.1 200 OK\r\nK-Network-Hash: abc\r\nContent-Length: 0\r\n/,
    },
    {
      name: "an ingress forgets the hash",
      send: "K-Network-Probe: probe\r\n",
      want: /^HTTP\/1\.1 400 [^]*\r\n\r\na probe request must contain a non-empty "K-Network-Hash" header\n$/,
    },
  ];
  for (const { name, send, want, healthy } of rows)
    await t.test(name, async (t) => {
      t.match(await raw(serving.port, get("/any/path", send)), want);
      if (healthy === true)
        t.match(await raw(failing.port, get("/", send)), /^HTTP\/1\.1 503 [^]*\r\n\r\n$/, "the probe fails");
      t.match(await raw(draining.port, get("/", send)), /^HTTP\/1\.1 503 [^]*\r\n\r\nshutting down\n$/, "draining");
    });
  t.equal(app.arrived.length, 0, "none reached the app");

  await t.test("while draining, requests are still served", async (t) => {
    const answer = raw(draining.port, get("/late"));
    await app.until(1);
    app.arrived[0]!.answer("served");
    t.match(await answer, /served$/);
  });
});

test("HTTP/2 goes to the app as HTTP/2, with trailers", async (t) => {
  const app = http2.createServer();
  app.on("stream", (stream) => {
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.pipe(stream);
  });
  const userPort = await startApp(t, app as unknown as ReturnType<typeof createServer>);
  const { port } = await startSidecar(t, { userPort, containerConcurrency: 10 });
  const session = http2.connect(`http://127.0.0.1:${port}`);
  t.teardown(() => session.destroy());
  const stream = session.request({ ":method": "POST", ":path": "/a.B/C" });
  const trailers = once(stream, "trailers");
  stream.write("ping");
  const [chunk] = await once(stream, "data");
  t.equal(String(chunk), "ping");
  stream.end();
  t.match((await trailers)[0], { "grpc-status": "0" });
});
