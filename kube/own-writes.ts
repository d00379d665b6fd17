/** What this process wrote over an object, until its copy shows it: nobody computes from what he has replaced himself. */
import { keyOf, type KubeObject } from "../api/meta.ts";

/** Keys of objects that are gone pile up: forgetting them costs nothing but a conflict. */
const maxRemembered = 10_000;

export class OwnWrites<T extends KubeObject> {
  readonly #written = new Map<string, { replaced: Set<string>; object: T }>();

  /** `stored` is what the server answered to a write over `previous`. */
  wrote(previous: T, stored: T): void {
    const [before, after] = [previous.metadata.resourceVersion, stored.metadata.resourceVersion];
    if (before === undefined || before === after) return;
    const key = keyOf(stored);
    const replaced = this.#written.get(key)?.replaced ?? new Set();
    if (this.#written.size >= maxRemembered) this.#written.clear();
    this.#written.set(key, { replaced: replaced.add(before), object: stored });
  }

  /** The object as the copy shows it, or as we wrote it where the copy is not there yet. */
  newest(cached: T): T {
    const key = keyOf(cached);
    const written = this.#written.get(key);
    if (written === undefined) return cached;
    const { metadata } = written.object;
    if (written.replaced.has(cached.metadata.resourceVersion ?? "") && metadata.uid === cached.metadata.uid)
      return written.object;
    this.#written.delete(key);
    return cached;
  }
}
