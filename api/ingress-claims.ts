/**
 * Which KIngresses of our class are served when several claim a host (data-plane 3.2.12). Gateways and the ingress
 * controller decide it each for itself, from the objects alone, so they agree.
 */
import { annotation } from "./keys.ts";
import { keyOf } from "./meta.ts";
import { swellIngressClass, type KIngress } from "./networking.ts";

/** Claimed by a rule without hosts: every host that nobody names. */
export const anyHost = "*";

export const isOurs = ({ metadata }: KIngress): boolean =>
  metadata.annotations?.[annotation.ingressClass] === swellIngressClass;

/** The one created first keeps its hosts; names decide between those of one second. */
export const byAge = (a: KIngress, b: KIngress): number =>
  compare(a.metadata.creationTimestamp ?? "", b.metadata.creationTimestamp ?? "") || compare(keyOf(a), keyOf(b));

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Lower case, without port and final dot. */
export function hostName(host: string): string {
  const end = host.startsWith("[") ? host.indexOf("]") + 1 : host.indexOf(":");
  const name = end > 0 ? host.slice(0, end) : host;
  return (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
}

/** Claims are settled over all ingresses whenever one changes. */
const known = new WeakMap<KIngress["spec"], ReadonlySet<string>>();

/** What the ingress claims, without repetitions; {@link anyHost} for a rule without hosts. */
export function claimedHosts({ spec }: Pick<KIngress, "spec">): ReadonlySet<string> {
  let claimed = known.get(spec);
  if (claimed === undefined) known.set(spec, (claimed = claimsOf(spec)));
  return claimed;
}

function claimsOf(spec: KIngress["spec"]): ReadonlySet<string> {
  const claimed = new Set<string>();
  for (const { hosts = [] } of spec.rules ?? [])
    if (hosts.length === 0) claimed.add(anyHost);
    else for (const host of hosts) claimed.add(hostName(host));
  return claimed;
}

export interface Claims {
  /** Oldest first. */
  accepted: KIngress[];
  /** Share a host with an accepted one, and are not served at all: half of an ingress would be a surprise. */
  rejected: KIngress[];
}

/** Of ours that are not being deleted. A rejected ingress claims nothing. */
export function settleClaims(ingresses: Iterable<KIngress>): Claims {
  const taken = new Set<string>();
  const claims: Claims = { accepted: [], rejected: [] };
  const ours = [...ingresses].filter((ingress) => isOurs(ingress) && ingress.metadata.deletionTimestamp === undefined);
  for (const ingress of ours.sort(byAge)) {
    const hosts = claimedHosts(ingress);
    const conflicts = [...hosts].some((host) => taken.has(host));
    (conflicts ? claims.rejected : claims.accepted).push(ingress);
    if (!conflicts) for (const host of hosts) taken.add(host);
  }
  return claims;
}
