/** Knative's ingress conformance list (data-plane 3.6), by its names, over real sockets. Hosts, WebSockets, gRPC, TLS, updates: beside it. */
import { once } from "node:events";
import { test } from "tap";
import { ingressHash } from "../../api/ingress-hash.ts";
import type { KIngress } from "../../api/networking.ts";
import {
  coreService,
  fakeHttp2Pod,
  fakePod,
  http2Client,
  ingress,
  paths,
  setUp,
  toService,
  type Answer,
} from "../fixture.ts";
import { backends, byPath, checkShares, headersOf, pathRule, percentages, servedBy } from "./dispatch-fixture.ts";

test("basics: one host, one backend", async (t) => {
  const { gateway, send } = await setUp(t, [
    ...(await backends(t, "a")),
    [paths.ingresses, ingress("basics", ["basics.example.com"], { splits: [toService("a")] })],
  ]);
  const answer = await send(gateway, { host: "basics.example.com" });
  t.equal(servedBy(answer), "a");
  t.match(headersOf(answer), { host: "basics.example.com", "x-forwarded-proto": "http" });
});

const http2Ports = [{ name: "http2" }, { name: "h2c" }, { name: "web", appProtocol: "kubernetes.io/h2c" }];
for (const port of http2Ports)
  test(`basics/http2: a Service port ${JSON.stringify(port)} is spoken to in HTTP/2`, async (t) => {
    const backend = await fakeHttp2Pod(t, (stream) => {
      stream.respond({ ":status": 200, "x-pod": "h2" });
      stream.end("{}");
    });
    const { gateway, send } = await setUp(t, [
      ...coreService("h2", [backend], port),
      [paths.ingresses, ingress("h2", ["h2.example.com"], { splits: [toService("h2")] })],
    ]);
    t.equal(servedBy(await send(gateway, { host: "h2.example.com" })), "h2");
  });

test("basics/http2: clients speak HTTP/2 by prior knowledge at both doors", async (t) => {
  const { gateway, internal } = await setUp(t, [
    ...(await backends(t, "a")),
    [paths.ingresses, ingress("h2", ["h2.example.com"], { splits: [toService("a")] })],
  ]);
  for (const port of [gateway, internal]) {
    const stream = http2Client(t, port, "h2.example.com").request({ ":path": "/" });
    const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
    t.match(headers, { ":status": 200, "x-pod": "a" });
    stream.close();
  }
});

test("headers/pre-split: the path's headers are set in place of the client's", async (t) => {
  const { gateway, send } = await setUp(t, [
    ...(await backends(t, "a")),
    [
      paths.ingresses,
      ingress("pre", ["pre.example.com"], { appendHeaders: { Foo: "path" }, splits: [toService("a")] }),
    ],
  ]);
  t.equal(headersOf(await send(gateway, { host: "pre.example.com" }))["foo"], "path");
  t.equal(headersOf(await send(gateway, { host: "pre.example.com", foo: "client" }))["foo"], "path");
});

test("headers/post-split: each split sets its own", async (t) => {
  const names = ["a", "b", "c", "d"];
  const { gateway, send } = await setUp(t, [
    ...(await backends(t, ...names)),
    [
      paths.ingresses,
      ingress("post", ["post.example.com"], { splits: names.map((name) => toService(name, 25, { Foo: name })) }),
    ],
  ]);
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => send(gateway, { host: "post.example.com", foo: "client" })),
  );
  t.ok(answers.every((answer) => headersOf(answer)["foo"] === answer.headers["x-pod"]));
  t.equal(new Set(answers.map(servedBy)).size, 4, "all are seen");
});

test("headers/probe: `override` brings the hash of the spec, any other value comes back unchanged", async (t) => {
  const echo = await fakePod(t, "echo");
  echo.server.removeAllListeners("request");
  echo.server.on("request", (request, response) => {
    response.setHeader("k-network-hash", request.headers["k-network-hash"] ?? "none");
    response.end("the app");
  });
  const spec = { rules: [{ hosts: ["probe.example.com"], http: { paths: [{ splits: [toService("echo")] }] } }] };
  const object = { ...ingress("probe", [], {}), spec } as KIngress;
  const { gateway, send } = await setUp(t, [...coreService("echo", [echo.port]), [paths.ingresses, object]]);
  const ask = (hash: string, extra: Record<string, string> = { "K-Network-Probe": "probe" }) =>
    send(gateway, { host: "probe.example.com", "K-Network-Hash": hash, ...extra });
  const app = { status: 200, body: "the app" };
  t.match(await ask("override"), { ...app, headers: { "k-network-hash": ingressHash(object) } }, "the app is reached");
  t.match(await ask("theirs"), { ...app, headers: { "k-network-hash": "theirs" } });
  const ordinary = await ask("override", {});
  t.match(ordinary, { status: 200, headers: { "k-network-hash": ingressHash(object) } }, "an ordinary request too");
});

test("headers/probe: a sleeping revision is not woken, whatever the value, at any path", async (t) => {
  const { gateway, send, entry } = await setUp(t);
  for (const hash of ["override", "theirs"]) {
    const headers = { host: "app.example.com", "K-Network-Probe": "probe", "K-Network-Hash": hash };
    const { status, headers: got } = await send(gateway, headers, "/healthz");
    t.match({ status, hash: got["k-network-hash"] }, { status: 200, hash: hash === "theirs" ? "theirs" : /^\w{64}$/ });
  }
  t.equal(entry().throttler.waiting + entry().stats.stats.inFlight, 0);
});

