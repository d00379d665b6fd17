/** One try of a probe: resolves when it passes, rejects with the reason. */
import { connect } from "node:net";
import type { ProbeAction } from "./probe-spec.ts";

const maxRedirects = 10;
/** Of a gRPC health answer; real ones have 7. */
const maxHealthBytes = 1024;
const agent = ["User-Agent", "kube-probe//"] as const;

export function runProbe(action: ProbeAction, timeoutMs: number, http2AutoDetection: boolean): Promise<void> {
  if (action.is === "tcp") return tcp(action.host, action.port, timeoutMs);
  if (action.is === "http") return http(action, timeoutMs, http2AutoDetection);
  return grpc(action, timeoutMs);
}

function tcp(host: string, port: number, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    const timer = setTimeout(() => socket.destroy(new Error(`dial tcp ${host}:${port}: i/o timeout`)), timeoutMs);
    socket.once("connect", () => {
      clearTimeout(timer);
      resolve();
      socket.destroy();
    });
    socket.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}

type HttpAction = Extract<ProbeAction, { is: "http" }>;

async function http(action: HttpAction, timeoutMs: number, http2AutoDetection: boolean): Promise<void> {
  const untilMs = performance.now() + timeoutMs;
  if (http2AutoDetection && action.scheme === "HTTP")
    try {
      const { status } = await http2Exchange(
        action,
        "GET",
        action.path,
        pairsOf(action.headers),
        undefined,
        timeoutMs / 2,
      );
      checkStatus(status);
      return;
    } catch {
      // Not HTTP/2, or it failed there: HTTP/1.1 has the last word.
    }
  let url = new URL(`${action.scheme.toLowerCase()}://${hostPort(action.host, action.port)}`);
  let target = action.path.startsWith("/") ? action.path : `/${action.path}`;
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    const { status, location } = await httpGet(url, target, action.headers, untilMs - performance.now());
    checkStatus(status);
    if (status < 300 || location === undefined) return;
    const next = new URL(location, new URL(target, url));
    // Another host is nothing that this pod's readiness could depend on.
    if (next.host !== url.host || next.protocol !== url.protocol) return;
    url = next;
    target = next.pathname + next.search;
  }
  throw new Error(`stopped after ${maxRedirects} redirects`);
}

function checkStatus(status: number): void {
  if (status < 200 || status >= 400) throw new Error(`HTTP probe did not respond Ready, got status code: ${status}`);
}

function httpGet(
  url: URL,
  target: string,
  headers: readonly string[],
  timeoutMs: number,
): Promise<{ status: number; location: string | undefined }> {
  const module =
    url.protocol === "https:" ? process.getBuiltinModule("node:https") : process.getBuiltinModule("node:http");
  const named = (name: string): boolean => headers.some((field, at) => at % 2 === 0 && field.toLowerCase() === name);
  const fields = [...(named("host") ? [] : ["Host", url.host]), ...(named("user-agent") ? [] : agent), ...headers];
  return new Promise((resolve, reject) => {
    const outgoing = module.request({
      host: url.hostname.replace(/^\[|\]$/g, ""),
      port: url.port === "" ? (url.protocol === "https:" ? 443 : 80) : url.port,
      path: target,
      headers: [...fields, "Connection", "close"],
      agent: false,
      // As the kubelet: a probe does not ask who signed the certificate.
      rejectUnauthorized: false,
    } as import("node:https").RequestOptions);
    const timer = setTimeout(() => outgoing.destroy(new Error("the probe timed out")), Math.max(1, timeoutMs));
    outgoing.on("response", (response) => {
      clearTimeout(timer);
      resolve({ status: response.statusCode ?? 0, location: response.headers.location });
      response.destroy();
    });
    outgoing.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    outgoing.end();
  });
}

/** grpc.health.v1.Health/Check: the answer's only field, 1, must be 1 (SERVING). */
async function grpc(action: Extract<ProbeAction, { is: "grpc" }>, timeoutMs: number): Promise<void> {
  const name = Buffer.from(action.service);
  // Field 1, length-delimited; an empty name is left out.
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a]), varint(name.length), name]);
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, 5);
  const { status, grpcStatus, body } = await http2Exchange(
    action,
    "POST",
    "/grpc.health.v1.Health/Check",
    { "content-type": "application/grpc", te: "trailers" },
    frame,
    timeoutMs,
  );
  if (status !== 200 || grpcStatus !== "0")
    throw new Error(`the gRPC health check answered status ${grpcStatus ?? `HTTP ${status}`}`);
  if (!body.subarray(5).equals(Buffer.from([0x08, 0x01])))
    throw new Error("the gRPC health check says that the service does not serve");
}

function http2Exchange(
  to: { host: string; port: number },
  method: string,
  target: string,
  headers: Record<string, string>,
  body: Buffer | undefined,
  timeoutMs: number,
): Promise<{ status: number; grpcStatus: string | undefined; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const authority = hostPort(to.host, to.port);
    const session = process.getBuiltinModule("node:http2").connect(`http://${authority}`);
    const finish = (outcome: () => void): void => {
      clearTimeout(timer);
      session.destroy();
      outcome();
    };
    const fail = (error: Error): void => finish(() => reject(error));
    const timer = setTimeout(() => fail(new Error("the probe timed out")), timeoutMs);
    session.on("error", fail);
    const stream = session.request({
      "user-agent": agent[1],
      ...headers,
      ":method": method,
      ":path": target,
      ":authority": authority,
    });
    let status = 0;
    let grpcStatus: string | undefined;
    let received = Buffer.alloc(0);
    stream.on("error", fail);
    stream.on("response", (fields) => {
      status = Number(fields[":status"]);
      grpcStatus = fields["grpc-status"] as string | undefined;
    });
    stream.on("trailers", (fields) => {
      grpcStatus = fields["grpc-status"] as string | undefined;
    });
    stream.on("data", (chunk: Buffer) => {
      if (received.length < maxHealthBytes) received = Buffer.concat([received, chunk]);
    });
    stream.on("end", () => finish(() => resolve({ status, grpcStatus, body: received })));
    stream.on("close", () => fail(new Error("the connection ended without an answer")));
    stream.end(body);
  });
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) {
      bytes.push(rest);
      return Buffer.from(bytes);
    }
    bytes.push((rest % 128) + 128);
  }
}

function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function pairsOf(flat: readonly string[]): Record<string, string> {
  const out: Record<string, string> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = flat[at]!.toLowerCase();
    if (name !== "host") out[name] = flat[at + 1]!;
  }
  return out;
}
