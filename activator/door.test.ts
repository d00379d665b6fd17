/** The activator's own door (data-plane 2.2-2.9): how it finds revisions, holds, refuses, times out and drains. */
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "tap";
import type { KubeObject } from "../api/meta.ts";
import { fakeHttp2Pod, fakePod, http2Client, paths, ready, request, revision, setUp, until } from "./fixture.ts";

const to = (name: string) => ({ "Knative-Serving-Revision": name, "Knative-Serving-Namespace": "ns" });

const lookups: { name: string; headers: Record<string, string>; status: number; code?: string; body?: string }[] = [
  { name: "both headers", headers: { host: "x", ...to("r") }, status: 200 },
  { name: "a host of the right shape", headers: { host: "r.ns.svc.cluster.local" }, status: 200 },
  { name: "the same with a port", headers: { host: "R.ns.svc.cluster.local:8012" }, status: 200 },
  {
    name: "one of the headers only",
    headers: { host: "x", "Knative-Serving-Revision": "r" },
    status: 404,
    code: "no-revision",
  },
  { name: "another cluster's domain", headers: { host: "r.ns.svc.other.domain" }, status: 404, code: "no-revision" },
  { name: "a label too many", headers: { host: "a.r.ns.svc.cluster.local" }, status: 404, code: "no-revision" },
  {
    name: "a revision that does not exist",
    headers: { host: "x", ...to("no") },
    status: 404,
    code: "unknown-revision",
    body: 'Error getting active endpoint: revision.serving.knative.dev "no" not found\n',
  },
];
test("a revision is found by headers or host", async (t) => {
  const pod = await fakePod(t, "p");
  const { activator } = await setUp(t, [[paths.endpoints, ready("r", pod.port)]]);
  for (const { name, headers, status, code, body } of lookups) {
    const answer = await request(activator, headers);
    t.match(
      { ...answer, code: answer.headers["swell-error"] },
      { status, code, ...(body === undefined ? {} : { body }) },
      name,
    );
  }
});

test("probes are answered in Knative's order and words", async (t) => {
  const { activator } = await setUp(t);
  const rows: [string, Record<string, string>, object][] = [
    ["a hash comes back", { "K-Network-Probe": "probe", "K-Network-Hash": "h" }, { status: 200, body: "" }],
    ["a component asks for the activator", { "K-Network-Probe": "activator" }, { status: 200, body: "activator" }],
    [
      "a component asks for somebody else",
      { "K-Network-Probe": "queue" },
      { status: 400, body: 'unexpected probe header value: "queue"\n' },
    ],
    [
      "a probe without a hash",
      { "K-Network-Probe": "probe" },
      { status: 400, body: 'a probe request must contain a non-empty "K-Network-Hash" header\n' },
    ],
  ];
  for (const [name, headers, want] of rows) t.match(await request(activator, { host: "x", ...headers }), want, name);
});

test("trace and other headers pass, a hash that is no probe's does not", async (t) => {
  const pod = await fakePod(t, "p");
  const { activator } = await setUp(t, [[paths.endpoints, ready("r", pod.port)]]);
  const trace = {
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    tracestate: "congo=t61rcWkgMzE",
    baggage: "userId=alice",
  };
  const answer = await request(activator, { host: "x", ...to("r"), ...trace, "K-Network-Hash": "theirs" });
  const seen = JSON.parse(answer.body) as object;
  t.match(seen, { ...trace, "k-proxy-request": "activator" });
  t.notOk("k-network-hash" in seen);
});

test("more than can be held is refused, so that callers can tell our 503 from the app's", async (t) => {
  const { activator, entry, running } = await setUp(t, [[paths.revisions, revision("other")]], {
    env: { MAX_HELD_REQUESTS_PER_REVISION: "2", MAX_HELD_BYTES: `${40 * 1024}` },
  });
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const hold = (name: string, body?: string): void => {
    const options = { signal: stop.signal, ...(body === undefined ? {} : { method: "POST", body }) };
    request(activator, { host: "x", ...to(name) }, "/", options).catch(() => undefined);
  };
  const refused = { status: 503, body: "pending request queue full\n", headers: { "retry-after": "1" } };
  hold("r");
  hold("r");
  await until(() => entry().throttler.waiting === 2);
  const third = await request(activator, { host: "x", ...to("r") });
  t.match(third, { ...refused, headers: { "swell-error": "queue-full", "x-content-type-options": "nosniff" } });
  t.equal(third.headers["retry-after"], "1");
  hold("other");
  await until(() => entry("other").throttler.waiting === 1);
  const large = { method: "POST", body: "x".repeat(30_000) };
  const fourth = await request(activator, { host: "x", ...to("other") }, "/", large);
  t.match(fourth, { ...refused, headers: { "swell-error": "memory-full" } });
  stop.abort();
  await until(() => running.directory.held === 0);
  t.equal(running.directory.heldBytes, 0);
});

