/**
 * Which version of each KIngress is served. A changed one comes into force when every backend of it is known to
 * answer; until then its last version serves on, so that a change of routes costs no request (data-plane 3.2.13).
 */
import { isOurs } from "../../api/ingress-claims.ts";
import { keyOf } from "../../api/meta.ts";
import type { KIngress } from "../../api/networking.ts";
import { compiledIngress, type Target } from "./route-table.ts";

export class IngressVersions {
  readonly #isServable: (target: Target) => boolean;
  #inForce = new Map<string, KIngress>();

  constructor(isServable: (target: Target) => boolean) {
    this.#isServable = isServable;
  }

  /** @param present all there are; those that are missing are forgotten */
  choose(present: Iterable<KIngress>): KIngress[] {
    const inForce = new Map<string, KIngress>();
    for (const ingress of present) {
      const key = keyOf(ingress);
      inForce.set(key, this.#choose(ingress, this.#inForce.get(key)));
    }
    this.#inForce = inForce;
    return [...inForce.values()];
  }

  /** Whether the present version of some ingress still waits. */
  isWaiting(present: Iterable<KIngress>): boolean {
    for (const ingress of present) if (this.#inForce.get(keyOf(ingress)) !== ingress) return true;
    return false;
  }

  #choose(present: KIngress, last: KIngress | undefined): KIngress {
    if (last === undefined || last === present || last.metadata.uid !== present.metadata.uid) return present;
    if (!isOurs(present) || present.metadata.deletionTimestamp !== undefined || this.#isReady(present)) return present;
    // Where the old backends are gone too there is nothing to wait for.
    return this.#isReady(last) ? last : present;
  }

  #isReady(ingress: KIngress): boolean {
    return compiledIngress(ingress).targets.every(this.#isServable);
  }
}
