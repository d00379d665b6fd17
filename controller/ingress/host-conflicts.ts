/** Which KIngresses are rejected because others have their hosts (data-plane 3.2.12). */
import { isDeepStrictEqual } from "node:util";
import { claimedHosts, isOurs, settleClaims } from "../../api/ingress-claims.ts";
import { keyOf } from "../../api/meta.ts";
import type { KIngress } from "../../api/networking.ts";
import type { Change } from "../../kube/informer.ts";

/** Settled again only when some ingress claims other hosts than before, so a status costs nothing. */
export class HostConflicts {
  readonly #present: () => Iterable<KIngress>;
  #rejected = new Set<string>();
  #isCurrent = false;

  constructor(present: () => Iterable<KIngress>) {
    this.#present = present;
  }

  has(key: string): boolean {
    return this.#settled().has(key);
  }

  /** Keys of ingresses that are rejected from now on, or no longer. */
  changed(change: Change<KIngress>): string[] {
    if (change.is === "updated" && isDeepStrictEqual(claimsOf(change.previous), claimsOf(change.object))) return [];
    const before = this.#rejected;
    this.#isCurrent = false;
    const after = this.#settled();
    return [...[...before].filter((key) => !after.has(key)), ...[...after].filter((key) => !before.has(key))];
  }

  #settled(): ReadonlySet<string> {
    if (!this.#isCurrent) {
      this.#rejected = new Set(settleClaims(this.#present()).rejected.map(keyOf));
      this.#isCurrent = true;
    }
    return this.#rejected;
  }
}

const claimsOf = (ingress: KIngress): unknown => [
  isOurs(ingress) && ingress.metadata.deletionTimestamp === undefined,
  ingress.metadata.uid,
  claimedHosts(ingress),
];