test("a body is not read while its request is held", async (t) => {
  const size = 64 * 1024 * 1024;
  let received = 0;
  const pod = await fakePod(t, "p", async (incoming) => {
    for await (const chunk of incoming) received += (chunk as Buffer).length;
  });
  const { activator, api, entry } = await setUp(t);
  const socket = connect(activator, "127.0.0.1");
  socket.write(
    `POST / HTTP/1.1\r\nHost: x\r\nKnative-Serving-Revision: r\r\nKnative-Serving-Namespace: ns\r\nContent-Length: ${size}\r\n\r\n`,
  );
  socket.write(Buffer.alloc(size));
  await until(() => entry().throttler.waiting === 1);
  for (let at = 0; at < 20; at += 1) await request(activator, { host: "x", "K-Network-Probe": "activator" });
  t.ok(socket.writableLength > size / 2, `${socket.writableLength} bytes are still with the client`);
  api.put(paths.endpoints, ready("r", pod.port));
  const [answer] = (await once(socket, "data")) as [Buffer];
  t.match(answer.toString(), /^HTTP\/1\.1 200 /);
  t.equal(received, size);
  socket.destroy();
});

const limits: { name: string; spec: object; answers: "never" | "head only"; want: object | "broken" }[] = [
  {
    name: "the total time",
    spec: { timeoutSeconds: 1 },
    answers: "never",
    want: { status: 504, body: "activator request timeout", headers: { "swell-error": "timeout" } },
  },
  {
    name: "the time to the first byte",
    spec: { timeoutSeconds: 60, responseStartTimeoutSeconds: 1 },
    answers: "never",
    want: { status: 504, body: "activator request timeout" },
  },
  {
    name: "the time without a byte",
    spec: { timeoutSeconds: 60, idleTimeoutSeconds: 1 },
    answers: "never",
    want: { status: 504, body: "activator request timeout" },
  },
  {
    name: "the time without a byte, in the middle of a response",
    spec: { timeoutSeconds: 60, idleTimeoutSeconds: 1 },
    answers: "head only",
    want: "broken",
  },
];
test("a revision's three time limits hold, and free the pod's place", async (t) => {
  const never = await fakePod(t, "never", () => new Promise(() => undefined));
  const headOnly = await fakePod(t, "head-only");
  headOnly.server.removeAllListeners("request");
  headOnly.server.on("request", (_request, response) =>
    response.writeHead(200, { "content-length": 5 }).flushHeaders(),
  );
  const objects = limits.flatMap(({ spec, answers }, at): [string, KubeObject][] => [
    [paths.revisions, revision(`l${at}`, { containerConcurrency: 1, ...spec })],
    [paths.endpoints, ready(`l${at}`, (answers === "never" ? never : headOnly).port)],
  ]);
  const { activator, entry } = await setUp(t, objects);
  await Promise.all(
    limits.map(async ({ name, want }, at) => {
      const answer = await request(activator, { host: "x", ...to(`l${at}`) }).catch(() => "broken");
      t.match(answer, want, name);
      t.equal(entry(`l${at}`).throttler.active, 0, `${name}: the place is free`);
    }),
  );
});

test("at the end HTTP/2 clients get a GOAWAY and their answers, WebSockets a close frame", async (t) => {
  const release = Promise.withResolvers<void>();
  const port = await fakeHttp2Pod(t, (stream) => {
    void release.promise.then(() => {
      stream.respond({ ":status": 200 });
      stream.end("done");
    });
  });
  const ws = await fakePod(t, "ws");
  ws.server.on("upgrade", (_request, socket) => {
    socket.on("error", () => undefined);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.pipe(socket);
  });
  const { activator, stop, running, entry } = await setUp(t, [
    [paths.endpoints, ready("r", port)],
    [paths.revisions, revision("ws")],
    [paths.endpoints, ready("ws", ws.port)],
  ]);
  const session = http2Client(t, activator, "x");
  const stream = session.request({ ":path": "/", "knative-serving-revision": "r", "knative-serving-namespace": "ns" });
  await until(() => entry().throttler.active === 1);
  const socket = connect(activator, "127.0.0.1");
  socket.write(
    "GET / HTTP/1.1\r\nHost: x\r\nKnative-Serving-Revision: ws\r\nKnative-Serving-Namespace: ns\r\n" +
      "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
  );
  await once(socket, "data");

  const goaway = once(session, "goaway");
  const closing = once(socket, "data");
  stop.abort();
  await goaway;
  t.strictSame(((await closing) as [Buffer])[0], Buffer.from([0x88, 2, 3, 0xe9]), "1001, going away");
  socket.destroy();
  release.resolve();
  const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
  t.equal(headers[":status"], 200);
  let body = "";
  for await (const chunk of stream) body += String(chunk);
  t.equal(body, "done");
  await running.finished;
});

test("metrics have Knative's names and the revision's labels", async (t) => {
  const pod = await fakePod(t, "p");
  const { activator, metrics } = await setUp(t, [[paths.endpoints, ready("r", pod.port)]]);
  for (let at = 0; at < 3; at += 1) await request(activator, { host: "x", ...to("r") });
  await request(activator, { host: "x", ...to("no") });
  const { body } = await request(metrics, { host: "x" }, "/metrics");
  const ofRevision = 'k8s_namespace_name="ns",kn_revision_name="r"';
  for (const want of [
    `kn_revision_request_concurrency{${ofRevision},kn_service_name="",kn_configuration_name=""} 0`,
    `kn_revision_request_queued{${ofRevision}} 0`,
    `kn_revision_request_active{${ofRevision}} 0`,
    `http_server_request_duration_seconds_count{${ofRevision},kn_service_name="",kn_configuration_name="",http_request_method="GET",http_response_status_code="200",network_protocol_name="http",network_protocol_version="1.1",server_address="x",url_scheme="http"} 3`,
  ])
    t.ok(body.includes(`${want}\n`), want);
  t.match(body, /kn_activator_stats_conn_reachable\{peer="autoscaler"\} [01]\n/);
});
