/**
 * Names to addresses. A local cluster without network namespaces has no DNS of its own: the node agent keeps a file of
 * the ready addresses of every Service (`SWELL_HOSTS_FILE`), which answers as a headless Service's DNS name would.
 */
import { isIP } from "node:net";
import { readFile } from "node:fs";
import type { Env } from "./env.ts";

/** getaddrinfo may wait for a name server for far longer. */
const lookupTimeoutMs = 5000;

export class UnknownHostError extends Error {
  override readonly name = "UnknownHostError";
}

/**
 * Every address of `name`, the file first (read afresh: addresses come and go), else DNS. An IP address is itself.
 * Throws {@link UnknownHostError}; never resolves with an empty list.
 */
export async function resolveHost(name: string, env: Env): Promise<string[]> {
  if (isIP(name) !== 0) return [name];
  const file = env["SWELL_HOSTS_FILE"] ?? "";
  if (file !== "") {
    const addresses = await addressesInFile(file, name);
    if (addresses.length > 0) return addresses;
  }
  // Loaded here: most programs of a local cluster never need it.
  const { lookup } = await import("node:dns/promises");
  let timer: NodeJS.Timeout | undefined;
  try {
    const found = await Promise.race([
      lookup(name, { all: true }),
      new Promise<never>((_resolve, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${lookupTimeoutMs} ms`)), lookupTimeoutMs);
      }),
    ]);
    return found.map(({ address }) => address);
  } catch (error) {
    const where = file === "" ? "" : ` (nor is it in ${file})`;
    throw new UnknownHostError(`cannot resolve ${name}${where}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** Lines `IP NAME`; `#` starts a comment. A file that is not there yet has no addresses. */
async function addressesInFile(file: string, name: string): Promise<string[]> {
  let text: string;
  try {
    // Not node:fs/promises: nothing else would load it in a sidecar, where every millisecond of the start counts.
    text = await new Promise((resolve, reject) =>
      readFile(file, "utf8", (error, content) => (error === null ? resolve(content) : reject(error))),
    );
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const addresses: string[] = [];
  for (const line of text.split("\n")) {
    const [address, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (address !== undefined && isIP(address) !== 0 && names.includes(name)) addresses.push(address);
  }
  return [...new Set(addresses)];
}
