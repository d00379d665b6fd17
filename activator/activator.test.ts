/** The real chain over real sockets: a client, both doors, a fake queue-proxy, a fake autoscaler, a fake API server. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { test } from "tap";
import type { KubeObject } from "../api/meta.ts";
import { PodState } from "../proto/gen/stats.ts";
import {
  coreService,
  fakePod,
  ingress,
  listening,
  mode,
  paths,
  ready,
  revision,
  setUp,
  split,
  tokenKey,
  toService,
  until,
} from "./fixture.ts";

const host = { host: "app.example.com" };

test("a request is held at zero, told at once, and released by pushed readiness", async (t) => {
  const { autoscaler, gateway, send, entry } = await setUp(t);
  const pod = await fakePod(t, "p");
  const answers = Array.from({ length: 20 }, () => send(gateway, host));
  await autoscaler.until(() => autoscaler.loads.some(({ load }) => load.inFlight === 20));
  t.equal(autoscaler.token, createHmac("sha256", tokenKey).update("activator").digest("base64url"));
  t.strictSame([...autoscaler.subscribed], ["r"]);
  t.equal(entry().throttler.waiting, 20);
  autoscaler.tell("r", [{ port: pod.port }], true);
  for (const { status, body } of await Promise.all(answers)) {
    t.equal(status, 200);
    t.match(JSON.parse(body), {
      host: "app.example.com",
      "k-proxy-request": "activator",
      "x-forwarded-for": "127.0.0.1",
    });
  }
  await autoscaler.until(() => autoscaler.loads.at(-1)?.load.inFlight === 0);
  t.match(autoscaler.loads.at(-1), { revision: "r", load: { arrivals: 20 } });
});

test("with the ServerlessService in Serve mode a request is not marked and not counted", async (t) => {
  const pod = await fakePod(t, "p");
  const { autoscaler, gateway, send, entry } = await setUp(t, [
    [paths.serverlessServices, mode("r", "Serve")],
    [paths.endpoints, ready("r", pod.port)],
  ]);
  const { status, body } = await send(gateway, {
    ...host,
    "K-Proxy-Request": "activator",
    "K-Original-Host": "evil",
    "K-Kubelet-Probe": "1",
    "Knative-Serving-Revision": "other",
  });
  t.equal(status, 200);
  const seen = JSON.parse(body) as Record<string, string>;
  t.notHas(seen, { "k-proxy-request": /./ });
  for (const name of ["k-proxy-request", "k-original-host", "k-kubelet-probe", "knative-serving-revision"])
    t.notOk(name in seen, `${name} does not get in`);
  t.match(seen, { "x-forwarded-proto": "http", "x-request-id": /^[0-9a-f-]{36}$/ });
  t.equal(entry().stats.stats.load(performance.now()).arrivals, 0);
  t.strictSame(autoscaler.loads, []);
});

test("the activator's own door finds the revision by header or by host", async (t) => {
  const pod = await fakePod(t, "p");
  const { activator, send } = await setUp(t, [[paths.endpoints, ready("r", pod.port)]]);
  const named = await send(activator, { ...host, "Knative-Serving-Revision": "r", "Knative-Serving-Namespace": "ns" });
  t.match(JSON.parse(named.body), { host: "app.example.com", "k-proxy-request": "activator" });
  t.notOk("knative-serving-revision" in (JSON.parse(named.body) as object));
  t.equal((await send(activator, { host: "r.ns.svc.cluster.local:80" })).status, 200);
  const missing = await send(activator, { "Knative-Serving-Revision": "no", "Knative-Serving-Namespace": "ns" });
  t.match(missing, {
    status: 404,
    body: 'Error getting active endpoint: revision.serving.knative.dev "no" not found\n',
  });
});

test("splits get their share", async (t) => {
  const [a, b] = [await fakePod(t, "a"), await fakePod(t, "b")];
  const { gateway, send } = await setUp(t, [
    [paths.revisions, revision("a")],
    [paths.revisions, revision("b")],
    [paths.endpoints, ready("a", a.port)],
    [paths.endpoints, ready("b", b.port)],
    [paths.ingresses, ingress("split", ["split.example.com"], { splits: [split("a", 75), split("b", 25)] })],
  ]);
  await Promise.all(Array.from({ length: 200 }, () => send(gateway, { host: "split.example.com" })));
  t.equal(a.requests + b.requests, 200);
  t.ok(a.requests > 115 && a.requests < 185, `75 % of 200 are ${a.requests}`);
});

test("a client that goes frees its place at once", async (t) => {
  const { autoscaler, gateway, entry } = await setUp(t);
  const socket = connect(gateway, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n");
  await autoscaler.until(() => autoscaler.loads.some(({ load }) => load.inFlight === 1));
  t.equal(entry().throttler.waiting, 1);
  socket.destroy();
  await autoscaler.until(() => autoscaler.loads.at(-1)?.load.inFlight === 0);
  t.equal(entry().throttler.waiting, 0);
});

test("a request that is held for too long is answered 504", async (t) => {
  const { activator, send } = await setUp(t, [[paths.revisions, revision("slow", { timeoutSeconds: 1 })]]);
  const late = await send(activator, { "Knative-Serving-Revision": "slow", "Knative-Serving-Namespace": "ns" });
  t.match(late, { status: 504, body: "activator request timeout" });
});

test("a pod that refuses the connection is passed over for another", async (t) => {
  const gone = createServer();
  const deadPort = await listening(gone);
  gone.close();
  await once(gone, "close");
  const pod = await fakePod(t, "p");
  const { autoscaler, gateway, send, entry } = await setUp(t);
  const first = send(gateway, host);
  await autoscaler.until(() => autoscaler.loads.length > 0);
  autoscaler.tell("r", [{ port: deadPort, pod: "dead" }]);
  await until(() => entry().backends.toProbe().length === 1);
  autoscaler.tell("r", [{ port: pod.port, pod: "alive" }]);
  t.match(await first, { status: 200, headers: { "x-pod": "p" } });
  t.equal((await send(gateway, host)).status, 200);
});

test("a draining pod gets no new request", async (t) => {
  const [old, fresh] = [await fakePod(t, "old"), await fakePod(t, "fresh")];
  const { autoscaler, gateway, send, entry } = await setUp(t, [[paths.endpoints, ready("r", old.port)]]);
  t.match((await send(gateway, host)).headers, { "x-pod": "old" });
  await autoscaler.until(() => autoscaler.subscribed.has("r"));
  autoscaler.tell("r", [{ port: old.port, state: PodState.DRAINING }]);
  await until(() => entry().throttler.pods.length === 0);
  const held = send(gateway, host);
  await until(() => entry().throttler.waiting === 1);
  autoscaler.tell("r", [{ port: fresh.port, pod: "fresh" }]);
  t.match((await held).headers, { "x-pod": "fresh" });
});

test("doors answer for unknown hosts, hash probes and redirects themselves", async (t) => {
  const { gateway, internal, send } = await setUp(t, [
    [
      paths.ingresses,
      {
        ...ingress("local", [], {}),
        spec: {
          rules: [{ hosts: ["r.ns"], visibility: "ClusterLocal", http: { paths: [{ splits: [split("r", 100)] }] } }],
        },
      } as KubeObject,
    ],
    [paths.ingresses, ingress("deep", ["deep.example.com"], { path: "/only/here" })],
    [paths.ingresses, ingress("https", ["tls.example.com"], {}, { httpOption: "Redirected" })],
  ]);
  const probe = { "K-Network-Probe": "probe" };
  t.equal((await send(gateway, { host: "no.example.com" })).status, 404);
  t.equal((await send(gateway, { host: "r.ns", ...probe, "K-Network-Hash": "x" })).status, 404, "not public");
  t.equal((await send(internal, { host: "r.ns", ...probe, "K-Network-Hash": "x" })).headers["k-network-hash"], "x");
  const proven = await send(gateway, { ...host, ...probe, "K-Network-Hash": "override" });
  t.match(proven, { status: 200, headers: { "k-network-hash": /^[0-9a-f]{64}$/ } });
  const deep = await send(gateway, { host: "deep.example.com", ...probe, "K-Network-Hash": "override" }, "/healthz");
  t.match(deep, { status: 200, headers: { "k-network-hash": /^[0-9a-f]{64}$/ } }, "whatever the paths of its routes");
  t.equal((await send(gateway, { host: "deep.example.com" }, "/healthz")).status, 404);
  const moved = await send(gateway, { host: "tls.example.com:80" }, "/a?b=c");
  t.match(moved, { status: 301, headers: { location: "https://tls.example.com/a?b=c" } });
});

test("a domain mapping leads to its route inside the process, and the app sees the mapped name", async (t) => {
  const pod = await fakePod(t, "p");
  const mapping = {
    serviceNamespace: "ns",
    serviceName: "route",
    servicePort: 80,
    appendHeaders: { "K-Original-Host": "vanity.org" },
  };
  const { gateway, send } = await setUp(t, [
    [paths.endpoints, ready("r", pod.port)],
    [paths.ingresses, ingress("mapping", ["vanity.org"], { rewriteHost: "app.example.com", splits: [mapping] })],
  ]);
  const { status, body } = await send(gateway, { host: "vanity.org" });
  t.equal(status, 200);
  t.match(JSON.parse(body), { host: "app.example.com", "k-original-host": "vanity.org" });
});

test("a route may lead to an ordinary Service", async (t) => {
  const pod = await fakePod(t, "backend");
  const { gateway, send } = await setUp(t, [
    ...coreService("plain", [pod.port]),
    [paths.ingresses, ingress("plain", ["plain.example.com"], { splits: [toService("plain")] })],
  ]);
  t.match(await send(gateway, { host: "plain.example.com" }), { status: 200, headers: { "x-pod": "backend" } });
});

test("the kubelet hears 200 once the autoscaler's stream is up, and why not at the end", async (t) => {
  const pod = await fakePod(t, "p");
  const { autoscaler, activator, send, stop } = await setUp(t, [[paths.endpoints, ready("r", pod.port)]]);
  const probe = { "user-agent": "kube-probe/1.36" };
  await autoscaler.until(() => autoscaler.token !== "");
  let state = await send(activator, probe);
  while (state.status !== 200) {
    t.match(state, { status: 500, body: "connection has not yet been established\n" });
    state = await send(activator, probe);
  }
  t.match(await send(activator, { "K-Network-Probe": "activator" }), { status: 200, body: "activator" });
  // One connection that lasts, so that it is still served while the listeners close.
  const socket = connect(activator, "127.0.0.1");
  await once(socket, "connect");
  socket.write("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-probe/1\r\n\r\n");
  await once(socket, "data");
  stop.abort();
  socket.write("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: kube-probe/1\r\n\r\n");
  const [last] = (await once(socket, "data")) as [Buffer];
  t.match(last.toString(), /^HTTP\/1\.1 500 [\s\S]*received SIGTERM from kubelet/);
  socket.destroy();
});

test("a revision with a limit takes no more at once, and the rest waits its turn", async (t) => {
  let running = 0;
  let most = 0;
  const pod = await fakePod(t, "p", async () => {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
  });
  const { activator, send } = await setUp(t, [
    [paths.revisions, revision("one", { containerConcurrency: 1 })],
    [paths.endpoints, ready("one", pod.port)],
  ]);
  const to = { "Knative-Serving-Revision": "one", "Knative-Serving-Namespace": "ns" };
  const answers = await Promise.all(Array.from({ length: 30 }, () => send(activator, to)));
  t.ok(answers.every(({ status }) => status === 200));
  t.equal(most, 1);
});

test("running pods are served while neither the API server nor the autoscaler is there", async (t) => {
  const pod = await fakePod(t, "p");
  const { api, autoscaler, gateway, send } = await setUp(t, [[paths.endpoints, ready("r", pod.port)]]);
  await api.stop();
  autoscaler.server.forceShutdown();
  t.equal((await send(gateway, host)).status, 200);
});
