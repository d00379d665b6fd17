/** system-internal-tls: what the activator asks of sidecars, and what it shows to other ingresses (data-plane 2.10). */
import { createServer as createPlainServer } from "node:http";
import { createServer, request as httpsRequest } from "node:https";
import { test } from "tap";
import { isInternalTls } from "../api/internal-tls.ts";
import type { KubeObject } from "../api/meta.ts";
import { FakeApiServer } from "../kube/fake-api-server.ts";
import { httpsClient } from "../kube/https-client.ts";
import { authorityCertificate, newKey, serverCertificate, type KeyPair } from "../process/certificate-authority.ts";
import { silentLogger } from "../process/logger.ts";
import { type Closable, listening, mode, paths, ready, setUp, type Answer } from "./fixture.ts";
import { InternalTls } from "./internal-tls.ts";

const validity = { nowMs: Date.now(), days: 1 };
const serverName = "data-plane.knative.dev";
const serverlessServicesPath = "/apis/networking.internal.knative.dev/v1alpha1/serverlessservices";
const configMapsPath = "/api/v1/configmaps";
const system = "knative-serving";
const host = "app.example.com";

async function authority(): Promise<KeyPair> {
  const key = newKey();
  return { key, cert: await authorityCertificate(key, "CN=test-ca", validity) };
}
async function pairOf(ca: KeyPair, name: string): Promise<KeyPair> {
  const key = newKey();
  const subject = { name: `CN=${name}`, dnsNames: [name, serverName] };
  return { key, cert: await serverCertificate(ca, key, subject, validity) };
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const configMap = (name: string, data: Record<string, string>, labels: Record<string, string> = {}): KubeObject =>
  ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: system, labels }, data }) as KubeObject;
const network = (data: Record<string, string>): [string, KubeObject] => [
  configMapsPath,
  configMap("config-network", data),
];
const enabled = network({ "system-internal-tls": "Enabled" });
const bundle = (ca: string): [string, KubeObject] => [
  configMapsPath,
  configMap("bundle", { "ca.pem": ca }, { "networking.knative.dev/trust-bundle": "" }),
];
const routing = ({ cert, key }: KeyPair, ca?: string): [string, KubeObject] => [
  paths.secrets,
  {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "routing-serving-certs", namespace: system },
    data: {
      "tls.crt": base64(cert),
      "tls.key": base64(key),
      ...(ca === undefined ? {} : { "ca.crt": base64(ca) }),
    },
  } as KubeObject,
];

async function tlsPod(t: Closable, { cert, key }: KeyPair): Promise<number> {
  const server = createServer({ cert, key, minVersion: "TLSv1.3" }, (incoming, outgoing) => {
    outgoing.end(`${incoming.headers.host} over TLS`);
  });
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return listening(server);
}

/** Probes go to the plain port, as ever; a request that came there would be answered "queue". */
async function startWith(t: Closable, podPort: number, objects: [string, KubeObject][]) {
  const plain = createPlainServer((_incoming, outgoing) => outgoing.end("queue"));
  t.teardown(() => {
    plain.closeAllConnections();
    plain.close();
  });
  const endpoints = ready("r", await listening(plain));
  return setUp(t, [[paths.endpoints, endpoints], [serverlessServicesPath, mode("r", "Serve")], ...objects], {
    env: { POD_TLS_PORT: String(podPort) },
  });
}

test("a sidecar that proves whose it is gets the request", async (t) => {
  const ca = await authority();
  const podPort = await tlsPod(t, await pairOf(ca, "kn-user-ns"));
  const routingPair = await pairOf(ca, "kn-routing");
  for (const [name, trust] of [
    ["by the CA of the Secret", [routing(routingPair, ca.cert)]],
    [
      "by a trust bundle",
      [
        routing(routingPair),
        bundle(`nonsense\n${ca.cert}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`),
      ],
    ],
  ] as [string, [string, KubeObject][]][]) {
    const { gateway, send } = await startWith(t, podPort, [enabled, ...trust]);
    t.match(await send(gateway, { host }), { status: 200, body: `${host} over TLS` }, name);
  }
});

