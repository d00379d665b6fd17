/**
 * `/api/v1/namespaces/NS/pods/[http:|https:]NAME[:PORT]/proxy/PATH`, and the same for services through their ready
 * endpoints: the request goes on to the pod's address, bytes both ways as they come.
 */
import http, { type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import https from "node:https";
import { pipeline } from "node:stream/promises";
import type { Endpoints, Pod, Service } from "../../api/core.ts";
import { requirePermission, type Authorizer } from "./authorization.ts";
import { ownCall, type User } from "./call.ts";
import type { Rest } from "./rest.ts";
import { badRequest, unavailable, unknownPath } from "./status-error.ts";

export interface ProxyRoute {
  plural: "pods" | "services";
  namespace: string;
  scheme: "http" | "https";
  name: string;
  /** A number, or the name of one; "" where the request names none. */
  port: string;
  /** As received, with the query. */
  target: string;
}

const connectMs = 10_000;
/** A response may stream for as long as it likes, but not fall silent for longer. */
const silenceMs = 5 * 60_000;

const verbs: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  OPTIONS: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** Fields of one hop, and the token that was meant for this server. */
const notForwarded = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "authorization",
]);

/** Undefined for a path that is no proxied one. `url` is the request's target as received. */
export function proxyRouteOf(url: string): ProxyRoute | undefined {
  const match = /^\/api\/v1\/namespaces\/([^/?]+)\/(pods|services)\/([^/?]+)\/proxy(\/[^?]*)?(\?.*)?$/.exec(url);
  if (match === null) return undefined;
  const [, namespace, plural, named, path = "/", query = ""] = match;
  let parts: string[];
  let decodedNamespace: string;
  try {
    parts = decodeURIComponent(named!).split(":");
    decodedNamespace = decodeURIComponent(namespace!);
  } catch {
    return undefined;
  }
  const scheme = parts.length === 3 ? parts.shift()! : "http";
  const [name = "", port = "", ...more] = parts;
  if (more.length > 0 || name === "" || (scheme !== "http" && scheme !== "https" && scheme !== "")) return undefined;
  return {
    plural: plural as ProxyRoute["plural"],
    namespace: decodedNamespace,
    scheme: scheme === "https" ? "https" : "http",
    name,
    port,
    target: path + query,
  };
}

/** Throws ApiError: 403, 404 for an object that is not there, 400 for a port it does not have, 503 where nothing answers. */
export async function answerProxy(
  deps: { rest: Rest; authorize: Authorizer },
  asked: { request: IncomingMessage; response: ServerResponse; route: ProxyRoute; user: User },
): Promise<void> {
  const { request, response, route, user } = asked;
  const { plural, namespace, name } = route;
  const verb = verbs[request.method ?? ""];
  if (verb === undefined) throw unknownPath();
  requirePermission(deps.authorize, user, { verb, group: "", resource: plural, subresource: "proxy", namespace, name });
  const read = (of: string): unknown =>
    deps.rest.get(ownCall(user, deps.rest.kinds.find("", "v1", of)!, namespace, name));
  const upstream =
    plural === "pods"
      ? podAddress(read("pods") as Pod, route.port)
      : serviceAddress(read("services") as Service, () => read("endpoints") as Endpoints, route.port);
  await forward(request, response, route, upstream);
}

interface Address {
  host: string;
  port: number;
}

function podAddress({ metadata, spec, status }: Pod, asked: string): Address {
  const host = status?.podIP ?? "";
  if (host === "") throw unavailable(`pod ${JSON.stringify(metadata.name)} has no address yet`);
  const ports = spec.containers.flatMap((container) => container.ports ?? []);
  if (asked === "") return { host, port: ports[0]?.containerPort ?? 80 };
  const port = portNumber(asked) ?? ports.find((candidate) => candidate.name === asked)?.containerPort;
  if (port === undefined) throw badRequest(`pod ${JSON.stringify(metadata.name)} has no port ${JSON.stringify(asked)}`);
  return { host, port };
}

function serviceAddress({ metadata, spec }: Service, readEndpoints: () => Endpoints, asked: string): Address {
  const ports = spec.ports ?? [];
  const number = portNumber(asked);
  const wanted =
    asked === "" ? ports[0] : ports.find(({ name, port }) => (number === undefined ? name === asked : port === number));
  if (wanted === undefined)
    throw unavailable(`no service port ${JSON.stringify(asked)} found for service ${JSON.stringify(metadata.name)}`);
  const addresses = (readEndpoints().subsets ?? []).flatMap((subset) => {
    // The endpoints of a Service with one port may leave its name out.
    const port = subset.ports?.find(({ name }) => (name ?? "") === (wanted.name ?? ""))?.port;
    return port === undefined ? [] : (subset.addresses ?? []).map(({ ip }) => ({ host: ip, port }));
  });
  const chosen = addresses[Math.floor(Math.random() * addresses.length)];
  if (chosen === undefined) throw unavailable(`no endpoints available for service ${JSON.stringify(metadata.name)}`);
  return chosen;
}

function portNumber(text: string): number | undefined {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return number > 0 && number < 65_536 ? number : undefined;
}

function forward(
  request: IncomingMessage,
  response: ServerResponse,
  { scheme, target }: ProxyRoute,
  { host, port }: Address,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const options = {
    host,
    port,
    method: request.method,
    path: target,
    headers: headersOf(request.headers),
    agent: false,
  };
  // The certificates of pods are their own; nothing but the address says who they are.
  const upstream =
    scheme === "https" ? https.request({ ...options, rejectUnauthorized: false }) : http.request(options);
  const connecting = setTimeout(() => upstream.destroy(new Error(`no connection within ${connectMs} ms`)), connectMs);
  upstream.once("socket", (socket) =>
    socket.once(scheme === "https" ? "secureConnect" : "connect", () => clearTimeout(connecting)),
  );
  upstream.setTimeout(silenceMs, () => upstream.destroy(new Error(`silent for ${silenceMs} ms`)));
  upstream.once("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, headersOf(answer.headers));
    pipeline(answer, response).then(resolve, reject);
  });
  upstream.once("close", () => clearTimeout(connecting));
  upstream.once("error", (error) => {
    // What was sent cannot be taken back: the client sees a broken answer.
    if (response.headersSent) reject(error);
    else reject(unavailable(`error trying to reach ${JSON.stringify(`${host}:${port}`)}: ${error.message}`));
  });
  response.once("close", () => upstream.destroy());
  // Its failures are the upstream's own, told above.
  pipeline(request, upstream).catch(() => {});
  return promise;
}

function headersOf(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !notForwarded.has(name) && !named.has(name)),
  ) as IncomingHttpHeaders;
}
