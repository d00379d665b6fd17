/** Requests that become streams into a pod: exec, attach and port-forward. */
import { STATUS_CODES, type IncomingMessage } from "node:http";
import { Readable, type Duplex } from "node:stream";
import type { Pod } from "../../api/core.ts";
import { ApiError } from "../../kube/client.ts";
import type { Logger } from "../../process/logger.ts";
import { requirePermission, type Authorizer } from "./authorization.ts";
import { ownCall, type User } from "./call.ts";
import { containerOf, type PodBackend } from "./pod-logs.ts";
import { forwardProtocol, portForward, tunnelProtocol } from "./port-forward.ts";
import {
  commandProtocols,
  serveCommand,
  spdyCommand,
  spdyCommandProtocol,
  webSocketCommand,
  type CommandOptions,
  type RunningCommand,
} from "./remote-command.ts";
import type { Rest } from "./rest.ts";
import { routeOf } from "./routes.ts";
import { serveSpdy, type SpdyStream } from "./spdy.ts";
import { badRequest, internal, methodNotAllowed, unauthorized, unavailable, unknownPath } from "./status-error.ts";
import { acceptWebSocket, isWebSocket, offeredProtocols, webSocketStream } from "./websocket.ts";

export const streamedSubresources: ReadonlySet<string> = new Set(["exec", "attach", "portforward"]);

export interface UpgradeDeps {
  rest: Rest;
  authorize: Authorizer;
  identify: (request: IncomingMessage) => User | undefined;
  pods: () => PodBackend | undefined;
  log: Logger;
}

/** Nothing at all is sent for so long: nobody is there any more. */
const idleMs = 4 * 60 * 60_000;

export interface Upgrades {
  /** Of a server's `upgrade` event. */
  handle: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** Ends every stream. */
  close: () => void;
}

export function podUpgrades(deps: UpgradeDeps): Upgrades {
  const open = new Set<Duplex>();
  return {
    handle(request, socket, head) {
      open.add(socket);
      socket.once("close", () => open.delete(socket));
      socket.on("error", () => {}); // a connection that breaks ends what it carries
      upgrade(deps, request, socket, head).catch((error: unknown) => {
        if (!(error instanceof ApiError)) deps.log.error({ err: error, url: request.url }, "an upgrade failed");
        refuse(socket, error instanceof ApiError ? error : internal((error as Error).message));
      });
    },
    close() {
      for (const socket of open) socket.destroy();
    },
  };
}

async function upgrade(deps: UpgradeDeps, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  const url = new URL(request.url ?? "/", "https://localhost");
  const route = routeOf(url.pathname);
  const user = deps.identify(request);
  if (user === undefined) throw unauthorized();
  if (route?.is !== "resource" || route.group !== "" || route.plural !== "pods") throw unknownPath();
  if (!streamedSubresources.has(route.subresource)) throw unknownPath();
  if (request.method !== "GET" && request.method !== "POST") throw methodNotAllowed();
  const { namespace, name, subresource } = route;
  const verb = request.method === "GET" ? "get" : "create";
  requirePermission(deps.authorize, user, { verb, group: "", resource: "pods", subresource, namespace, name });
  const kind = deps.rest.kinds.find("", "v1", "pods");
  if (kind === undefined) throw unknownPath();
  const pod = deps.rest.get(ownCall(user, kind, namespace, name)) as Pod;
  const backend = deps.pods();
  if (backend === undefined) throw unavailable("the node that runs the pod is not there yet");
  const stream: Upgrade = { request, socket, head, idle: idleMs };
  if (subresource === "portforward") return forwardPorts(stream, pod, backend);
  const { searchParams: query } = url;
  const options: CommandOptions = {
    stdin: isTrue(query, "stdin"),
    stdout: isTrue(query, "stdout"),
    stderr: isTrue(query, "stderr"),
    tty: isTrue(query, "tty"),
  };
  const container = containerOf(pod, query.get("container") ?? "");
  const command =
    subresource === "exec"
      ? await execute(backend, pod, container, query.getAll("command"), options)
      : attach(backend, pod, container);
  await streamCommand(stream, command, options);
}

