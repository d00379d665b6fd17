/** Label and field selectors, as lists and watches carry them in their query. */
import type { KubeObject, LabelSelector } from "../../api/meta.ts";
import type { Kind } from "./kind.ts";
import { badRequest } from "./status-error.ts";

export type Matcher = (object: KubeObject) => boolean;
type Labels = Readonly<Record<string, string>>;
type Requirement = (labels: Labels) => boolean;

/** What a list or watch is restricted to. */
export interface Selection {
  /** Undefined where every object of the namespace matches. */
  matches: Matcher | undefined;
  /** Set where only an object of that name can match. */
  name: string | undefined;
}

/** Throws ApiError 400 for what is not a selector. */
export function selectionOf(kind: Kind, labelSelector: string, fieldSelector: string): Selection {
  const byLabels = labelMatcher(labelSelector);
  const { name, matches: byFields } = fieldMatcher(kind, fieldSelector);
  const matches =
    byLabels !== undefined && byFields !== undefined
      ? (object: KubeObject) => byLabels(object) && byFields(object)
      : (byLabels ?? byFields);
  return { matches, name };
}

const noLabels: Labels = {};

function labelMatcher(selector: string): Matcher | undefined {
  if (selector.trim() === "") return undefined;
  const requirements = parseLabelSelector(selector);
  return ({ metadata }) => requirements.every((holds) => holds(metadata.labels ?? noLabels));
}

/** `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2` */
export function parseLabelSelector(selector: string): Requirement[] {
  const requirements: Requirement[] = [];
  let rest = selector.trim();
  while (rest !== "") {
    const match = /^(!?)\s*([\w./-]+)\s*(?:(in|notin)\s*\(([^)]*)\)|(==|=|!=|>|<)\s*([\w.-]*))?\s*(,\s*|$)/.exec(rest);
    if (match === null)
      throw badRequest(`unable to parse requirement: found '${rest}' in label selector "${selector}"`);
    const [whole, not, key = "", setOperator, set = "", operator, value = "", comma = ""] = match;
    rest = rest.slice(whole.length);
    if (comma !== "" && rest === "")
      throw badRequest(`found '', expected: identifier after ',' in label selector "${selector}"`);
    const values = set.split(",").map((item) => item.trim());
    if (not === "!") requirements.push((labels) => labels[key] === undefined);
    else if (setOperator === "in")
      requirements.push((labels) => labels[key] !== undefined && values.includes(labels[key]));
    else if (setOperator === "notin")
      requirements.push((labels) => labels[key] === undefined || !values.includes(labels[key]));
    else if (operator === "=" || operator === "==") requirements.push((labels) => labels[key] === value);
    else if (operator === "!=") requirements.push((labels) => labels[key] !== value);
    else if (operator === ">")
      requirements.push((labels) => labels[key] !== undefined && Number(labels[key]) > Number(value));
    else if (operator === "<")
      requirements.push((labels) => labels[key] !== undefined && Number(labels[key]) < Number(value));
    else requirements.push((labels) => labels[key] !== undefined);
  }
  return requirements;
}

function fieldMatcher(kind: Kind, selector: string): { name?: string; matches?: Matcher } {
  let name: string | undefined;
  const terms: Matcher[] = [];
  for (const term of selector.split(/(?<!\\),/)) {
    if (term === "") continue;
    const match = /^([^=!]+?)\s*(==|=|!=)(.*)$/s.exec(term.trim());
    if (match === null) throw badRequest(`invalid selector: '${selector}'; can't understand '${term}'`);
    const [, field = "", operator, text = ""] = match;
    const value = text.replace(/\\([\\,=])/g, "$1");
    const read = readerOf(kind, field);
    if (read === undefined) {
      // Clients put this behind words of their own.
      if (kind.isCustom) throw badRequest(`field label not supported: ${field}`);
      const known = ["metadata.name", "metadata.namespace", ...Object.keys(kind.fieldSelectors)].map(
        (one) => `"${one}"`,
      );
      throw badRequest(`"${field}" is not a known field selector: only ${known.join(", ")}`);
    }
    if (operator === "!=") terms.push((object) => read(object) !== value);
    else {
      terms.push((object) => read(object) === value);
      if (field === "metadata.name") name = value;
    }
  }
  // A name alone is looked up, not searched for.
  if (name !== undefined && terms.length === 1) return { name };
  if (terms.length === 0) return {};
  return { ...(name === undefined ? {} : { name }), matches: (object) => terms.every((holds) => holds(object)) };
}

function readerOf(kind: Kind, field: string): ((object: KubeObject) => string) | undefined {
  if (field === "metadata.name") return ({ metadata }) => metadata.name ?? "";
  if (field === "metadata.namespace") return ({ metadata }) => metadata.namespace ?? "";
  return kind.fieldSelectors[field];
}

/** A selector object, as webhook configurations carry it. An absent or empty one matches everything. */
export function matchesSelector(selector: LabelSelector | undefined, labels: Labels = noLabels): boolean {
  if (selector === undefined) return true;
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (labels[key] !== value) return false;
  return (selector.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labels[key];
    if (operator === "Exists") return value !== undefined;
    if (operator === "DoesNotExist") return value === undefined;
    const isListed = value !== undefined && values.includes(value);
    return operator === "In" ? isListed : !isListed;
  });
}
