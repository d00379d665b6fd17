/** A consistent choice of some candidates for a target (spec: autoscaling 4.2, 6.1): few choices change when candidates do. */

const universe = 2048n;
const fnvOffset = 0xcbf29ce484222325n;
const fnvPrime = 0x100000001b3n;

function fnv1a64(text: string): bigint {
  let hash = fnvOffset;
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * fnvPrime);
  return hash;
}

/** `count` of the candidates for `target`; all of them when there are no more. Sorted. */
export function chooseSubset(candidates: readonly string[], count: number, target: string): string[] {
  const sorted = [...new Set(candidates)].sort();
  if (sorted.length <= count) return sorted;
  const byAngle = new Map<number, string>();
  for (const candidate of sorted) {
    let hash = fnv1a64(candidate + target);
    while (byAngle.has(Number(hash % universe))) hash = fnv1a64(candidate + target + hash.toString(16));
    byAngle.set(Number(hash % universe), candidate);
  }
  const angles = [...byAngle.keys()].sort((a, b) => a - b);
  let angle = Number(fnv1a64(`${target}start-angle-salt`) % universe);
  const step = Number(fnv1a64(`${target}step-angle-salt`) % universe);
  const chosen = new Set<string>();
  while (chosen.size < count) {
    const from = angles.findIndex((candidate) => candidate >= angle);
    const start = from < 0 ? 0 : from;
    for (let offset = 0; offset < angles.length; offset += 1) {
      const candidate = byAngle.get(angles[(start + offset) % angles.length]!)!;
      if (chosen.has(candidate)) continue;
      chosen.add(candidate);
      break;
    }
    angle = (angle + step) % Number(universe);
  }
  return [...chosen].sort();
}
