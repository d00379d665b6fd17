/** One execution of a probe or of a hook's request, as a kubelet makes it. */
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { connect } from "node:net";
import type { Container, HttpGetAction, IntOrString, Probe } from "../../api/core.ts";
import { Deadline } from "../../kube/deadline.ts";

export interface ProbeResult {
  success: boolean;
  /** What a failure's event says. */
  message: string;
}

export interface ProbeTarget {
  container: Container;
  podIP: string;
  /** Container port → the port on 127.0.0.1 that stands for it. */
  portMap: ReadonlyMap<number, number>;
  /** Runs a command in the container; resolves with exit code and output, rejects when the signal aborts. */
  exec: (command: readonly string[], signal: AbortSignal) => Promise<{ code: number; output: string }>;
}

const userAgent = "kube-probe/1.34";
const maxBodyBytes = 10 * 1024;
const maxRedirects = 10;

/** Never rejects: what goes wrong is a failure. `timeoutMs` bounds it. */
export async function runProbe(probe: Probe, target: ProbeTarget, timeoutMs: number): Promise<ProbeResult> {
  using deadline = new Deadline(timeoutMs, "no answer");
  const timeout = deadline.signal;
  try {
    if (probe.httpGet !== undefined) {
      const { status } = await httpGet(probe.httpGet, target, timeout);
      return status >= 200 && status < 400
        ? passed
        : { success: false, message: `HTTP probe failed with statuscode: ${status}` };
    }
    if (probe.tcpSocket !== undefined) {
      const { host, port } = address(probe.tcpSocket.host, probe.tcpSocket.port, target);
      await tcpConnect(host, port, timeout);
      return passed;
    }
    if (probe.grpc !== undefined) return await grpcCheck(probe.grpc, target, timeout);
    if (probe.exec !== undefined) {
      const { code, output } = await target.exec(probe.exec.command ?? [], timeout);
      return code === 0 ? passed : { success: false, message: output };
    }
    return passed;
  } catch (error) {
    return { success: false, message: failureText(timeout.aborted ? timeout.reason : error) };
  }
}

const passed: ProbeResult = { success: true, message: "" };

/** A lifecycle hook's request. Rejects on failure or a status of 400 and above. */
export async function requestHook(action: HttpGetAction, target: ProbeTarget, signal: AbortSignal): Promise<void> {
  const { status } = await httpGet(action, target, signal);
  if (status >= 400) throw new Error(`HTTP hook failed with statuscode: ${status}`);
}

/** Where a port of the container really is. Throws when a named port does not exist. */
export function address(
  host: string | undefined,
  port: IntOrString | undefined,
  { container, podIP, portMap }: Pick<ProbeTarget, "container" | "podIP" | "portMap">,
): { host: string; port: number } {
  const number =
    typeof port === "number" || /^\d+$/.test(port ?? "")
      ? Number(port)
      : container.ports?.find(({ name }) => name === port)?.containerPort;
  if (number === undefined) throw new Error(`couldn't find port: ${JSON.stringify(port)}`);
  if (host !== undefined && host !== "") return { host, port: number };
  const mapped = portMap.get(number);
  return mapped === undefined ? { host: podIP, port: number } : { host: "127.0.0.1", port: mapped };
}

async function httpGet(action: HttpGetAction, target: ProbeTarget, signal: AbortSignal): Promise<{ status: number }> {
  const { host, port } = address(action.host, action.port, target);
  const scheme = (action.scheme ?? "HTTP").toLowerCase();
  const path = action.path === undefined || action.path === "" ? "/" : action.path;
  let url = new URL(`${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`);
  url = new URL(path.startsWith("/") ? `${url.origin}${path}` : `${url.origin}/${path}`);
  const headers: Record<string, string> = { "user-agent": userAgent, accept: "*/*", connection: "close" };
  for (const { name, value } of action.httpHeaders ?? [])
    if (name.toLowerCase() === "accept" && value === "") delete headers["accept"];
    else headers[name.toLowerCase()] = value;
  for (let redirects = 0; ; redirects++) {
    const answer = await requestOnce(url, headers, signal);
    const next = answer.location === undefined ? undefined : new URL(answer.location, url);
    // A redirect to another host is not followed and counts as an answer.
    if (next?.hostname !== url.hostname || redirects === maxRedirects) return answer;
    url = next;
  }
}

function requestOnce(
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<{ status: number; location?: string }> {
  return new Promise((resolve, reject) => {
    const options = { headers, signal, agent: false as const, rejectUnauthorized: false };
    const request = url.protocol === "https:" ? https.get(url, options) : http.get(url, options);
    request.on("error", reject);
    request.on("response", (response) => {
      const { statusCode: status = 0 } = response;
      const { location } = response.headers;
      const isRedirect = status >= 300 && status < 400 && location !== undefined;
      // What the body says changes nothing, but a server may dislike a client that leaves in the middle.
      let bodyBytes = 0;
      response.on("data", (chunk: Buffer) => {
        bodyBytes += chunk.length;
        if (bodyBytes > maxBodyBytes) response.destroy();
      });
      response.on("error", () => {});
      response.on("close", () => resolve({ status, ...(isRedirect ? { location } : {}) }));
    });
  });
}

function tcpConnect(host: string, port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const onAbort = (): void => void socket.destroy(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.on("error", reject);
    socket.on("close", () => signal.removeEventListener("abort", onAbort));
  });
}

const servingStatus = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

/** grpc.health.v1.Health/Check by hand: one string in, one number out, and no gRPC library to load for it. */
function grpcCheck(
  { port, service = "" }: { port?: number; service?: string },
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const at = address(undefined, port, target);
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://${at.host}:${at.port}`);
    const end = (finish: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      session.destroy();
      finish();
    };
    const onAbort = (): void => end(() => reject(signal.reason as Error));
    signal.addEventListener("abort", onAbort, { once: true });
    session.on("error", (error) => end(() => reject(error)));
    const stream = session.request({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": userAgent,
    });
    let status = "";
    const chunks: Buffer[] = [];
    const readStatus = (headers: http2.IncomingHttpHeaders): void => {
      const value = headers["grpc-status"];
      if (typeof value === "string") status = value;
    };
    stream.on("response", readStatus);
    stream.on("trailers", readStatus);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    // A stream that dies with its session says so; why is in the cause.
    stream.on("error", (error) => end(() => reject((error.cause as Error | undefined) ?? error)));
    stream.on("end", () => {
      if (status !== "0")
        return end(() =>
          resolve({ success: false, message: `error: health rpc probe failed: grpc-status ${status || "missing"}` }),
        );
      const name = servingStatus[healthOf(Buffer.concat(chunks))] ?? "UNKNOWN";
      end(() =>
        resolve(
          name === "SERVING"
            ? passed
            : { success: false, message: `service unhealthy (responded with ${JSON.stringify(name)})` },
        ),
      );
    });
    const name = Buffer.from(service);
    const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([frame, message]));
  });
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

/** Field 1 of a HealthCheckResponse in its gRPC frame; 0 when absent. */
const healthOf = (frame: Buffer): number => (frame.length >= 7 && frame[5] === 0x08 ? frame[6]! : 0);

function failureText(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(String).join(", ") : (error as Error).message;
}
