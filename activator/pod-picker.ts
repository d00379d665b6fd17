/** Which of a revision's pods gets the next request, and which pods are this activator's to give (data-plane 2.5). */

export interface PickablePod {
  /** Requests of this activator that it has now. */
  readonly inFlight: number;
}

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
  return pods.find((pod) => pod.inFlight < limit);
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
    if (pod.inFlight < limit) return { pod, next: (at + 1) % pods.length };
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