const isTrue = (query: URLSearchParams, name: string): boolean => /^(true|1)$/i.test(query.get(name) ?? "");

interface Upgrade {
  request: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  idle: number;
}

function execute(
  backend: PodBackend,
  pod: Pod,
  container: string,
  command: string[],
  options: CommandOptions,
): Promise<RunningCommand> {
  if (command.length === 0) throw badRequest("you must specify at least one command for the container");
  if (backend.exec === undefined) throw unavailable("the node cannot run commands");
  return backend.exec(pod, container, { command, ...options });
}

/** What the container says from now on. Its process reads nothing: a container has no input that is kept open. */
function attach(backend: PodBackend, pod: Pod, container: string): RunningCommand {
  const over = new AbortController();
  const lines = backend.logs(
    pod,
    container,
    { follow: true, tailLines: 0, previous: false, timestamps: false },
    over.signal,
  );
  const stdout = Readable.from(lines);
  const exited = new Promise<number>((resolve, reject) => {
    stdout.once("end", () => resolve(0));
    stdout.once("error", reject);
  });
  return { stdin: undefined, stdout, stderr: undefined, exited, kill: () => over.abort() };
}

async function streamCommand(stream: Upgrade, command: RunningCommand, options: CommandOptions): Promise<void> {
  const { request, socket, head } = stream;
  // Its failure is told to the client in the end, whether it is there already or not.
  command.exited.catch(() => {});
  if (isWebSocket(request)) {
    const protocol = commandProtocols.find((one) => offeredProtocols(request).includes(one));
    if (protocol === undefined) {
      command.kill();
      throw badRequest(`unable to upgrade: want one of the subprotocols ${commandProtocols.join(", ")}`);
    }
    keepFor(stream);
    return serveCommand(command, webSocketCommand(acceptWebSocket(request, socket, head, protocol), options));
  }
  const { onStream, streams } = spdyCommand(options);
  let isAccepted = false;
  try {
    const connection = acceptSpdy(stream, spdyCommandProtocol, onStream);
    isAccepted = true;
    await serveCommand(command, await streams(connection));
  } catch (error) {
    command.kill();
    if (!isAccepted) throw error;
    socket.destroy();
  }
}

async function forwardPorts(stream: Upgrade, pod: Pod, backend: PodBackend): Promise<void> {
  if (backend.address === undefined) throw unavailable("the node cannot forward ports");
  const onStream = portForward((port) => backend.address!(pod, port));
  const { request, socket, head } = stream;
  if (!isWebSocket(request)) return acceptSpdy(stream, forwardProtocol, onStream).closed;
  if (!offeredProtocols(request).includes(tunnelProtocol))
    throw badRequest(`unable to upgrade: want the subprotocol ${tunnelProtocol}`);
  keepFor(stream);
  const tunnel = webSocketStream(acceptWebSocket(request, socket, head, tunnelProtocol));
  await serveSpdy(tunnel, onStream).closed;
}

function acceptSpdy(
  { request, socket, head, idle }: Upgrade,
  protocol: string,
  onStream: (stream: SpdyStream) => void,
) {
  if (request.headers.upgrade?.toLowerCase() !== "spdy/3.1")
    throw badRequest(`unable to upgrade: unknown protocol ${JSON.stringify(request.headers.upgrade)}`);
  const offered = (request.headersDistinct["x-stream-protocol-version"] ?? []).flatMap((line) => line.split(/,\s*/));
  if (!offered.includes(protocol)) throw badRequest(`unable to upgrade: want the stream protocol ${protocol}`);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
  if (head.length > 0) socket.unshift(head);
  keepFor({ socket, idle });
  return serveSpdy(socket, onStream);
}

function keepFor({ socket, idle }: Pick<Upgrade, "socket" | "idle">): void {
  if ("setTimeout" in socket && typeof socket.setTimeout === "function")
    socket.setTimeout(idle, () => socket.destroy());
}

function refuse(socket: Duplex, error: ApiError): void {
  if (!socket.writable) return;
  const body = Buffer.from(JSON.stringify(error.status));
  socket.end(
    `HTTP/1.1 ${error.code} ${STATUS_CODES[error.code] ?? ""}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body.toString()}`,
  );
}
