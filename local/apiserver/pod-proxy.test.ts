import { once } from "node:events";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { test, type Test } from "tap";
import { endpoints, pods, services, type Endpoints, type Pod, type Service } from "../../api/core.ts";
import { silentLogger } from "../../process/logger.ts";
import type { Authorizer } from "./authorization.ts";
import { proxyRouteOf } from "./pod-proxy.ts";
import { servingPair } from "./rest-fixture.ts";
import { startApiServer } from "./server.ts";

test("what a proxied path means", (t) => {
  const base = { plural: "pods", namespace: "ns", scheme: "http", name: "web", port: "", target: "/" } as const;
  const rows: { path: string; want: ReturnType<typeof proxyRouteOf> }[] = [
    { path: "/api/v1/namespaces/ns/pods/web/proxy", want: base },
    {
      path: "/api/v1/namespaces/ns/pods/web:8080/proxy/a%2Fb/?q=1",
      want: { ...base, port: "8080", target: "/a%2Fb/?q=1" },
    },
    { path: "/api/v1/namespaces/ns/pods/web%3Ahttp/proxy/x", want: { ...base, port: "http", target: "/x" } },
    { path: "/api/v1/namespaces/ns/pods/https:web:8443/proxy/", want: { ...base, scheme: "https", port: "8443" } },
    { path: "/api/v1/namespaces/ns/services/web:80/proxy/", want: { ...base, plural: "services", port: "80" } },
    { path: "/api/v1/namespaces/ns/pods/web", want: undefined },
    { path: "/api/v1/namespaces/ns/pods/web/proxying", want: undefined },
    { path: "/api/v1/namespaces/ns/pods/ftp:web:21/proxy/", want: undefined },
    { path: "/api/v1/namespaces/ns/pods/%zz/proxy/", want: undefined },
  ];
  for (const { path, want } of rows) t.same(proxyRouteOf(path), want, path);
  t.end();
});

interface Answer {
  code: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

async function world(t: Test, authorize?: Authorizer) {
  const app = http.createServer((request, response) => {
    void (async () => {
      let body = "";
      for await (const chunk of request.setEncoding("utf8")) body += String(chunk);
      response.writeHead(request.url === "/missing" ? 404 : 200, { "x-app": "yes" });
      response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }));
    })();
  });
  app.listen(0, "127.0.0.1");
  await once(app, "listening");
  t.teardown(() => app.close());
  const appPort = (app.address() as AddressInfo).port;

  const { ca, cert, key } = await servingPair();
  const server = await startApiServer({
    file: ":memory:",
    addresses: [{ host: "127.0.0.1", port: 0 }],
    tls: { key, cert },
    authenticate: (bearer) => (bearer === "secret" ? { username: "tester", groups: [] } : undefined),
    ...(authorize === undefined ? {} : { authorize }),
    log: silentLogger,
  });
  t.teardown(() => server.close());
  const metadata = { name: "web", namespace: "default" };
  const ports = [{ name: "http", containerPort: appPort }];
  const pod = await server.client.create<Pod>(pods, {
    apiVersion: "v1",
    kind: "Pod",
    metadata,
    spec: { containers: [{ name: "app", image: "app", ports }] },
  });
  const ask = async (path: string, init: { method?: string; body?: string; token?: string } = {}): Promise<Answer> => {
    const request = https.request(`https://127.0.0.1:${server.ports[0]}/api/v1/namespaces/default/${path}`, {
      method: init.method ?? "GET",
      ca,
      agent: false,
      headers: { authorization: `Bearer ${init.token ?? "secret"}` },
    });
    request.end(init.body);
    const [response] = (await once(request, "response")) as [IncomingMessage];
    let text = "";
    for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
    return { code: response.statusCode ?? 0, headers: response.headers, text };
  };
  const running = (podIP: string): Promise<Pod> =>
    server.client.update(pods, { ...pod, status: { phase: "Running", podIP } }, { subresource: "status" });
  return { server, ask, appPort, running, metadata };
}

test("a request through the API server reaches the pod, with path, query, method and body", async (t) => {
  const { ask, running, appPort } = await world(t);
  const early = await ask(`pods/web/proxy/`);
  t.equal(early.code, 503, "no address yet");
  await running("127.0.0.1");
  const answer = await ask(`pods/web:${appPort}/proxy/a%2Fb?q=1`, { method: "POST", body: "hello" });
  t.equal(answer.code, 200);
  t.equal(answer.headers["x-app"], "yes");
  const seen = JSON.parse(answer.text) as {
    method: string;
    url: string;
    headers: Record<string, string>;
    body: string;
  };
  t.match(seen, { method: "POST", url: "/a%2Fb?q=1", body: "hello" });
  t.equal(seen.headers["authorization"], undefined, "the token stays here");
  t.equal((await ask(`pods/web:http/proxy/missing`)).code, 404, "by the port's name, and the app's own status");
  t.equal((await ask(`pods/web/proxy/`)).code, 200, "the first port where none is named");
});

test("a request to a service goes to a ready endpoint", async (t) => {
  const { ask, server, appPort, metadata } = await world(t);
  await server.client.create<Service>(services, {
    apiVersion: "v1",
    kind: "Service",
    metadata,
    spec: { ports: [{ name: "http", port: 80, targetPort: appPort }] },
  });
  const of = (ready: boolean): Endpoints => ({
    apiVersion: "v1",
    kind: "Endpoints",
    metadata,
    subsets: [
      {
        [ready ? "addresses" : "notReadyAddresses"]: [{ ip: "127.0.0.1" }],
        ports: [{ name: "http", port: appPort }],
      },
    ],
  });
  await server.client.create(endpoints, of(false));
  const none = await ask("services/web:80/proxy/");
  t.equal(none.code, 503);
  t.match(none.text, 'no endpoints available for service \\"web\\"');
  await server.client.update(endpoints, of(true));
  for (const name of ["web:80", "web:http", "web"]) t.equal((await ask(`services/${name}/proxy/`)).code, 200, name);
  t.equal((await ask("services/web:81/proxy/")).code, 503);
});

test("what cannot be proxied is answered as the API does", async (t) => {
  const denied: Authorizer = (_user, { subresource, verb }) => ({
    allowed: !(subresource === "proxy" && verb === "create"),
  });
  const { ask, running } = await world(t, denied);
  await running("127.0.0.1");
  t.equal((await ask("pods/nobody/proxy/")).code, 404);
  t.equal((await ask("pods/web:nope/proxy/")).code, 400);
  t.equal((await ask("pods/web/proxy/", { token: "wrong" })).code, 401);
  t.equal((await ask("pods/web/proxy/", { method: "POST" })).code, 403, "by verb");
  const refused = await ask("pods/web:1/proxy/");
  t.equal(refused.code, 503);
  t.match(refused.text, /error trying to reach .*127\.0\.0\.1:1/);
});
