import { createServer, type RequestListener } from "node:http";
import http2 from "node:http2";
import { createServer as createTcpServer } from "node:net";
import { test } from "tap";
import { startApp, type Teardown } from "./fixture.ts";
import { createLog } from "./log.ts";
import type { ProbeAction } from "./probe-spec.ts";
import { createReadinessProbe, type Readiness } from "./readiness-probe.ts";

const log = createLog("queue-proxy", "silent");
const once = { periodMs: 1000, timeoutMs: 2000, successThreshold: 1, failureThreshold: 3 };

const check = (action: ProbeAction, http2AutoDetection = false): Promise<boolean> =>
  createReadinessProbe({ probes: [{ ...once, action }], http2AutoDetection, log, onChange: () => {} }).check();

/** grpc.health.v1.Health/Check with the given answer. */
async function startHealth(t: Teardown, status: number): Promise<number> {
  const server = http2.createServer();
  server.on("stream", (stream, headers) => {
    if (headers[":path"] !== "/grpc.health.v1.Health/Check") return stream.close();
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 0x08, status]));
    return undefined;
  });
  return startApp(t, server as unknown as ReturnType<typeof createServer>);
}

test("one try", async (t) => {
  const http = async (listener: RequestListener, path = "/") => ({
    is: "http" as const,
    host: "127.0.0.1",
    port: await startApp(t, listener),
    path,
    scheme: "HTTP" as const,
    headers: ["X-Probe", "1"],
  });
  const h2c = http2.createServer((_incoming, outgoing) => void outgoing.end());
  const rows: { name: string; action: ProbeAction; auto?: boolean; want: boolean }[] = [
    { name: "tcp: listens", action: { is: "tcp", host: "127.0.0.1", port: await startApp(t, () => {}) }, want: true },
    { name: "tcp: nothing there", action: { is: "tcp", host: "127.0.0.1", port: 1 }, want: false },
    {
      name: "http 200, with the probe's headers and the kubelet's agent",
      action: await http(
        (i, o) =>
          void o
            .writeHead(i.headers["x-probe"] === "1" && i.headers["user-agent"] === "kube-probe//" ? 200 : 500)
            .end(),
      ),
      want: true,
    },
    { name: "http 399", action: await http((_i, o) => void o.writeHead(399).end()), want: true },
    { name: "http 400", action: await http((_i, o) => void o.writeHead(400).end()), want: false },
    {
      name: "http: a redirect is followed",
      action: await http(
        (i, o) => void (i.url === "/bad" ? o.writeHead(500).end() : o.writeHead(302, { location: "/bad" }).end()),
      ),
      want: false,
    },
    {
      name: "http: a redirect elsewhere is enough",
      action: await http((_i, o) => void o.writeHead(302, { location: "http://elsewhere.invalid/" }).end()),
      want: true,
    },
    {
      name: "http: auto-detection finds h2c",
      action: {
        is: "http",
        host: "127.0.0.1",
        port: await startApp(t, h2c as unknown as ReturnType<typeof createServer>),
        path: "/",
        scheme: "HTTP",
        headers: [],
      },
      auto: true,
      want: true,
    },
    { name: "http: auto-detection falls back", action: await http((_i, o) => void o.end()), auto: true, want: true },
    {
      name: "grpc: SERVING",
      action: { is: "grpc", host: "127.0.0.1", port: await startHealth(t, 1), service: "a.B" },
      want: true,
    },
    {
      name: "grpc: NOT_SERVING",
      action: { is: "grpc", host: "127.0.0.1", port: await startHealth(t, 2), service: "" },
      want: false,
    },
    {
      name: "grpc: no HTTP/2 there",
      action: { is: "grpc", host: "127.0.0.1", port: await startApp(t, (_i, o) => void o.end()), service: "" },
      want: false,
    },
  ];
  for (const { name, action, auto, want } of rows)
    await t.test(name, async (t) => t.equal(await check(action, auto), want));
});

test("without a period it is tried until the app listens, by one run for all callers", async (t) => {
  const app = createTcpServer();
  const spare = createTcpServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => spare.once("listening", resolve));
  const { port } = spare.address() as { port: number };
  await new Promise((resolve) => spare.close(resolve));
  let connections = 0;
  app.on("connection", (socket) => {
    connections += 1;
    socket.destroy();
  });
  const states: Readiness[] = [];
  const probe = createReadinessProbe({
    probes: [{ ...once, periodMs: 0, action: { is: "tcp", host: "127.0.0.1", port } }],
    http2AutoDetection: false,
    log,
    onChange: (state) => states.push(state),
  });
  const callers = [probe.check(), probe.check(), probe.check()];
  t.equal(probe.state, "starting");
  app.listen(port, "127.0.0.1");
  t.teardown(() => app.close());
  t.strictSame(await Promise.all(callers), [true, true, true]);
  t.strictSame(states, ["ready"]);
  t.equal(connections, 1);
});

test("all containers must pass, and no probe means ready", async (t) => {
  const up = await startApp(t, () => {});
  const probe = (port: number) => ({ ...once, action: { is: "tcp" as const, host: "127.0.0.1", port } });
  const both = createReadinessProbe({
    probes: [probe(up), probe(1)],
    http2AutoDetection: false,
    log,
    onChange: () => {},
  });
  t.notOk(await both.check());
  const none = createReadinessProbe({ probes: [], http2AutoDetection: false, log, onChange: () => {} });
  t.ok(await none.check());
});
