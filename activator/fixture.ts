/** For tests: a real activator on free ports, with a fake API server, a fake autoscaler and fake pods around it. */
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type Server as HttpServer } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server, type ServerHttp2Stream } from "node:http2";
import { connect as connectSocket, type AddressInfo, type Server } from "node:net";
import { annotation, label, statsTokenSecret } from "../api/keys.ts";
import type { KubeObject } from "../api/meta.ts";
import { swellIngressClass, type IngressPath, type IngressSplit } from "../api/networking.ts";
import { FakeApiServer } from "../kube/fake-api-server.ts";
import { httpsClient } from "../kube/https-client.ts";
import { silentLogger } from "../process/logger.ts";
import { parseConfig } from "./config.ts";
import { FakeAutoscaler } from "./fake-autoscaler.ts";
import { start } from "./run.ts";

export const tokenKey = Buffer.from("0123456789abcdef0123456789abcdef");
export const paths = {
  revisions: "/apis/serving.knative.dev/v1/revisions",
  serverlessServices: "/apis/networking.internal.knative.dev/v1alpha1/serverlessservices",
  ingresses: "/apis/networking.internal.knative.dev/v1alpha1/ingresses",
  endpoints: "/api/v1/endpoints",
  services: "/api/v1/services",
  secrets: "/api/v1/secrets",
};

export interface Closable {
  teardown(fn: () => unknown): unknown;
}

export interface Answer {
  status: number;
  body: string;
  headers: IncomingMessage["headers"];
}

export async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

export interface FakePod {
  port: number;
  requests: number;
}

/** Stands for a pod: answers with its name and the head it saw. */
export async function fakePod(
  t: Closable,
  name: string,
  answer?: (request: IncomingMessage) => Promise<void>,
): Promise<FakePod & { server: HttpServer }> {
  const server = createServer((request, response) => {
    void (async () => {
      pod.requests += 1;
      await answer?.(request);
      response.setHeader("x-pod", name);
      response.end(JSON.stringify(request.headers));
    })();
  });
  const pod = { port: await listening(server), requests: 0, server };
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return pod;
}

/** A pod that speaks HTTP/2 without TLS and nothing else. */
export async function fakeHttp2Pod(
  t: Closable,
  serve: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void,
): Promise<number> {
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    serve(stream, headers);
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => undefined);
    session.once("close", () => sessions.delete(session));
  });
  t.teardown(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return listening(server);
}

const metadata = (name: string) => ({ name, namespace: "ns" });

export const revision = (name: string, spec: object = {}): KubeObject =>
  ({
    apiVersion: "serving.knative.dev/v1",
    kind: "Revision",
    metadata: metadata(name),
    spec: { containers: [{ name: "user-container" }], timeoutSeconds: 60, ...spec },
  }) as KubeObject;

export const mode = (name: string, to: "Serve" | "Proxy"): KubeObject =>
  ({
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "ServerlessService",
    metadata: metadata(name),
    spec: { mode: to },
  }) as KubeObject;

/** The private Endpoints of a revision. */
export const ready = (name: string, ...ports: number[]): KubeObject =>
  ({
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: {
      ...metadata(`${name}-private`),
      labels: { [label.serviceType]: "Private", [label.revision]: name },
    },
    subsets: ports.map((port) => ({ addresses: [{ ip: "127.0.0.1" }], ports: [{ name: "http", port }] })),
  }) as KubeObject;

/** A split to a revision. */
export const split = (name: string, percent: number, appendHeaders: Record<string, string> = {}): IngressSplit => ({
  serviceNamespace: "ns",
  serviceName: name,
  servicePort: 80,
  percent,
  appendHeaders: { "Knative-Serving-Revision": name, "Knative-Serving-Namespace": "ns", ...appendHeaders },
});

/** A split to a core Service. */
export const toService = (name: string, percent = 100, appendHeaders: Record<string, string> = {}): IngressSplit => ({
  serviceNamespace: "ns",
  serviceName: name,
  servicePort: 80,
  percent,
  appendHeaders,
});

export const ingress = (name: string, hosts: string[], path: Partial<IngressPath>, spec: object = {}): KubeObject =>
  ({
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "Ingress",
    metadata: { ...metadata(name), annotations: { [annotation.ingressClass]: swellIngressClass } },
    spec: { rules: [{ hosts, http: { paths: [{ splits: [split("r", 100)], ...path }] } }], ...spec },
  }) as KubeObject;

