/** Which activators have requests of one revision, so that they can share the places of its pods by demand. */
import type { ActivatorDemand } from "../proto/gen/stats.ts";

export class ActivatorDemands {
  readonly #inFlight = new Map<string, number>();
  #told: readonly ActivatorDemand[] = [];

  /** As last told, in order of names. */
  list(): readonly ActivatorDemand[] {
    return this.#told;
  }

  /** What to tell all of them now, undefined when nothing of interest has changed. */
  report(pod: string, inFlight: number): readonly ActivatorDemand[] | undefined {
    if (inFlight === 0) this.#inFlight.delete(pod);
    else this.#inFlight.set(pod, inFlight);
    return this.#settle();
  }

  /** The activator's stream has ended. */
  forget(pod: string): readonly ActivatorDemand[] | undefined {
    const wasTold = this.#told.some((each) => each.pod === pod);
    this.#inFlight.delete(pod);
    // Nobody may go on sharing with one that is gone.
    if (wasTold && this.#inFlight.size === 0) return (this.#told = []);
    return this.#settle();
  }

  #settle(): readonly ActivatorDemand[] | undefined {
    // While nobody has requests the last shares stay: whoever goes on first waits for no word.
    if (this.#inFlight.size === 0) return undefined;
    const now = [...this.#inFlight].map(([pod, inFlight]) => ({ pod, inFlight }));
    now.sort((a, b) => (a.pod < b.pod ? -1 : 1));
    const isSame =
      now.length === this.#told.length &&
      now.every(({ pod, inFlight }, at) => {
        const told = this.#told[at]!;
        // Alone its number is nobody's business.
        return told.pod === pod && (told.inFlight === inFlight || now.length === 1);
      });
    if (isSame) return undefined;
    return (this.#told = now);
  }
}
