import { createServer } from "node:http";
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { test } from "tap";
import { authorityCertificate, newKey, serverCertificate, type KeyPair } from "../process/certificate-authority.ts";
import type { Upstream, UpstreamError, UpstreamTls } from "./exchange.ts";
import { type Closable, get, raw, startProxy, startServer } from "./fixture.ts";

const validity = { nowMs: Date.now(), days: 1 };
const serverName = "data-plane.knative.dev";

async function authority(): Promise<KeyPair> {
  const key = newKey();
  return { key, cert: await authorityCertificate(key, "CN=test-ca", validity) };
}

/** Speaks both protocols, as a sidecar does; says which. */
async function startTlsApp(
  t: Closable,
  ca: KeyPair,
  name: string,
): Promise<{ port: number; connections: () => number }> {
  const key = newKey();
  const cert = await serverCertificate(ca, key, { name: `CN=${name}`, dnsNames: [name, serverName] }, validity);
  const answer = async (request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> => {
    let body = "";
    for await (const chunk of request) body += String(chunk);
    response.end(`${request.httpVersion} ${request.url} ${body}`);
  };
  const app = createSecureServer(
    { key, cert, allowHTTP1: true },
    (request, response) => void answer(request, response),
  );
  let connections = 0;
  app.on("secureConnection", () => (connections += 1));
  return { port: await startServer(t, app), connections: () => connections };
}

const trusting = (ca: () => KeyPair, name: string): UpstreamTls => ({
  id: name,
  connectOptions: () => ({
    ca: ca().cert,
    servername: serverName,
    minVersion: "TLSv1.3",
    checkServerIdentity: (_host, { subjectaltname = "" }) =>
      subjectaltname.split(", ").includes(`DNS:${name}`) ? undefined : new Error(`not ${name}`),
  }),
});

function proxyTo(t: Closable, upstream: () => Upstream): Promise<number> {
  return startProxy(t, async (exchange) => {
    await exchange
      .forward(upstream())
      .catch((error: UpstreamError) => exchange.answer(502, `${error.retriable} ${error.message}`));
  });
}
const post = (body: string): string => get("/path", `Content-Length: ${body.length}\r\n`).replace("GET", "POST") + body;
const bodyOf = (answer: string): string => answer.split("\r\n\r\n")[1] ?? "";

for (const protocol of ["http1", "h2c"] as const)
  test(`an upstream that is asked to prove who it is, ${protocol}`, async (t) => {
    const ca = await authority();
    const app = await startTlsApp(t, ca, "kn-user-a");
    const version = protocol === "http1" ? "1.1" : "2.0";
    const host = "127.0.0.1";

    await t.test("the right one gets the request, body and all, and its connection is kept", async (t) => {
      const tls = trusting(() => ca, "kn-user-a");
      const port = await proxyTo(t, () => ({ host, port: app.port, protocol, tls }));
      for (const body of ["one", "", "a".repeat(100_000)]) {
        const answer = bodyOf(await raw(port, post(body)));
        t.ok(answer.includes(`${version} /path ${body.slice(0, 1000)}`), `${body.length} bytes`);
      }
      t.ok(app.connections() < 3, "not one per request");
    });
    await t.test("one of another namespace gets nothing", async (t) => {
      const tls = trusting(() => ca, "kn-user-b");
      const port = await proxyTo(t, () => ({ host, port: app.port, protocol, tls }));
      t.match(bodyOf(await raw(port, get("/"))), /^true .*not kn-user-b/u, "and the request may go to another");
    });
    await t.test("nor one that a stranger signed, until the stranger is trusted", async (t) => {
      let trusted = await authority();
      const tls = trusting(() => trusted, "kn-user-a");
      const port = await proxyTo(t, () => ({ host, port: app.port, protocol, tls: { ...tls, id: "fresh" } }));
      t.match(await raw(port, get("/")), /^HTTP\/1\.1 502 /u);
      trusted = ca;
      t.match(bodyOf(await raw(port, get("/now"))), `${version} /now`);
    });
    await t.test("connections are not shared by those who ask for different proof", async (t) => {
      const [right, wrong] = ["kn-user-a", "kn-user-b"].map((name) => trusting(() => ca, name));
      let tls = right;
      const port = await proxyTo(t, () => ({ host, port: app.port, protocol, tls }));
      t.match(await raw(port, get("/")), /^HTTP\/1\.1 200 /u);
      tls = wrong;
      t.match(await raw(port, get("/")), /^HTTP\/1\.1 502 /u);
    });
  });

test("what does not speak TLS is not spoken to in plain text", async (t) => {
  const ca = await authority();
  let heard = 0;
  const port = await startServer(
    t,
    createServer(() => (heard += 1)),
  );
  const tls = trusting(() => ca, "kn-user-a");
  for (const protocol of ["http1", "h2c"] as const) {
    const proxy = await proxyTo(t, () => ({ host: "127.0.0.1", port, protocol, tls }));
    t.match(await raw(proxy, get("/")), /^HTTP\/1\.1 502 /u, protocol);
  }
  t.equal(heard, 0);
});
