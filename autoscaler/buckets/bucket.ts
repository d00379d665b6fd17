/** The parts that all revisions are divided into, and which part a revision is in (spec: autoscaling 6.1). */
import { chooseSubset } from "../../api/consistent-subset.ts";

/** `autoscaler-bucket-00-of-04` and so on: names of Leases, and the candidates of the choice. */
export function bucketNames(count: number): string[] {
  const two = (value: number): string => String(value).padStart(2, "0");
  return Array.from({ length: count }, (_, index) => `autoscaler-bucket-${two(index)}-of-${two(count)}`);
}

export const isBucketName = (name: string): boolean => /^autoscaler-bucket-\d\d-of-\d\d$/u.test(name);

/** Every autoscaler, and Knative's own, finds the same bucket for a key. */
export class Buckets {
  readonly names: readonly string[];
  /** The choice hashes each name: not for every message. */
  readonly #chosen = new Map<string, string>();

  constructor(count: number) {
    this.names = bucketNames(count);
  }

  /** `key`: `namespace/revision`. */
  of(key: string): string {
    const known = this.#chosen.get(key);
    if (known !== undefined) return known;
    const bucket = chooseSubset(this.names, 1, key)[0]!;
    // Keys come from streams too: what is remembered has a bound.
    if (this.#chosen.size >= maxRemembered) this.#chosen.clear();
    this.#chosen.set(key, bucket);
    return bucket;
  }
}

const maxRemembered = 200_000;
