/** Random numbers that a seed repeats. */

export interface Random {
  /** In [0, 1). */
  next(): number;
  /** Mean 1. */
  exponential(): number;
  /** Mean 0, deviation 1. */
  normal(): number;
  /** Of median 1; `sigma` is the deviation of the logarithm. */
  logNormal(sigma: number): number;
}

/** mulberry32: a state of 32 bits is plenty for a day of arrivals. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return {
    next,
    exponential: () => -Math.log(1 - next()),
    normal,
    logNormal: (sigma) => Math.exp(sigma * normal()),
  };
}
