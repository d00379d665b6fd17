/** How a person reaches the sample. */
import type { Addresses } from "./progress.ts";

/** `curl` finds names below localhost by itself; any other goes into the Host header. */
export function sampleAddresses(sampleUrl: string, gateway: number): NonNullable<Addresses["sample"]> {
  const { hostname } = new URL(sampleUrl);
  const url = gateway === 80 ? `http://${hostname}` : `http://${hostname}:${gateway}`;
  const resolves = hostname === "localhost" || hostname.endsWith(".localhost");
  const curl = resolves ? `curl ${url}` : `curl -H "Host: ${hostname}" http://127.0.0.1:${gateway}`;
  return { url, curl, host: hostname };
}
