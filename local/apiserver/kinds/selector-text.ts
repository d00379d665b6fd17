/** A label selector as kubectl writes it: `app=web,tier in (a,b),!legacy`; empty when it selects everything. */
export function selectorText(selector: unknown): string {
  const { matchLabels, matchExpressions } = (selector ?? {}) as {
    matchLabels?: Record<string, string>;
    matchExpressions?: { key: string; operator: string; values?: string[] }[];
  };
  const terms = Object.entries(matchLabels ?? {}).map(([key, value]) => ({ key, term: `${key}=${value}` }));
  for (const { key, operator, values = [] } of matchExpressions ?? []) {
    const listed = `(${values.toSorted().join(",")})`;
    const term =
      operator === "In"
        ? `${key} in ${listed}`
        : operator === "NotIn"
          ? `${key} notin ${listed}`
          : operator === "Exists"
            ? key
            : `!${key}`;
    terms.push({ key, term });
  }
  return terms
    .sort((first, second) => (first.key < second.key ? -1 : 1))
    .map(({ term }) => term)
    .join(",");
}
