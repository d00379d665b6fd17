/** tls and httpoption of Knative's ingress conformance list (data-plane 3.6), and certificates that change. */
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { connect, type ConnectionOptions } from "node:tls";
import { test } from "tap";
import type { KubeObject } from "../../api/meta.ts";
import { coreService, fakePod, http2Client, ingress, paths, setUp, toService, type Answer } from "../fixture.ts";
import { selfSigned, tlsSecret } from "./certificate-fixture.ts";

const host = "tls.example.com";
const withTls = (name: string, hosts: string[], secretName: string, spec: object = {}): KubeObject =>
  ingress(name, hosts, { splits: [toService("a")] }, { tls: [{ hosts, secretName, secretNamespace: "ns" }], ...spec });

function sendTls(port: number, servername: string, ca: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { host: servername };
    const outgoing = request({ host: "127.0.0.1", port, servername, ca, headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

/** The names of the certificate that is shown. */
async function shown(port: number, servername: string, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false, ...options });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerX509Certificate()?.subjectAltName ?? "";
  } catch (error) {
    return (error as Error).message;
  } finally {
    socket.destroy();
  }
}

test("tls: the same host over http and https, in HTTP/1.1 and HTTP/2, with the certificate of its Secret", async (t) => {
  const pair = await selfSigned([host]);
  const pod = await fakePod(t, "a");
  const { gateway, gatewayTls, internalTls, send } = await setUp(t, [
    ...coreService("a", [pod.port]),
    [paths.secrets, tlsSecret("cert", pair)],
    [paths.ingresses, withTls("tls", [host], "cert")],
  ]);
  t.match(JSON.parse((await send(gateway, { host })).body), { "x-forwarded-proto": "http" });
  for (const port of [gatewayTls, internalTls]) {
    const answer = await sendTls(port, host, pair.cert);
    t.equal(answer.status, 200);
    t.match(JSON.parse(answer.body), { "x-forwarded-proto": "https", host });
  }
  const session = connectHttp2(`https://${host}`, {
    createConnection: () =>
      connect({ host: "127.0.0.1", port: gatewayTls, servername: host, ca: pair.cert, ALPNProtocols: ["h2"] }),
  });
  const stream = session.request({ ":path": "/" });
  const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
  t.match(headers, { ":status": 200, "x-pod": "a" });
  session.destroy();
});

test("httpoption: Enabled serves plain HTTP, Redirected sends it to https, outside only", async (t) => {
  const pair = await selfSigned([host, "open.example.com"]);
  const pod = await fakePod(t, "a");
  const { gateway, gatewayTls, internal, send } = await setUp(t, [
    ...coreService("a", [pod.port]),
    [paths.secrets, tlsSecret("cert", pair)],
    [paths.ingresses, withTls("redirected", [host], "cert", { httpOption: "Redirected" })],
    [paths.ingresses, withTls("enabled", ["open.example.com"], "cert", { httpOption: "Enabled" })],
  ]);
  t.match(await send(gateway, { host: `${host}:80` }, "/a?b=c"), {
    status: 301,
    headers: { location: `https://${host}/a?b=c` },
  });
  const plainHttp2 = http2Client(t, gateway, host).request({ ":path": "/a" });
  const [moved] = (await once(plainHttp2, "response")) as [Record<string, unknown>];
  t.match(moved, { ":status": 301 }, "HTTP/2 without TLS is plain HTTP too");
  t.equal((await send(internal, { host })).status, 200);
  t.equal((await send(gateway, { host: "open.example.com" })).status, 200);
  for (const each of [host, "open.example.com"]) t.equal((await sendTls(gatewayTls, each, pair.cert)).status, 200);
});

test("certificates are chosen by name, change with their Secret, and a broken one changes nothing", async (t) => {
  const pod = await fakePod(t, "a");
  const { api, gatewayTls } = await setUp(t, [
    ...coreService("a", [pod.port]),
    [paths.secrets, tlsSecret("one", await selfSigned(["one.example.com"]))],
    [paths.ingresses, withTls("one", ["one.example.com"], "one")],
    [paths.ingresses, withTls("two", ["two.example.com"], "two")],
  ]);
  t.equal(await shown(gatewayTls, "one.example.com"), "DNS:one.example.com");
  t.not(await shown(gatewayTls, "two.example.com"), "DNS:two.example.com", "its Secret is not there yet");
  t.not(await shown(gatewayTls, "nobody.example.com"), "DNS:one.example.com", "no name, no certificate");

  const becomes = async (name: string, want: string): Promise<void> => {
    while ((await shown(gatewayTls, name)) !== want) await new Promise((resolve) => setImmediate(resolve));
  };
  api.put(paths.secrets, tlsSecret("two", await selfSigned(["two.example.com"])));
  await becomes("two.example.com", "DNS:two.example.com");
  const renewed = await selfSigned(["one.example.com", "renewed"]);
  api.put(paths.secrets, tlsSecret("one", renewed));
  await becomes("one.example.com", "DNS:one.example.com, DNS:renewed");

  const other = await selfSigned(["one.example.com", "broken"]);
  api.put(paths.secrets, tlsSecret("one", { cert: other.cert, key: renewed.key }));
  // The watch brings changes in order: once this one is in force the broken one was seen.
  api.put(paths.secrets, tlsSecret("two", await selfSigned(["two.example.com", "later"])));
  await becomes("two.example.com", "DNS:two.example.com, DNS:later");
  t.equal(await shown(gatewayTls, "one.example.com"), "DNS:one.example.com, DNS:renewed");
});

test("an ingress cannot bring a certificate for hosts that are not its own", async (t) => {
  const mine = await selfSigned(["victim.example.com"]);
  const { gatewayTls } = await setUp(t, [
    [paths.secrets, tlsSecret("mine", mine)],
    [paths.ingresses, ingress("victim", ["victim.example.com"], {})],
    [
      paths.ingresses,
      ingress(
        "thief",
        ["thief.example.com"],
        {},
        { tls: [{ hosts: ["victim.example.com"], secretName: "mine", secretNamespace: "ns" }] },
      ),
    ],
  ]);
  t.not(await shown(gatewayTls, "victim.example.com"), "DNS:victim.example.com");
});

test("TLS 1.2 is spoken, 1.1 is not", async (t) => {
  const { gatewayTls } = await setUp(t, [
    [paths.secrets, tlsSecret("one", await selfSigned(["one.example.com"]))],
    [paths.ingresses, withTls("one", ["one.example.com"], "one")],
  ]);
  const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1" } as const;
  t.equal(await shown(gatewayTls, "one.example.com", { maxVersion: "TLSv1.2" }), "DNS:one.example.com");
  t.not(await shown(gatewayTls, "one.example.com", old), "DNS:one.example.com");
});
