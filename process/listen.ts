/**
 * Where a process listens. On Kubernetes a pod has a network of its own and listens on every address. In a local
 * cluster without network namespaces all pods share one network: the node agent then gives each pod a loopback
 * address of its own (`SWELL_BIND_ADDRESS`) and names the addresses of the host that lead to one of its ports
 * (`SWELL_HOST_LISTEN`, for example `8080=127.0.0.1:8080,8080=[::1]:8080`). After an `@` stands the descriptor of a
 * socket that the agent has bound and the pod has inherited: all pods that follow each other share its queue, so a
 * connection that no pod has taken yet waits for the next one instead of being reset.
 */
import { once } from "node:events";
import type { Server } from "node:net";
import type { Env, EnvReader } from "./env.ts";

export interface ListenAddress {
  host: string;
  port: number;
  /** Shared with the pods that replace this one, so that no connection is refused while they change over. */
  reusePort: boolean;
  /** A host address that cannot be had (port 80 without the right to it) is skipped. */
  optional: boolean;
  /** A bound socket that was inherited; the address is only its name then. */
  fd?: number;
}

/** The address of this pod's network, undefined for every address. */
export function bindAddress(env: Env): string | undefined {
  const address = env["SWELL_BIND_ADDRESS"];
  return address === undefined || address === "" ? undefined : address;
}

/** Every address that leads to `containerPort` of this pod. */
export function listenAddresses(read: EnvReader, env: Env, containerPort: number): ListenAddress[] {
  const own: ListenAddress = { host: bindAddress(env) ?? "::", port: containerPort, reusePort: false, optional: false };
  const addresses = [own];
  for (const entry of (env["SWELL_HOST_LISTEN"] ?? "").split(",")) {
    if (entry === "") continue;
    const match = /^(\d+)=(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d+)(\?)?(?:@(\d+))?$/.exec(entry);
    if (match === null) {
      read.problems.push(
        `SWELL_HOST_LISTEN: ${JSON.stringify(entry)}: want CONTAINER_PORT=ADDRESS:PORT, then ? or @FD`,
      );
      continue;
    }
    if (Number(match[1]) !== containerPort) continue;
    addresses.push({
      host: match[2] ?? match[3]!,
      port: Number(match[4]),
      reusePort: true,
      optional: match[5] !== undefined,
      ...(match[6] === undefined ? {} : { fd: Number(match[6]) }),
    });
  }
  return addresses;
}

/** Starts listening; resolves with false for an optional address that cannot be had. */
export async function listen(server: Server, address: ListenAddress): Promise<boolean> {
  try {
    if (address.fd === undefined)
      server.listen({ host: address.host, port: address.port, reusePort: address.reusePort });
    else server.listen({ fd: address.fd });
    await once(server, "listening");
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // "::" fails where IPv6 is off.
    if (address.host === "::" && (code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL"))
      return listen(server, { ...address, host: "0.0.0.0" });
    if (address.optional && (code === "EACCES" || code === "EADDRINUSE" || code === "EADDRNOTAVAIL")) return false;
    throw error;
  }
}
