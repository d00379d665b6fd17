/**
 * The part of Go's text/template that request log templates are written in: field chains, methods and functions with
 * arguments, pipelines, `if`/`else if`/`else`/`with`, comments and trimming. No variables, `range` or nested templates.
 */

import { functions } from "./functions.ts";
import { printed } from "./format.ts";
import { parseNodes, type Command, type Node, type Operand, type Pipeline } from "./syntax.ts";
import { isTrue, TemplateError, type TemplateObject, type TemplateValue } from "./value.ts";

/** Throws {@link TemplateError} where a value has no field of that name. */
export type Template = (input: TemplateObject) => string;

/** Throws {@link TemplateError}. */
export function parseTemplate(source: string): Template {
  const nodes = parseNodes(source);
  return (input) => run(nodes, input);
}

function run(nodes: readonly Node[], dot: TemplateValue): string {
  let out = "";
  for (const node of nodes) {
    if (node.is === "text") out += node.text;
    else {
      const value = evaluate(node.pipeline, dot);
      if (node.is === "action") out += value === null ? "<no value>" : printed(value);
      else if (isTrue(value)) out += run(node.body, node.is === "with" ? value : dot);
      else out += run(node.otherwise, dot);
    }
  }
  return out;
}

function evaluate(pipeline: Pipeline, dot: TemplateValue): TemplateValue {
  let value: TemplateValue | undefined;
  for (const command of pipeline) value = runCommand(command, dot, value);
  return value ?? null;
}

function runCommand(command: Command, dot: TemplateValue, last: TemplateValue | undefined): TemplateValue {
  const [first, ...rest] = command;
  const args = rest.map((operand) => call(operandValue(operand, dot), []));
  if (last !== undefined) args.push(last);
  if (first!.is === "function") return callFunction(first!.name, args);
  const value = operandValue(first!, dot);
  if (args.length > 0 && typeof value !== "function") throw new TemplateError("can't give argument to non-function");
  return call(value, args);
}

/** The fewest arguments that each can do with; those that are not listed need none. */
const fewest: Readonly<Record<string, number>> = { and: 1, or: 1, not: 1, len: 1, index: 1, printf: 1 };
const two = ["eq", "ne", "lt", "le", "gt", "ge"];

function callFunction(name: string, args: readonly TemplateValue[]): TemplateValue {
  if (args.length < (fewest[name] ?? (two.includes(name) ? 2 : 0)))
    throw new TemplateError(`wrong number of args for ${name}`);
  return functions.get(name)!(args);
}

function call(value: TemplateValue, args: readonly TemplateValue[]): TemplateValue {
  return typeof value === "function" ? value(args) : value;
}

function operandValue(operand: Operand, dot: TemplateValue): TemplateValue {
  switch (operand.is) {
    case "literal":
      return operand.value;
    case "dot":
      return dot;
    case "function":
      return callFunction(operand.name, []);
    case "pipeline":
      return evaluate(operand.pipeline, dot);
    case "fields":
      break;
  }
  return operand.names.reduce(fieldOf, operandValue(operand.from, dot));
}

function fieldOf(value: TemplateValue, name: string): TemplateValue {
  const owner = call(value, []);
  const found = isObject(owner) ? owner.field(name) : owner instanceof Map ? owner.get(name) : undefined;
  if (found === undefined) throw new TemplateError(`can't evaluate field ${name}`);
  return found;
}

function isObject(value: TemplateValue): value is TemplateObject {
  return typeof value === "object" && value !== null && "field" in value;
}
