/** What pods share one host's network with: a loopback address each, and free ports for apps that want one. */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

/** Hands out 127.A.y.z, an address once at a time, the longest unused first. */
export class AddressPool {
  readonly #prefix: string;
  readonly #taken = new Set<number>();
  #next = 0;

  /** @param prefix the first two octets: `127.93`. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Throws when all 64,516 are taken. */
  take(): string {
    const size = 254 * 254;
    for (let tried = 0; tried < size; tried++) {
      const index = this.#next;
      this.#next = (this.#next + 1) % size;
      if (this.#taken.has(index)) continue;
      this.#taken.add(index);
      return `${this.#prefix}.${Math.floor(index / 254)}.${(index % 254) + 1}`;
    }
    throw new Error("no pod address is free");
  }

  release(address: string): void {
    const [third = 0, fourth = 0] = address.split(".").slice(2).map(Number);
    this.#taken.delete(third * 254 + fourth - 1);
  }
}

/**
 * Hands out ports that nobody listens on. They lie below the range from which the system takes the ports of outgoing
 * connections, or a connection of any process could take one away before the app listens on it.
 */
export class PortPool {
  readonly #taken = new Set<number>();
  readonly #first: number;
  readonly #count: number;
  #next: number;

  /** @param seed two clusters on one machine with different seeds start looking in different places. */
  constructor(seed: number, range: { first: number; last: number } = unusedRange()) {
    this.#first = range.first;
    this.#count = range.last - range.first + 1;
    this.#next = (seed * 997) % this.#count;
  }

  async take(): Promise<number> {
    for (let tried = 0; tried < this.#count; tried++) {
      const port = this.#first + this.#next;
      this.#next = (this.#next + 1) % this.#count;
      if (this.#taken.has(port)) continue;
      this.#taken.add(port);
      if (await isFree(port)) return port;
      this.#taken.delete(port);
    }
    throw new Error("no port is free");
  }

  release(port: number): void {
    this.#taken.delete(port);
  }
}

function unusedRange(): { first: number; last: number } {
  let ephemeral = 32768;
  try {
    ephemeral = Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/)[0]);
  } catch {
    // not Linux: its usual range starts higher
  }
  return ephemeral > 12_000 ? { first: 10_500, last: ephemeral - 1 } : { first: 61_000, last: 65_535 };
}

/** Whether a server can listen on the port, on every address of both families. */
async function isFree(port: number): Promise<boolean> {
  const canListen = (host: string): Promise<string> =>
    new Promise((resolve) => {
      const server = createServer();
      server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "unknown"));
      server.listen({ host, port }, () => server.close(() => resolve("")));
    });
  const outcome = await canListen("::");
  if (outcome === "EAFNOSUPPORT" || outcome === "EADDRNOTAVAIL") return (await canListen("0.0.0.0")) === "";
  return outcome === "";
}