test("hosts/multiple: every host of a rule", async (t) => {
  const hosts = ["foo.example.com", "www.foo.com", "a-b-1.something-really-really-long.knative.dev", "add.your.org"];
  const { gateway, send } = await setUp(t, [
    ...(await backends(t, "a")),
    [paths.ingresses, ingress("hosts", hosts, { splits: [toService("a")] })],
  ]);
  for (const host of hosts) t.equal(servedBy(await send(gateway, { host })), "a", host);
});

test("dispatch/path: literal prefixes, and the catch-all for what is left", async (t) => {
  const { gateway, send } = await setUp(t, [
    ...(await backends(t, "foo", "bar", "baz", "rest")),
    [paths.ingresses, ingress("path", [], {}, pathRule(["path.example.com"]))],
  ]);
  for (const [path, want] of byPath)
    t.equal(servedBy(await send(gateway, { host: "path.example.com" }, path)), want, path);
});

test("dispatch/percentage: ten splits get their share of 1,000, and 0 % is nothing", async (t) => {
  const splits = Object.entries(percentages).map(([name, percent]) => toService(name, percent));
  const { gateway, send } = await setUp(t, [
    ...(await backends(t, ...Object.keys(percentages))),
    [paths.ingresses, ingress("percent", ["percent.example.com"], { splits })],
  ]);
  const answers: Answer[] = [];
  for (let round = 0; round < 20; round += 1)
    answers.push(
      ...(await Promise.all(Array.from({ length: 50 }, () => send(gateway, { host: "percent.example.com" })))),
    );
  checkShares(t, answers, percentages, 10);
});

test("dispatch/path_and_percentage: a split under a path, a catch-all beside it", async (t) => {
  const { gateway, send } = await setUp(t, [
    ...(await backends(t, "a", "b", "rest")),
    [
      paths.ingresses,
      ingress(
        "both",
        [],
        {},
        {
          rules: [
            {
              hosts: ["both.example.com"],
              http: {
                paths: [
                  { splits: [toService("rest")] },
                  { path: "/foo", splits: [toService("a", 50), toService("b", 50)] },
                ],
              },
            },
          ],
        },
      ),
    ],
  ]);
  const host = { host: "both.example.com" };
  const answers = await Promise.all(Array.from({ length: 200 }, () => send(gateway, host, "/foo")));
  checkShares(t, answers, { a: 50, b: 50 }, 15);
  t.equal(servedBy(await send(gateway, host, "/")), "rest");
});

test("dispatch/rule: two rules, two hosts, two backends", async (t) => {
  const rule = (name: string) => ({ hosts: [`${name}.example.com`], http: { paths: [{ splits: [toService(name)] }] } });
  const { gateway, send } = await setUp(t, [
    ...(await backends(t, "foo", "bar")),
    [paths.ingresses, ingress("rules", [], {}, { rules: [rule("foo"), rule("bar")] })],
  ]);
  for (const name of ["foo", "bar"]) t.equal(servedBy(await send(gateway, { host: `${name}.example.com` })), name);
});

test("retry: a backend's 503 comes through, and is not tried again", async (t) => {
  const pod = await fakePod(t, "a");
  pod.server.prependListener("request", (_request, response) => {
    if (pod.requests === 0) response.statusCode = 503;
  });
  const { gateway, send } = await setUp(t, [
    ...coreService("a", [pod.port]),
    [paths.ingresses, ingress("retry", ["retry.example.com"], { splits: [toService("a")] })],
  ]);
  const first = await send(gateway, { host: "retry.example.com" });
  t.match(first, { status: 503, headers: { "x-pod": "a" } });
  t.notOk("swell-error" in first.headers, "it is the app's");
  t.equal(pod.requests, 1);
  t.equal((await send(gateway, { host: "retry.example.com" })).status, 200);
});

test("timeout: a backend that is slow with its head, then with its body, is waited for", async (t) => {
  const slow = await fakePod(t, "slow");
  const head = Promise.withResolvers<void>();
  const body = Promise.withResolvers<void>();
  slow.server.removeAllListeners("request");
  slow.server.on("request", (request, response) => {
    if (request.url !== "/slow") {
      response.end("{}");
      return;
    }
    void head.promise.then(() => {
      response.writeHead(200, { "content-length": 2 });
      response.flushHeaders();
      return body.promise.then(() => response.end("ok"));
    });
  });
  const { gateway, send } = await setUp(t, [
    ...coreService("slow", [slow.port]),
    [paths.ingresses, ingress("slow", ["slow.example.com"], { splits: [toService("slow")] })],
  ]);
  const host = { host: "slow.example.com" };
  const waiting = send(gateway, host, "/slow");
  t.equal((await send(gateway, host)).status, 200);
  head.resolve();
  t.equal((await send(gateway, host)).status, 200);
  body.resolve();
  t.match(await waiting, { status: 200, body: "ok" });
});

const tags: [string, Record<string, string>, string][] = [
  ["the tag", { "Knative-Serving-Tag": "tag" }, "tagged"],
  ["no tag", {}, "default"],
  ["an empty tag", { "Knative-Serving-Tag": "" }, "default"],
  ["another tag", { "Knative-Serving-Tag": "not-tag" }, "default"],
];
test("headers/tags: an exact header match before the ordinary path", async (t) => {
  const routes = [
    { splits: [toService("default")] },
    { headers: { "Knative-Serving-Tag": { exact: "tag" } }, splits: [toService("tagged")] },
  ];
  const { gateway, send } = await setUp(t, [
    ...(await backends(t, "default", "tagged")),
    [paths.ingresses, ingress("tags", [], {}, { rules: [{ hosts: ["tags.example.com"], http: { paths: routes } }] })],
  ]);
  for (const [name, headers, want] of tags)
    t.equal(servedBy(await send(gateway, { host: "tags.example.com", ...headers })), want, name);
});