test("one that proves anything else does not", async (t) => {
  const [ca, other] = await Promise.all([authority(), authority()]);
  const routingPair = await pairOf(ca, "kn-routing");
  const cases: [string, KeyPair, [string, KubeObject][]][] = [
    ["another namespace's", await pairOf(ca, "kn-user-elsewhere"), [routing(routingPair, ca.cert)]],
    ["the activator's own", routingPair, [routing(routingPair, ca.cert)]],
    ["a stranger's", await pairOf(other, "kn-user-ns"), [routing(routingPair, ca.cert)]],
    ["nobody is trusted", await pairOf(ca, "kn-user-ns"), [routing(routingPair)]],
  ];
  for (const [name, pair, trust] of cases) {
    const { gateway, send } = await startWith(t, await tlsPod(t, pair), [enabled, ...trust]);
    t.equal((await send(gateway, { host })).status, 502, name);
  }
});

test("what is trusted may change at any time", async (t) => {
  const [ca, next] = await Promise.all([authority(), authority()]);
  const podPort = await tlsPod(t, await pairOf(next, "kn-user-ns"));
  const { gateway, send, api } = await startWith(t, podPort, [
    enabled,
    routing(await pairOf(ca, "kn-routing"), ca.cert),
  ]);
  t.equal((await send(gateway, { host })).status, 502);
  api.put(...bundle(next.cert));
  // The event is on its way: a request that comes before it is refused as the first was.
  let answer = await send(gateway, { host });
  for (let tries = 0; answer.status === 502 && tries < 1000; tries += 1) answer = await send(gateway, { host });
  t.equal(answer.status, 200);
});

function viaTls(port: number, ca: string, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, ca, servername: serverName, minVersion: "TLSv1.3", headers } as const;
    const outgoing = httpsRequest({ ...options, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
    });
    outgoing.on("error", reject);
    outgoing.end();
  });
}

test("other ingresses reach the activator over TLS, and it proves who it is", async (t) => {
  const ca = await authority();
  const podPort = await tlsPod(t, await pairOf(ca, "kn-user-ns"));
  const { activatorTls } = await startWith(t, podPort, [enabled, routing(await pairOf(ca, "kn-routing"), ca.cert)]);
  const answer = await viaTls(activatorTls!, ca.cert, {
    host,
    "Knative-Serving-Revision": "r",
    "Knative-Serving-Namespace": "ns",
  });
  t.match(answer, { status: 200, body: `${host} over TLS` });
  await t.rejects(viaTls(activatorTls!, (await authority()).cert, { host }));
});

test("while it is off nobody speaks TLS", async (t) => {
  const ca = await authority();
  const { activatorTls, running } = await startWith(t, 9, [
    network({ "system-internal-tls": "Disabled", "internal-encryption": "true" }),
    routing(await pairOf(ca, "kn-routing"), ca.cert),
  ]);
  t.equal(activatorTls, undefined);
  t.same(running.ports.activatorTls, []);
});

test("it does not start without a certificate: plain text is not what was asked for", async (t) => {
  const api = new FakeApiServer();
  await api.start();
  const client = httpsClient({ server: api.url, userAgent: "test" });
  const stop = new AbortController();
  t.teardown(async () => {
    stop.abort();
    await client.close();
    await api.stop();
  });
  api.put(...enabled);
  const tls = new InternalTls({ client, systemNamespace: system, log: silentLogger, onPair: () => {} });
  await t.rejects(tls.start(stop.signal), {
    message: "system-internal-tls is enabled, and Secret knative-serving/routing-serving-certs has no certificate",
  });
});

test("how it is switched on", async (t) => {
  const cases: [string, Record<string, string> | undefined, boolean][] = [
    ["nothing set", undefined, false],
    ["enabled, whatever the case", { "system-internal-tls": " ENABLED" }, true],
    ["anything else", { "system-internal-tls": "yes" }, false],
    ["the older key", { "internal-encryption": "true" }, true],
    ["the newer key wins", { "system-internal-tls": "disabled", "internal-encryption": "true" }, false],
  ];
  for (const [name, data, want] of cases) t.equal(isInternalTls(data), want, name);
});
