/** Names and hashes of the objects that controllers create. */

/** No vowels and no look-alikes, so that no name spells a word. */
const alphabet = "bcdfghjklmnpqrstvwxz2456789";

/** Longest generated name, as for Kubernetes' `generateName`: it has to fit a DNS label. */
const maxGeneratedLength = 63;
const suffixLength = 5;

/** `base` plus five characters picked by `random` (0 up to 1). Naming on this side makes a create repeatable. */
export function generatedName(base: string, random: () => number = Math.random): string {
  let suffix = "";
  for (let i = 0; i < suffixLength; i += 1) suffix += alphabet[Math.floor(random() * alphabet.length)];
  return base.slice(0, maxGeneratedLength - suffixLength) + suffix;
}

/** A short name for a value: equal values (whatever the order of their keys) have equal ones. */
export function hashName(value: unknown): string {
  let hash = 0x811c9dc5; // FNV-1a, 32 bits
  for (const byte of Buffer.from(canonical(value))) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return Array.from(String(hash), (digit) => alphabet[Number(digit)]).join("");
}

/** JSON with sorted keys; what is null, undefined or an empty object counts as absent. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const fields = Object.entries(value)
    .map(([key, field]) => [key, canonical(field)] as const)
    .filter(([, text]) => text !== "null" && text !== "{}")
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(",")}}`;
}
