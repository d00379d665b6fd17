/** The host's ports and addresses that a cluster takes. */
import { once } from "node:events";
import net, { createServer, type AddressInfo, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import type { Pod, Service } from "../api/core.ts";
import { defaultSystemNamespace, port as wellKnown } from "../api/keys.ts";
import { hasAll } from "./workloads/label-selector.ts";

export class PortInUseError extends Error {
  override readonly name = "PortInUseError";
}

/**
 * The port that the gateway will listen on: `wanted`, or a free one for 0. The gateway's pods share it among
 * themselves, and would share it with another cluster as well, so it is tried here without sharing first.
 */
export async function gatewayPort(wanted: number): Promise<number> {
  let server: Server;
  try {
    server = await listening("127.0.0.1", wanted);
  } catch (error) {
    throw portError(error, wanted, "--gateway-port");
  }
  const { port } = server.address() as AddressInfo;
  await closed(server);
  return port;
}

/** 127.0.0.1, and ::1 where the machine has it. */
export function loopbackAddresses(): string[] {
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return own.some(({ address }) => address === "::1") ? ["127.0.0.1", "::1"] : ["127.0.0.1"];
}

/** Turns a failure to listen into a sentence that names the flag. */
export function portError(error: unknown, port: number, flag: string): Error {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE")
    return new PortInUseError(`port ${port} is in use: stop what listens there, or choose another with ${flag}`, {
      cause: error,
    });
  if (code === "EACCES")
    return new PortInUseError(`port ${port} needs rights that this user lacks: choose one above 1023 with ${flag}`, {
      cause: error,
    });
  return error as Error;
}

/** Whether port 80 can be had, for URLs without a port. Only asked with the usual gateway port. */
export async function isFree(port: number): Promise<boolean> {
  try {
    await closed(await listening("127.0.0.1", port));
    return true;
  } catch {
    return false;
  }
}

/** The addresses of the host that lead to a pod. */
export interface HostListen {
  /** As process/listen.ts reads it. */
  text: string;
  /** Sockets that the pod's processes inherit, from descriptor {@link firstInherited} on. */
  sockets: readonly number[];
}

export interface PublishedPorts {
  /** Undefined for a pod that nobody publishes. */
  listen(pod: Pod, services: Service[]): HostListen | undefined;
  close(): void;
}

/** After standard input, output and error. */
export const firstInherited = 3;

/**
 * The gateway's ports on the host. They are bound here, for as long as the cluster runs, and never listened on: the
 * gateway's pods inherit them, so they share one queue of connections. Whichever pod is there takes the next one, and
 * while none is (it was killed, say), clients wait instead of being refused.
 */
export function publishPorts(ports: { gateway: number; plain: boolean }): PublishedPorts {
  const addresses = [
    { host: "127.0.0.1", port: ports.gateway, optional: false },
    { host: "::1", port: ports.gateway, optional: true },
    ...(ports.plain ? ["127.0.0.1", "::1"].map((host) => ({ host, port: 80, optional: true })) : []),
  ];
  const handles: BoundHandle[] = [];
  const entries = addresses.map(({ host, port, optional }) => {
    const handle = boundSocket(host, port);
    const name = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    const entry = `${wellKnown.gatewayHttp}=${name}${optional ? "?" : ""}`;
    // Without it the pods share the port as strangers would.
    if (handle === undefined) return entry;
    handles.push(handle);
    return `${entry}@${firstInherited + handles.length - 1}`;
  });
  const published = { text: entries.join(","), sockets: handles.map(({ fd }) => fd) };
  const listen = (pod: Pod, services: Service[]): HostListen | undefined => {
    const gateway = services.find(
      ({ metadata }) => metadata.namespace === defaultSystemNamespace && metadata.name === "gateway",
    );
    const isSelected =
      gateway?.spec.selector !== undefined &&
      pod.metadata.namespace === defaultSystemNamespace &&
      hasAll(gateway.spec.selector, pod.metadata.labels);
    return isSelected ? published : undefined;
  };
  return {
    listen,
    close() {
      for (const handle of handles) handle.close();
    },
  };
}

interface BoundHandle {
  readonly fd: number;
  getsockname(out: { port?: number }): number;
  close(): void;
}

/** Undefined when the address cannot be had. */
function boundSocket(host: string, port: number): BoundHandle | undefined {
  // What node:cluster binds its shared sockets with: a net.Server would listen, and accept, in this process.
  const { _createServerHandle: create } = net as unknown as {
    _createServerHandle?: (host: string, port: number, family: 4 | 6) => BoundHandle | number;
  };
  const handle = create?.(host, port, host.includes(":") ? 6 : 4);
  if (typeof handle !== "object") return undefined;
  const name: { port?: number } = {};
  // An address that is taken shows only here, until somebody listens.
  if (handle.getsockname(name) === 0 && name.port === port && handle.fd >= 0) return handle;
  handle.close();
  return undefined;
}

/** A range of loopback addresses for a cluster's pods, held against other clusters while it runs. */
export interface PodNetwork {
  /** The first two octets: `127.93`. */
  prefix: string;
  release(): void;
}

const firstOctet = 64;
const networks = 128;
/** Whoever listens on this port of a range's last address holds the range. */
const claimPort = 7443;

/** Always the same range for the same folder, unless another cluster's folder came to the same one. */
export async function claimPodNetwork(folder: string): Promise<PodNetwork> {
  const preferred = hash(folder) % networks;
  for (let i = 0; i < networks; i += 1) {
    const prefix = `127.${firstOctet + ((preferred + i) % networks)}`;
    try {
      const server = await listening(`${prefix}.255.254`, claimPort);
      server.unref();
      return { prefix, release: () => server.close() };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") break;
    }
  }
  // Something listens on that port of every address: nothing can be held, and the folder's own range is likely free.
  return { prefix: `127.${firstOctet + preferred}`, release: () => {} };
}

function hash(text: string): number {
  let value = 0x811c9dc5; // FNV-1a, 32 bits
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

async function listening(host: string, port: number): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  server.listen({ host, port });
  await once(server, "listening");
  return server;
}

async function closed(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}
