/** Which labels a selector picks, and whether a text is one (apimachinery meta/v1 LabelSelector). */
import type { LabelSelector } from "./meta.ts";

type Labels = Readonly<Record<string, string>> | undefined;

/** An empty selector picks everything, an absent one nothing. */
export function selects(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (selector === undefined) return false;
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return (
    Object.entries(matchLabels).every(([key, value]) => labels?.[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels?.[key];
      if (operator === "Exists") return value !== undefined;
      if (operator === "DoesNotExist") return value === undefined;
      if (operator === "In") return value !== undefined && values.includes(value);
      return value === undefined || !values.includes(value);
    })
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What keeps a value from being a selector; [] when it is one. */
export function selectorProblems(value: unknown): string[] {
  if (!isObject(value)) return ["not a label selector"];
  const { matchLabels = {}, matchExpressions = [], ...rest } = value;
  const problems = Object.keys(rest).map((key) => `unknown field "${key}"`);
  if (!isObject(matchLabels) || !Object.values(matchLabels).every((label) => typeof label === "string"))
    problems.push("matchLabels: not a map of texts");
  if (!Array.isArray(matchExpressions)) return [...problems, "matchExpressions: not a list"];
  return [...problems, ...matchExpressions.flatMap((entry: unknown, at) => expressionProblems(entry, at))];
}

function expressionProblems(entry: unknown, at: number): string[] {
  const where = `matchExpressions[${at}]`;
  if (!isObject(entry)) return [`${where}: not an object`];
  const { key, operator, values = [] } = entry;
  const problems: string[] = [];
  if (typeof key !== "string" || key === "") problems.push(`${where}: key is missing`);
  if (!Array.isArray(values) || !values.every((value) => typeof value === "string"))
    return [...problems, `${where}: values are not a list of texts`];
  const wantsValues = operator === "In" || operator === "NotIn";
  if (!wantsValues && operator !== "Exists" && operator !== "DoesNotExist")
    problems.push(`${where}: ${JSON.stringify(operator)} is not a valid label selector operator`);
  else if (wantsValues !== values.length > 0)
    problems.push(`${where}: ${operator} ${wantsValues ? "needs values" : "takes no values"}`);
  return problems;
}
