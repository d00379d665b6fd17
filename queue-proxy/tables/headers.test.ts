// data-plane 1.8: what becomes of a request's fields on the way to the app.
import http2 from "node:http2";
import { test } from "tap";
import { get, raw, startApp, startSidecar } from "../fixture.ts";

type Field = [string, string];

interface Row {
  name: string;
  send: string;
  has?: Field[];
  not?: string[];
}

const rows: Row[] = [
  {
    name: "Knative-Serving-Revision and -Namespace are removed",
    send: "Knative-Serving-Revision: r\r\nKnative-Serving-Namespace: n\r\n",
    not: ["Knative-Serving-Revision", "Knative-Serving-Namespace"],
  },
  {
    name: "K-Original-Host becomes the Host",
    send: "K-Original-Host: public.example\r\n",
    has: [["Host", "public.example"]],
    not: ["K-Original-Host"],
  },
  {
    name: "an empty K-Original-Host changes nothing",
    send: "K-Original-Host:\r\n",
    has: [["Host", "app.example"]],
  },
  { name: "the Host stays as received", send: "", has: [["Host", "app.example"]] },
  { name: "Forwarded is not made from nothing", send: "", not: ["Forwarded"] },
  {
    name: "Forwarded is made of the first node, the host and the protocol",
    send: "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: pub.example.com\r\nX-Forwarded-Proto: https\r\n",
    has: [["Forwarded", "for=1.2.3.4;host=pub.example.com;proto=https"]],
  },
  {
    name: "Forwarded: further nodes follow, one with a colon in brackets",
    send: "X-Forwarded-For: 1.2.3.4, 2001:db8::1\r\nX-Forwarded-Proto: https\r\n",
    has: [["Forwarded", 'for=1.2.3.4;proto=https, for="[2001:db8::1]"']],
  },
  {
    name: "Forwarded: a node with a port is written as if it were IPv6",
    send: "X-Forwarded-For: 1.2.3.4:5678\r\n",
    has: [["Forwarded", 'for="[1.2.3.4:5678]"']],
  },
  { name: "Forwarded: a protocol alone", send: "X-Forwarded-Proto: http\r\n", has: [["Forwarded", "proto=http"]] },
  {
    name: "Forwarded is never overwritten",
    send: "Forwarded: for=9.9.9.9\r\nX-Forwarded-For: 1.2.3.4\r\n",
    has: [["Forwarded", "for=9.9.9.9"]],
  },
  { name: "X-Forwarded-For is created", send: "", has: [["X-Forwarded-For", "127.0.0.1"]] },
  {
    name: "X-Forwarded-For: lines are folded and the peer appended",
    send: "X-Forwarded-For: a, b\r\nX-Forwarded-For: c\r\n",
    has: [["X-Forwarded-For", "a, b, c, 127.0.0.1"]],
  },
  {
    name: "X-Forwarded-Proto and -Host pass as received",
    send: "X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n",
    has: [
      ["X-Forwarded-Proto", "https"],
      ["X-Forwarded-Host", "h"],
    ],
  },
  {
    name: "X-Forwarded-Proto and -Host are not created",
    send: "",
    not: ["X-Forwarded-Proto", "X-Forwarded-Host"],
  },
  {
    name: "hop-by-hop fields are removed, and what Connection names",
    send: "Connection: X-Named\r\nX-Named: 1\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nProxy-Authenticate: x\r\nProxy-Authorization: x\r\nTE: gzip\r\nTrailer: x\r\nUpgrade: x\r\n",
    not: [
      "X-Named",
      "Keep-Alive",
      "Proxy-Connection",
      "Proxy-Authenticate",
      "Proxy-Authorization",
      "TE",
      "Trailer",
      "Upgrade",
    ],
  },
  { name: "TE keeps its trailers", send: "TE: gzip, trailers\r\n", has: [["TE", "trailers"]] },
  {
    name: "trace context passes untouched while tracing is off",
    send: "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=b,c=d\r\nbaggage: k=v\r\n",
    has: [
      ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
      ["tracestate", "a=b,c=d"],
      ["baggage", "k=v"],
    ],
  },
  {
    name: "Knative's other fields reach the app",
    send: "K-Proxy-Request: activator\r\nK-Passthrough-Lb: true\r\nKnative-Serving-Tag: t\r\nKnative-Serving-Default-Route: true\r\nK-Network-Hash: h\r\nK-Network-Probe: queue\r\nK-Kubelet-Probe: 1\r\n",
    has: [
      ["K-Proxy-Request", "activator"],
      ["K-Passthrough-Lb", "true"],
      ["Knative-Serving-Tag", "t"],
      ["Knative-Serving-Default-Route", "true"],
      ["K-Network-Hash", "h"],
      ["K-Network-Probe", "queue"],
      ["K-Kubelet-Probe", "1"],
    ],
  },
  {
    name: "what the client accepts is passed on, and no agent is invented",
    send: "Accept-Encoding: br\r\n",
    has: [["Accept-Encoding", "br"]],
    not: ["User-Agent"],
  },
  {
    name: "better than the original: K-Original-Host also counts with a kubelet's probe field",
    send: "K-Kubelet-Probe: 1\r\nK-Original-Host: public.example\r\n",
    has: [["Host", "public.example"]],
  },
];

