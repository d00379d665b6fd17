import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createHttp2Server, connect as connectHttp2 } from "node:http2";
import type { Server } from "node:net";
import { test } from "tap";
import { UpstreamError, type Exchange } from "../proxy/exchange.ts";
import { createAppReturn } from "./app-return.ts";
import { closedPort, get, raw, startSidecar, type Sidecar, type Teardown } from "./fixture.ts";

async function listen(t: Teardown, server: Server, port: number): Promise<void> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
}

async function sidecar(t: Teardown, userPort: number): Promise<Sidecar> {
  const action = { is: "tcp", host: "127.0.0.1", port: userPort } as const;
  const probe = { action, periodMs: 0, timeoutMs: 1000, successThreshold: 1, failureThreshold: 3 };
  return startSidecar(t, { userPort, probes: [probe] });
}

const untilReady = async ({ port }: Sidecar): Promise<void> => {
  const probe = get("/", "K-Network-Probe: queue\r\nUser-Agent: kube-probe/1.34\r\n");
  while (!(await raw(port, probe)).startsWith("HTTP/1.1 200")) await new Promise((resolve) => setImmediate(resolve));
};

test("requests that find the app away are answered when it is back", async (t) => {
  const port = await closedPort();
  const answerer = () => createServer((_incoming, outgoing) => void outgoing.end("back"));
  const first = answerer();
  await listen(t, first, port);
  const front = await sidecar(t, port);
  await untilReady(front);
  first.close();
  first.closeAllConnections();
  await once(first, "close");

  const asked = [raw(front.port, get("/")), raw(front.port, get("/").replace("GET", "POST"))];
  const probe = get("/", "K-Network-Probe: queue\r\n");
  const probed = raw(front.port, probe);
  // Both were refused once before there is anybody.
  while (!front.lines.some((line) => line.includes("waiting for the app"))) await new Promise(setImmediate);
  await listen(t, answerer(), port);
  for (const answer of await Promise.all(asked)) t.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*back$/);
  t.match(await probed, /^HTTP\/1\.1 200 OK\r\n/);
});

test("so are HTTP/2 requests", async (t) => {
  const port = await closedPort();
  const answerer = () => {
    const server = createHttp2Server();
    server.on("stream", (stream) => {
      stream.respond({ ":status": 200 });
      stream.end("back");
    });
    return server;
  };
  const first = answerer();
  await listen(t, first, port);
  const front = await sidecar(t, port);
  await untilReady(front);
  first.close();
  await once(first, "close");

  const session = connectHttp2(`http://127.0.0.1:${front.port}`);
  t.teardown(() => session.destroy());
  const stream = session.request({ ":path": "/", ":authority": "app.example" });
  while (!front.lines.some((line) => line.includes("waiting for the app"))) await new Promise(setImmediate);
  await listen(t, answerer(), port);
  const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
  t.equal(headers[":status"], 200);
});

test("an app that was never ready is said to be away at once", async (t) => {
  const { port } = await startSidecar(t, { userPort: await closedPort() });
  t.match(await raw(port, get("/")), /^HTTP\/1\.1 502 [^]*swell-error: app-unreachable\r\n/);
});

test("patience", (t) => {
  const refused = new UpstreamError("refused", { retriable: true, cause: { code: "ECONNREFUSED" } });
  const reset = new UpstreamError("reset", { retriable: true, cause: { code: "ECONNRESET" } });
  const sent = new UpstreamError("sent", { retriable: false, cause: { code: "ECONNREFUSED" } });
  const rows = [
    { name: "the first refusal waits", at: [0], error: refused, want: true },
    { name: "so does one near the outage's end", at: [0, 900, 1800, 2700, 2999], error: refused, want: true },
    { name: "a long outage is not waited for", at: [0, 900, 1800, 2700, 3000], error: refused, want: false },
    { name: "an outage much later is another one", at: [0, 900, 1800, 2700, 4000], error: refused, want: true },
    { name: "what may have reached the app is not sent again", at: [0], error: sent, want: false },
    { name: "an app that broke off is not away", at: [0], error: reset, want: false },
    { name: "a pod that ends has no app to wait for", at: [0], error: refused, draining: true, want: false },
    { name: "an app that was never there is not waited for", at: [0], error: refused, lost: false, want: false },
  ];
  for (const { name, at, error, draining = false, lost = true, want } of rows) {
    let nowMs = 0;
    const away = createAppReturn({
      lost: () => lost,
      draining: () => draining,
      nowMs: () => nowMs,
      random: () => 0,
    });
    let waits = false;
    for (const ms of at) {
      nowMs = ms;
      waits = away.await({ ended: true } as Exchange, error, () => {});
    }
    t.equal(waits, want, name);
  }
  t.end();
});
