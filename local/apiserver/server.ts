/** The API server on HTTPS: who asks, what for, and the answer. */
import { createServer, type Server } from "node:https";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { KubeObject } from "../../api/meta.ts";
import { ApiError, type KubeClient } from "../../kube/client.ts";
import type { Logger } from "../../process/logger.ts";
import { allowEveryone, pathAttributes, requirePermission, type Authorizer } from "./authorization.ts";
import type { User } from "./call.ts";
import { group, resourceList } from "./discovery.ts";
import { answerDocument, isPublic } from "./documents.ts";
import { impersonated } from "./impersonation.ts";
import { inProcessClient } from "./in-process-client.ts";
import { createKindRegistry } from "./kinds/index.ts";
import { decodeBody } from "./negotiation.ts";
import type { PodBackend } from "./pod-logs.ts";
import { podUpgrades } from "./pod-upgrade.ts";
import { answerProxy, proxyRouteOf } from "./pod-proxy.ts";
import { requireHeld } from "./rbac-escalation.ts";
import { createDefaultRoles } from "./rbac-defaults.ts";
import { createRbac, type Rbac } from "./rbac.ts";
import { answerResource } from "./resource-request.ts";
import { sendBody } from "./response-body.ts";
import { createRest, type Rest } from "./rest.ts";
import { answerReview, reviewKind } from "./reviews.ts";
import { routeOf, type Route } from "./routes.ts";
import type { IssueToken } from "./token-request.ts";
import { internal, methodNotAllowed, tooLarge, unauthorized, unknownPath } from "./status-error.ts";

export type { User } from "./call.ts";
export type { PodBackend } from "./pod-logs.ts";

export interface ApiServerOptions {
  /** SQLite file, made where it is missing. */
  file: string;
  /** Port 0 picks a free one. */
  addresses: { host: string; port: number }[];
  /** PEM. */
  tls: { cert: string; key: string };
  /** Who the bearer token belongs to. */
  authenticate: (bearer: string) => User | undefined;
  /** `rbac` makes the roles that every cluster has and asks what is stored. Default: whoever is known may do everything. */
  authorize?: Authorizer | "rbac";
  pods?: PodBackend;
  /** Default: nobody gets a token from the server. */
  issueToken?: IssueToken;
  log: Logger;
}

export interface ApiServer {
  /** In this process, as `system:admin`. */
  client: KubeClient;
  /** The same without webhooks: they answer from pods that need what it writes. */
  installer: KubeClient;
  /** Of `addresses`, in order. */
  ports: number[];
  setPodBackend(backend: PodBackend): void;
  /** Ends every connection, watches too, and closes the store. */
  close(): Promise<void>;
}

const admin: User = { username: "system:admin", groups: ["system:masters", "system:authenticated"] };
const mostBodyBytes = 3 * 1024 * 1024;
/** What one answer may carry of warnings. */
const mostWarningChars = 4096;

export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { authenticate, log } = options;
  let pods = options.pods;
  let rbac: Rbac | undefined;
  const rest = await createRest({
    file: options.file,
    kinds: createKindRegistry(),
    log,
    guard: (...write) => {
      if (rbac !== undefined) requireHeld({ store: rest.store, rbac }, ...write);
    },
  });
  if (options.authorize === "rbac") rbac = createRbac(rest.store);
  if (rbac !== undefined) await createDefaultRoles(rest);
  const authorize = rbac?.authorize ?? (typeof options.authorize === "function" ? options.authorize : allowEveryone);
  const handle = requestHandler({
    rest,
    authenticate,
    authorize,
    rulesFor: rbac?.rulesFor,
    pods: () => pods,
    issueToken: options.issueToken,
    log,
  });
  const identify = (request: IncomingMessage): User | undefined => userOf(request, { authenticate, authorize });
  const upgrades = podUpgrades({ rest, authorize, identify, pods: () => pods, log });
  const servers: Server[] = [];
  const ports: number[] = [];
  try {
    for (const { host, port } of options.addresses) {
      const server = createServer({ ...options.tls, ALPNProtocols: ["http/1.1"], keepAliveTimeout: 120_000 }, handle);
      server.on("upgrade", upgrades.handle);
      servers.push(server);
      // The second address of a cluster takes the port that the first one got.
      server.listen({ host, port: port === 0 ? (ports[0] ?? 0) : port });
      await once(server, "listening");
      ports.push((server.address() as AddressInfo).port);
    }
  } catch (error) {
    for (const server of servers) server.close();
    await rest.close();
    throw error;
  }
  return {
    client: inProcessClient(rest, admin),
    installer: inProcessClient(rest, admin, { unasked: true }),
    ports,
    setPodBackend(backend) {
      pods = backend;
    },
    async close() {
      upgrades.close();
      await Promise.all(
        servers.map(async (server) => {
          const closed = once(server, "close");
          server.close();
          server.closeAllConnections();
          await closed;
        }),
      );
      await rest.close();
    },
  };
}

interface HandlerDeps {
  rest: Rest;
  authenticate: (bearer: string) => User | undefined;
  authorize: Authorizer;
  rulesFor: Rbac["rulesFor"] | undefined;
  pods: () => PodBackend | undefined;
  issueToken: IssueToken | undefined;
  log: Logger;
}

