/** Which of a revision's pods gets the next request, and which pods are this activator's to give (data-plane 2.5). */

export interface PickablePod {
  /** Requests of this activator that it has now. */
  readonly inFlight: number;
  /** Where it is not the revision's: this activator's places on the pod. */
  readonly limit?: number | undefined;
}

const hasRoom = (pod: PickablePod, limit: number): boolean => pod.inFlight < (pod.limit ?? limit);

/** Two distinct pods at random, the one with fewer requests; a tie is a coin toss. For pods without a limit. */
export function betterOfTwo<P extends PickablePod>(pods: readonly P[], random: () => number): P | undefined {
  if (pods.length < 2) return pods[0];
  const first = Math.floor(random() * pods.length);
  // The second is drawn from the others.
  const second = (first + 1 + Math.floor(random() * (pods.length - 1))) % pods.length;
  const [a, b] = [pods[first]!, pods[second]!];
  if (a.inFlight === b.inFlight) return random() < 0.5 ? a : b;
  return a.inFlight < b.inFlight ? a : b;
}

/** The first in address order with room: fills pods one after the other, for limits of 1 to 3. */
export function firstAvailable<P extends PickablePod>(pods: readonly P[], limit: number): P | undefined {
  return pods.find((pod) => hasRoom(pod, limit));
}

/** The next with room from place `from` on, and the place after it. */
export function roundRobin<P extends PickablePod>(
  pods: readonly P[],
  limit: number,
  from: number,
): { pod: P; next: number } | undefined {
  for (let step = 0; step < pods.length; step += 1) {
    const at = (from + step) % pods.length;
    const pod = pods[at]!;
    if (hasRoom(pod, limit)) return { pod, next: (at + 1) % pods.length };
  }
  return undefined;
}

/**
 * The pods whose capacity this activator may give away when several activators serve a revision with a limit: they
 * split the pods among them, so that their counts add up. Whoever is not among them, or is alone, takes all.
 *
 * @param pods sorted addresses
 * @param activators sorted addresses of those that serve the revision
 */
export function ownSlice(pods: readonly string[], activators: readonly string[], own: string): readonly string[] {
  const index = activators.indexOf(own);
  const count = activators.length;
  if (index < 0 || pods.length <= 1 || count === 1) return pods;
  if (count > pods.length) return [pods[index % pods.length]!];
  const size = Math.floor(pods.length / count);
  const remainder = pods.length % count;
  const slice = pods.slice(index * size, (index + 1) * size);
  if (index < remainder) slice.push(pods[pods.length - remainder + index]!);
  return slice;
}

/** An activator that has requests of a revision. */
export interface Demand {
  pod: string;
  inFlight: number;
}

/**
 * The places of a limited revision's pods that are this activator's when all know who has requests: one at least for
 * each, the rest in proportion to the requests. All compute it from the same list, so their places add up. With fewer
 * places than activators some share one, and the pod's own breaker keeps the limit.
 *
 * @param pods sorted addresses
 * @param limit places of a pod
 * @param demands in order of names, the same for all
 * @returns places by address; empty for an activator that is not listed
 */
export function ownPlaces(
  pods: readonly string[],
  limit: number,
  demands: readonly Demand[],
  own: string,
): Map<string, number> {
  const index = demands.findIndex(({ pod }) => pod === own);
  const total = pods.length * limit;
  const places = new Map<string, number>();
  if (index < 0 || total === 0) return places;
  if (demands.length >= total) return places.set(pods[Math.floor((index % total) / limit)]!, 1);
  const counts = shares(total, demands);
  const from = counts.slice(0, index).reduce((sum, count) => sum + count, 0);
  for (let place = from; place < from + counts[index]!; place += 1) {
    const address = pods[Math.floor(place / limit)]!;
    places.set(address, (places.get(address) ?? 0) + 1);
  }
  return places;
}

/** `total` is more than there are demands. Largest remainders; the earlier one where they are equal. */
function shares(total: number, demands: readonly Demand[]): number[] {
  const rest = total - demands.length;
  const sum = demands.reduce((all, { inFlight }) => all + inFlight, 0);
  const exact = demands.map(({ inFlight }) => (sum === 0 ? rest / demands.length : (rest * inFlight) / sum));
  const counts = exact.map((value) => 1 + Math.floor(value));
  const byRemainder = exact.map((value, at) => ({ at, remainder: value - Math.floor(value) }));
  byRemainder.sort((a, b) => b.remainder - a.remainder || a.at - b.at);
  const missing = total - counts.reduce((all, count) => all + count, 0);
  for (const { at } of byRemainder.slice(0, missing)) counts[at]! += 1;
  return counts;
}
