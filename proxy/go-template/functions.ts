/** The functions that a template can call by name. */
import { html, javascript, urlQuery } from "./escapes.ts";
import { print, printed, printf } from "./format.ts";
import { Int, isTrue, TemplateError, type TemplateValue } from "./value.ts";

const textOf = (args: readonly TemplateValue[]): string =>
  args.length === 1 && typeof args[0] === "string" ? args[0] : print(args);

export const functions: ReadonlyMap<string, (args: readonly TemplateValue[]) => TemplateValue> = new Map<
  string,
  (args: readonly TemplateValue[]) => TemplateValue
>([
  ["js", (args) => javascript(textOf(args))],
  ["html", (args) => html(textOf(args))],
  ["urlquery", (args) => urlQuery(textOf(args))],
  ["print", print],
  ["println", (args) => `${args.map(printed).join(" ")}\n`],
  ["printf", ([format, ...args]) => printf(typeof format === "string" ? format : printed(format ?? null), args)],
  ["index", ([value, ...keys]) => keys.reduce<TemplateValue>(element, value ?? null)],
  ["len", ([value]) => new Int(length(value ?? null))],
  ["not", ([value]) => !isTrue(value ?? null)],
  ["and", (args) => args.find((value) => !isTrue(value)) ?? args.at(-1) ?? null],
  ["or", (args) => args.find((value) => isTrue(value)) ?? args.at(-1) ?? null],
  ["eq", ([first, ...others]) => others.some((other) => compared(first ?? null, other) === 0)],
  ["ne", ([first, other]) => compared(first ?? null, other ?? null) !== 0],
  ["lt", ([first, other]) => compared(first ?? null, other ?? null) < 0],
  ["le", ([first, other]) => compared(first ?? null, other ?? null) <= 0],
  ["gt", ([first, other]) => compared(first ?? null, other ?? null) > 0],
  ["ge", ([first, other]) => compared(first ?? null, other ?? null) >= 0],
]);

function element(value: TemplateValue, key: TemplateValue): TemplateValue {
  if (value instanceof Map) return (value as ReadonlyMap<string, readonly string[]>).get(printed(key)) ?? [];
  if (Array.isArray(value) && key instanceof Int) {
    const found = (value as readonly string[])[key.value];
    if (found === undefined) throw new TemplateError(`error calling index: index out of range: ${key.value}`);
    return found;
  }
  if (typeof value === "string" && key instanceof Int && key.value < Buffer.byteLength(value))
    return new Int(Buffer.from(value)[key.value]!);
  throw new TemplateError("error calling index: can't index item");
}

function length(value: TemplateValue): number {
  if (typeof value === "string") return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  throw new TemplateError("error calling len");
}

/** Throws for values of different kinds, as Go does. */
function compared(a: TemplateValue, b: TemplateValue): number {
  const left = a instanceof Int ? a.value : a;
  const right = b instanceof Int ? b.value : b;
  const sameKind = typeof left === typeof right && a instanceof Int === b instanceof Int;
  if (!sameKind || typeof left === "object") throw new TemplateError("incompatible types for comparison");
  return left === right ? 0 : left < right! ? -1 : 1;
}