export function requestHandler(deps: HandlerDeps): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    answer(deps, request, response).catch((error: unknown) => answerError(deps.log, request, response, error));
  };
}

async function answer(deps: HandlerDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { rest, authorize } = deps;
  const url = new URL(request.url ?? "/", "https://localhost");
  const route = routeOf(url.pathname);
  const user = userOf(request, deps);
  const proxied = user === undefined ? undefined : proxyRouteOf(request.url ?? "/");
  if (user !== undefined && proxied !== undefined)
    return answerProxy(deps, { request, response, route: proxied, user });
  if (user === undefined && !(route?.is === "document" && isPublic(route.path))) throw unauthorized();
  if (route === undefined) throw unknownPath();
  const json = (code: number, body: object): void => sendJson(request, response, code, body, rest.store.jsonOf(body));

  if (user === undefined || route.is !== "resource") {
    if (user !== undefined && !(route.is === "document" && isPublic(route.path)))
      requirePermission(authorize, user, pathAttributes(pathVerb(request.method), url.pathname));
    if (request.method !== "GET" && request.method !== "HEAD") throw methodNotAllowed();
    return answerDiscovery(deps, request, response, route);
  }
  const { group: ofGroup, version, plural } = route;
  let bytes: Promise<Buffer> | undefined;
  const readBody = (): Promise<Buffer> => (bytes ??= bodyOf(request));
  const review = reviewKind(ofGroup, version, plural);
  if (review !== undefined) {
    requirePermission(authorize, user, {
      verb: request.method === "POST" ? "create" : pathVerb(request.method),
      group: ofGroup,
      resource: plural,
      subresource: "",
      namespace: route.namespace,
      name: "",
    });
    if (request.method !== "POST") throw methodNotAllowed();
    const body = decodeBody(await readBody(), request.headers["content-type"]) as KubeObject;
    return json(201, answerReview(review, body, { ...deps, user, namespace: route.namespace }));
  }
  const kind = rest.kinds.find(ofGroup, version, plural);
  if (kind === undefined) throw unknownPath();
  const warn = warningsOf(response);
  await answerResource(deps, {
    request,
    response,
    route,
    kind,
    query: url.searchParams,
    user,
    readBody,
    answer: json,
    warn,
  });
}

function answerDiscovery(
  { rest }: HandlerDeps,
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
): void {
  if (route.is === "document") return answerDocument(rest, request, response, route.path);
  const found =
    route.is === "group"
      ? group(rest.kinds, route.group)
      : route.is === "resources"
        ? resourceList(rest.kinds, route.group, route.version)
        : undefined;
  if (found === undefined) throw unknownPath();
  sendJson(request, response, 200, found);
}

/** Whose request it is; undefined for nobody's. Throws ApiError 403 where a user may not act as another one. */
function userOf(
  request: IncomingMessage,
  { authenticate, authorize }: Pick<HandlerDeps, "authenticate" | "authorize">,
): User | undefined {
  const match = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "");
  const user = match === null ? undefined : authenticate(match[1]!.trim());
  return user && impersonated(user, request.headers, request.headersDistinct, authorize);
}

/** How a role calls a method on a path that is no resource. */
const pathVerb = (method = ""): string => method.toLowerCase();

/** Listens for itself: an iterator over the stream costs more than all but the largest bodies. */
function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const gone = (): void => reject(new Error("the client went away"));
  if (request.destroyed) gone();
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= mostBodyBytes) chunks.push(chunk);
    else {
      request.pause();
      reject(tooLarge(mostBodyBytes));
    }
  });
  request.once("end", () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
  request.once("error", reject);
  request.once("close", gone);
  return promise;
}

function sendJson(
  request: IncomingMessage,
  response: ServerResponse,
  code: number,
  body: object,
  text = JSON.stringify(body),
): void {
  sendBody(request, response, code, { "content-type": "application/json" }, text);
}

/** Header lines that kubectl prints as `Warning: …`. */
function warningsOf(response: ServerResponse): (text: string) => void {
  const lines: string[] = [];
  let chars = 0;
  return (text) => {
    const line = text.replace(/\p{Cc}+/gu, " ").trim();
    chars += line.length;
    if (response.headersSent || chars > mostWarningChars) return;
    // A header carries bytes: UTF-8, told as Latin-1.
    lines.push(`299 - "${Buffer.from(line.replace(/[\\"]/g, "\\$&")).toString("latin1")}"`);
    response.setHeader("warning", lines);
  };
}

function answerError(log: Logger, request: IncomingMessage, response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const failure = error instanceof ApiError ? error : internal((error as Error).message);
  if (!(error instanceof ApiError))
    log.error({ err: error, method: request.method, url: request.url }, "request failed");
  if (failure.code === 401) response.setHeader("www-authenticate", 'Bearer realm="kubernetes"');
  // What was not read of the body would be taken for the next request.
  if (!request.complete) response.setHeader("connection", "close");
  const { retryAfterSeconds } = failure.status.details ?? {};
  if (retryAfterSeconds !== undefined) response.setHeader("retry-after", String(retryAfterSeconds));
  sendJson(request, response, failure.code, failure.status);
}
