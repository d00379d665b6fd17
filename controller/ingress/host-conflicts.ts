/** Which KIngresses are rejected because others have their hosts (data-plane 3.2.12). */
import { claimedHosts, isOurs, settleClaims } from "../../api/ingress-claims.ts";
import { keyOf } from "../../api/meta.ts";
import type { KIngress } from "../../api/networking.ts";
import type { Change } from "../../kube/informer.ts";

/** Settled again only when somebody claims a host that another one claims too: a status, or a host of its own, costs nothing. */
export class HostConflicts {
  readonly #present: () => Iterable<KIngress>;
  /** Host → keys of those that claim it; key → the hosts. */
  readonly #claimants = new Map<string, Set<string>>();
  readonly #claims = new Map<string, { uid: string; hosts: ReadonlySet<string> }>();
  #rejected: ReadonlySet<string> = new Set();

  /** `present`: all of them, each told of by {@link changed} before it is asked about. */
  constructor(present: () => Iterable<KIngress>) {
    this.#present = present;
  }

  has(key: string): boolean {
    return this.#rejected.has(key);
  }

  /** Keys of ingresses that are rejected from now on, or no longer. */
  changed({ is, object }: Change<KIngress>): string[] {
    const key = keyOf(object);
    const before = this.#claims.get(key);
    const claims = is !== "deleted" && isOurs(object) && object.metadata.deletionTimestamp === undefined;
    const after = claims ? { uid: object.metadata.uid ?? "", hosts: claimedHosts(object) } : undefined;
    if (before?.uid === after?.uid && isSameSet(before?.hosts, after?.hosts)) return [];
    // Who shares a host with it now, or did until now.
    const wasContested = this.#isContested(before?.hosts);
    this.#drop(key, before?.hosts);
    if (after === undefined) this.#claims.delete(key);
    else this.#claim(key, after);
    return wasContested || this.#isContested(after?.hosts) ? this.#settle() : [];
  }

  #settle(): string[] {
    const before = this.#rejected;
    const after = new Set(settleClaims(this.#present()).rejected.map(keyOf));
    this.#rejected = after;
    return [...[...before].filter((key) => !after.has(key)), ...[...after].filter((key) => !before.has(key))];
  }

  #isContested(hosts: ReadonlySet<string> = new Set()): boolean {
    for (const host of hosts) if ((this.#claimants.get(host)?.size ?? 0) > 1) return true;
    return false;
  }

  #claim(key: string, claims: { uid: string; hosts: ReadonlySet<string> }): void {
    this.#claims.set(key, claims);
    for (const host of claims.hosts) {
      const claimants = this.#claimants.get(host);
      if (claimants === undefined) this.#claimants.set(host, new Set([key]));
      else claimants.add(key);
    }
  }

  #drop(key: string, hosts: ReadonlySet<string> = new Set()): void {
    for (const host of hosts) {
      const claimants = this.#claimants.get(host);
      claimants?.delete(key);
      if (claimants?.size === 0) this.#claimants.delete(host);
    }
  }
}

function isSameSet(one: ReadonlySet<string> | undefined, other: ReadonlySet<string> | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.size === other.size && [...one].every((host) => other.has(host));
}
