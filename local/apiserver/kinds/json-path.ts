/**
 * The subset of JSONPath that printer columns and scale paths use: `.a.b`, `['a']`, `[0]`, `[*]`, and filters
 * `[?(@.type=='Ready')]` with `==`, `!=` or mere existence. A dot in a name is written `\.`.
 */

type Step =
  | { is: "name"; name: string }
  | { is: "index"; index: number }
  | { is: "every" }
  | { is: "filter"; path: Step[]; operator: "==" | "!=" | "exists"; value: unknown };

export class JsonPathError extends Error {
  override readonly name = "JsonPathError";
}

/** A reader of every value at the path, in order; [] where there is none. Throws JsonPathError. */
export function compileJsonPath(path: string): (object: unknown) => unknown[] {
  const steps = parse(
    path
      .trim()
      .replace(/^\{(.*)\}$/s, "$1")
      .replace(/^\$/, ""),
  );
  return (object) => select(steps, object);
}

function select(steps: readonly Step[], object: unknown): unknown[] {
  let found: unknown[] = [object];
  for (const step of steps) found = found.flatMap((value) => follow(step, value));
  return found;
}

function follow(step: Step, value: unknown): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  switch (step.is) {
    case "name": {
      const child = Array.isArray(value) ? undefined : (value as Record<string, unknown>)[step.name];
      return child === undefined || child === null ? [] : [child];
    }
    case "index": {
      const child: unknown = Array.isArray(value) ? value.at(step.index) : undefined;
      return child === undefined ? [] : [child];
    }
    case "every":
      return Object.values(value);
    case "filter":
      break;
  }
  return Object.values(value).filter((item) => {
    const seen = select(step.path, item)[0];
    if (step.operator === "exists") return seen !== undefined;
    return step.operator === "==" ? seen === step.value : seen !== undefined && seen !== step.value;
  });
}

const nameStep = /^\.?((?:[^.[\]\\\s(){}@?'"]|\\.)+)/;
const quotedStep = /^\[\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*\]/;
const indexStep = /^\[\s*(-?\d+)\s*\]/;
const everyStep = /^(?:\[\s*\*\s*\]|\.\*)/;
const filterStep =
  /^\[\s*\?\(\s*@((?:[^'"=!)]|\\.)*?)\s*(?:(==|!=)\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[\w.-]+)\s*)?\)\s*\]/;

function parse(path: string): Step[] {
  const steps: Step[] = [];
  let rest = path;
  while (rest !== "" && rest !== ".") {
    const [step, length] = nextStep(rest, path);
    steps.push(step);
    rest = rest.slice(length);
  }
  return steps;
}

function nextStep(rest: string, path: string): [Step, number] {
  let match = everyStep.exec(rest);
  if (match !== null) return [{ is: "every" }, match[0].length];
  match = indexStep.exec(rest);
  if (match !== null) return [{ is: "index", index: Number(match[1]) }, match[0].length];
  match = quotedStep.exec(rest);
  if (match !== null) return [{ is: "name", name: unescape(match[1] ?? match[2] ?? "") }, match[0].length];
  match = filterStep.exec(rest);
  if (match !== null) {
    const [whole, inner = "", operator = "exists", literal = ""] = match;
    return [
      { is: "filter", path: parse(inner), operator: operator as "==", value: parseLiteral(literal) },
      whole.length,
    ];
  }
  match = nameStep.exec(rest);
  if (match !== null) return [{ is: "name", name: unescape(match[1] ?? "") }, match[0].length];
  throw new JsonPathError(`cannot read the JSONPath ${path} from "${rest}"`);
}

const unescape = (text: string): string => text.replace(/\\(.)/g, "$1");

function parseLiteral(literal: string): unknown {
  if (/^['"]/.test(literal)) return unescape(literal.slice(1, -1));
  if (literal === "true" || literal === "false") return literal === "true";
  return literal !== "" && !Number.isNaN(Number(literal)) ? Number(literal) : literal;
}