/** A core Service and its Endpoints. */
export function coreService(
  name: string,
  at: number[],
  port: { name?: string; appProtocol?: string } = { name: "http" },
): [string, KubeObject][] {
  const ports = [{ port: 80, ...port }];
  const named = port.name === undefined ? {} : { name: port.name };
  const subsets = at.map((port) => ({ addresses: [{ ip: "127.0.0.1" }], ports: [{ ...named, port }] }));
  return [
    [paths.services, { apiVersion: "v1", kind: "Service", metadata: metadata(name), spec: { ports } } as KubeObject],
    [paths.endpoints, { apiVersion: "v1", kind: "Endpoints", metadata: metadata(name), subsets } as KubeObject],
  ];
}

export function request(
  port: number,
  headers: Record<string, string>,
  path = "/",
  options: { method?: string; body?: string; signal?: AbortSignal } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { body, ...rest } = options;
    const outgoing = httpRequest({ host: "127.0.0.1", port, path, headers, agent: false, ...rest }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }));
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** An HTTP/2 connection without TLS, by prior knowledge. */
export function http2Client(t: Closable, port: number, authority: string): ReturnType<typeof connectHttp2> {
  const session = connectHttp2(`http://${authority}`, { createConnection: () => connectSocket(port) });
  session.on("error", () => undefined);
  t.teardown(() => session.destroy());
  return session;
}

/** For what no event announces. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

export interface SetUpOptions {
  env?: Record<string, string>;
  autoscaler?: FakeAutoscaler;
  api?: FakeApiServer;
}

export async function setUp(t: Closable, objects: [string, KubeObject][] = [], options: SetUpOptions = {}) {
  const api = options.api ?? new FakeApiServer();
  if (options.api === undefined) await api.start();
  const autoscaler = options.autoscaler ?? new FakeAutoscaler();
  if (options.autoscaler === undefined) await autoscaler.start();
  api.put(paths.secrets, {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: statsTokenSecret, namespace: "knative-serving" },
    data: { key: tokenKey.toString("base64") },
  } as KubeObject);
  api.put(paths.revisions, revision("r"));
  api.put(paths.ingresses, ingress("i", ["app.example.com"], {}));
  for (const [path, object] of objects) api.put(path, object);
  const client = httpsClient({ server: api.url, userAgent: "test" });
  const config = parseConfig({
    POD_NAME: "activator-1",
    POD_IP: "10.0.0.1",
    SWELL_BIND_ADDRESS: "127.0.0.1",
    SWELL_AUTOSCALER_ADDRESS: `127.0.0.1:${autoscaler.port}`,
    CLUSTER_DOMAIN: "cluster.local",
    GATEWAY_PORT: "0",
    GATEWAY_INTERNAL_PORT: "0",
    GATEWAY_TLS_PORT: "0",
    GATEWAY_INTERNAL_TLS_PORT: "0",
    ACTIVATOR_PORT: "0",
    ACTIVATOR_H2C_PORT: "0",
    ACTIVATOR_TLS_PORT: "0",
    METRICS_PORT: "0",
    DRAIN_MS: "0",
    IN_FLIGHT_GRACE_MS: "5000",
    PROBE_FREQUENCY: "10ms",
    ...options.env,
  });
  const stop = new AbortController();
  const running = await start(config, client, silentLogger, stop.signal);
  t.teardown(async () => {
    stop.abort();
    await running.finished;
    await client.close();
    if (options.autoscaler === undefined) autoscaler.server.forceShutdown();
    if (options.api === undefined) await api.stop();
  });
  const { ports } = running;
  return {
    api,
    autoscaler,
    gateway: ports.gatewayPublic[0]!,
    internal: ports.gatewayInternal[0]!,
    gatewayTls: ports.gatewayPublicTls[0]!,
    internalTls: ports.gatewayInternalTls[0]!,
    activator: ports.activator[0]!,
    activatorTls: ports.activatorTls[0],
    metrics: ports.metrics,
    send: request,
    entry: (name = "r") => running.directory.get("ns", name)!,
    stop,
    running,
  };
}
