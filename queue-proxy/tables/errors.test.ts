// data-plane 1.17: answers of the sidecar's own. Those of the breaker, the limits and the probes are in their tables.
import { connect, createServer as createTcpServer } from "node:net";
import { test } from "tap";
import { anyPort, closedPort, get, raw, startApp, startSidecar, unobserved, upgradeTo } from "../fixture.ts";

const bad = (code: string, body: string): RegExp =>
  new RegExp(
    `^HTTP/1\\.1 502 Bad Gateway\\r\\nContent-Type: text/plain; charset=utf-8\\r\\nX-Content-Type-Options: nosniff\\r\\nswell-error: ${code}\\r\\n[^]*\\r\\n\\r\\n${body}\\n$`,
  );

test("the app", async (t) => {
  const closed = await closedPort();
  const says = (text: string) =>
    createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(text));
    }) as unknown as Parameters<typeof startApp>[1];
  const rows = [
    {
      name: "refuses the connection",
      userPort: closed,
      want: bad("app-unreachable", `dial tcp 127\\.0\\.0\\.1:${closed}: connect: connection refused`),
    },
    {
      name: "resets the connection",
      userPort: await startApp(t, (incoming) => incoming.socket.resetAndDestroy()),
      want: bad("app-broke-off", "read tcp [\\d.:]+: read: connection reset by peer"),
    },
    {
      name: "hangs up",
      userPort: await startApp(t, (incoming) => void incoming.socket.end()),
      want: bad("app-broke-off", "EOF"),
    },
    {
      name: "answers what is not HTTP",
      userPort: await startApp(t, says("SSH-2.0-OpenSSH\r\n")),
      want: bad("app-broke-off", "net/http: HTTP/1\\.x transport connection broken: malformed HTTP [^\\n]*"),
    },
    {
      name: "refuses an upgrade: its own answer",
      userPort: await startApp(t, (_incoming, outgoing) => void outgoing.writeHead(426).end("no")),
      send: upgradeTo("websocket"),
      want: /^HTTP\/1\.1 426 (?![^]*swell-error)[^]*\r\nno\r\n/,
    },
    {
      name: "answers 502 itself: without our code",
      userPort: await startApp(t, (_incoming, outgoing) => void outgoing.writeHead(502).end("mine")),
      want: /^HTTP\/1\.1 502 (?![^]*swell-error)[^]*\r\nmine\r\n/,
    },
  ];
  for (const { name, userPort, want, send = get("/") } of rows)
    await t.test(name, async (t) => {
      const { port } = await startSidecar(t, { userPort });
      t.match(await raw(port, send), want);
    });
});

test("headers too large are a 431", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end());
  const { port } = await startSidecar(t, { userPort });
  t.match(await raw(port, get("/", `X-Large: ${"x".repeat(1024 * 1024)}\r\n`)), /^HTTP\/1\.1 431 /);
});

test("an answer that the app breaks off is broken for the client", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => {
    outgoing.write("half", () => outgoing.socket?.resetAndDestroy());
  });
  const { port } = await startSidecar(t, { userPort });
  t.match(await raw(port, get("/")), /\r\n4\r\nhalf\r\n(?!0\r\n)/);
});

test("better than the original: what is broken off is not counted as 200", async (t) => {
  const gone = Promise.withResolvers<void>();
  const userPort = await startApp(t, (incoming, outgoing) => {
    if (incoming.url === "/half-then-reset") outgoing.write("half", () => outgoing.socket?.resetAndDestroy());
    else if (incoming.url === "/half") outgoing.write("half");
    else if (incoming.url === "/ok") outgoing.end("ok");
    outgoing.once("close", () => {
      if (incoming.url === "/client-goes") gone.resolve();
    });
  });
  const { port, userMetricsPort } = await startSidecar(t, {
    userPort,
    limits: { totalMs: 150, responseStartMs: 0, idleMs: 0 },
    observability: { ...unobserved, userMetrics: { address: anyPort, tls: undefined } },
  });
  await raw(port, get("/ok"));
  await raw(port, get("/half-then-reset"));
  await raw(port, get("/half"));
  await raw(port, get("/nothing"));
  const client = connect(port, "127.0.0.1");
  client.write(get("/client-goes"));
  // Its request is at the app when the app answers one that came later.
  await raw(port, get("/ok"));
  client.destroy();
  await gone.promise;
  const text = await raw(userMetricsPort!, get("/metrics"));
  const counted = (name: string): Record<string, number> =>
    Object.fromEntries(
      [
        ...text.matchAll(new RegExp(`\\n${name}_count\\{[^}]*http_response_status_code="(\\d+)"[^}]*\\} (\\d+)`, "g")),
      ].map(([, status, count]) => [status, Number(count)]),
    );
  const want = { "200": 2, "499": 1, "502": 1, "504": 2 };
  for (const name of [
    "kn_serving_invocation_duration_seconds",
    "http_server_request_duration_seconds",
    "http_client_request_duration_seconds",
  ])
    t.strictSame(counted(name), want, name);
});
