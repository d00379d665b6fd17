/** The `Forwarded` field (RFC 7239), made from the older X-Forwarded-* fields for apps that read only the new one. */
import type { HeaderList } from "./headers.ts";

/** Leaves a `Forwarded` that is there alone, and adds none when there is nothing to make it from (data-plane 1.8). */
export function addForwarded(headers: HeaderList): void {
  if (headers.has("forwarded")) return;
  // Most often there is nothing, and this runs for every request.
  if (!headers.has("x-forwarded-for") && !headers.has("x-forwarded-proto") && !headers.has("x-forwarded-host")) return;
  const nodes = headers
    .all("x-forwarded-for")
    .join(",")
    .split(",")
    .map((node) => node.trim())
    .filter((node) => node !== "");
  const host = headers.get("x-forwarded-host") ?? "";
  const proto = headers.get("x-forwarded-proto") ?? "";
  const first: string[] = [];
  if (nodes[0] !== undefined) first.push(`for=${nodeName(nodes[0])}`);
  if (host !== "") first.push(`host=${host}`);
  if (proto !== "") first.push(`proto=${proto}`);
  if (first.length === 0) return;
  headers.append("Forwarded", [first.join(";"), ...nodes.slice(1).map((node) => `for=${nodeName(node)}`)].join(", "));
}

/** Anything with a colon is written as an IPv6 node, an address with a port included: Knative's reading. */
function nodeName(node: string): string {
  return node.includes(":") ? `"[${node.replace(/^"?\[?|\]?"?$/g, "")}]"` : node;
}