test("towards the app, HTTP/1.1", async (t) => {
  let seen: string[] = [];
  const userPort = await startApp(t, (incoming, outgoing) => {
    seen = incoming.rawHeaders;
    outgoing.end();
  });
  const { port } = await startSidecar(t, { userPort });
  for (const { name, send, has = [], not = [] } of rows)
    await t.test(name, async (t) => {
      t.match(await raw(port, get("/", send)), /^HTTP\/1\.1 200 /);
      const fields = seen.flatMap((field, at) => (at % 2 === 0 ? [[field.toLowerCase(), seen[at + 1]]] : []));
      for (const [field, value] of has)
        t.strictSame(
          fields.filter(([name]) => name === field.toLowerCase()),
          [[field.toLowerCase(), value]],
        );
      for (const field of not)
        t.notOk(
          fields.some(([name]) => name === field.toLowerCase()),
          `no ${field}`,
        );
    });
});

test("towards the app, HTTP/2", async (t) => {
  let seen: http2.IncomingHttpHeaders = {};
  const app = http2.createServer((incoming, outgoing) => {
    seen = incoming.headers;
    outgoing.end();
  });
  const userPort = await startApp(t, app as unknown as Parameters<typeof startApp>[1]);
  const { port } = await startSidecar(t, { userPort });
  const session = http2.connect(`http://127.0.0.1:${port}`);
  t.teardown(() => session.destroy());
  const stream = session.request({
    ":path": "/",
    ":authority": "app.example",
    "k-original-host": "public.example",
    "knative-serving-revision": "r",
    "x-forwarded-proto": "https",
    "x-forwarded-for": "1.2.3.4",
    te: "trailers",
    baggage: "k=v",
  });
  await new Promise((resolve) => stream.once("response", resolve));
  t.match(seen, {
    ":authority": "public.example",
    forwarded: "for=1.2.3.4;proto=https",
    "x-forwarded-for": "1.2.3.4, 127.0.0.1",
    te: "trailers",
    baggage: "k=v",
  });
  t.notOk("knative-serving-revision" in seen);
});

test("towards the client", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => {
    outgoing.setHeader("X-App", "1");
    outgoing.setHeader("Keep-Alive", "timeout=99");
    outgoing.setHeader("Proxy-Authenticate", "x");
    outgoing.end("ok");
  });
  const { port } = await startSidecar(t, { userPort });
  const answer = await raw(port, get("/"));
  t.match(answer, /\r\nX-App: 1\r\n/, "the app's fields pass");
  t.notMatch(answer, /timeout=99|Proxy-Authenticate/, "hop-by-hop fields do not");
  t.notMatch(answer, /swell-error|Server:|Via:/i, "nothing is added on success");
});
