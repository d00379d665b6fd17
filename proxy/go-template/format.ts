/** Printing as Go's package fmt does: `%v` of each kind of value, and Printf. */
import { Int, type TemplateObject, type TemplateValue } from "./value.ts";

export function printed(value: TemplateValue): string {
  if (value === null) return "<nil>";
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (value instanceof Int) return String(value.value);
  if (typeof value === "number") return general(value);
  if (typeof value === "function") return printed(value([]));
  if (Array.isArray(value)) return `[${value.join(" ")}]`;
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<string, readonly string[]>)].sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([name, values]) => `${name}:[${values.join(" ")}]`).join(" ")}]`;
  }
  return printed((value as TemplateObject).field("String") ?? "{}");
}

/** float64 under %v: the shortest digits, with an exponent below 1e-4 and from 1e6. */
function general(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-4 && size < 1e6)) return decimal(value);
  return exponent(value.toExponential());
}

/** JavaScript turns to exponents at 1e-7. */
function decimal(value: number): string {
  return String(value);
}

/** At least two digits. */
function exponent(text: string): string {
  return text.replace(/e([+-])(\d)$/, "e$10$2");
}

export function printf(format: string, args: readonly TemplateValue[]): string {
  let at = 0;
  const out = format.replace(
    /%([-+# 0]*)(\d+)?(?:\.(\d+)?)?([a-zA-Z%])/g,
    (all: string, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === "%") return "%";
      if (at >= args.length) return `%!${verb}(MISSING)`;
      const value = args[at]!;
      at += 1;
      const digits = all.includes(".") ? Number(precision ?? 0) : undefined;
      return padded(formatted(verb, value, digits, flags), Number(width ?? 0), flags);
    },
  );
  if (at >= args.length) return out;
  const extra = args.slice(at).map((value) => `${typeName(value)}=${printed(value)}`);
  return `${out}%!(EXTRA ${extra.join(", ")})`;
}

/** Print: a space between two values when neither is a text. */
export function print(args: readonly TemplateValue[]): string {
  let out = "";
  for (const [index, value] of args.entries()) {
    const apart = index > 0 && typeof value !== "string" && typeof args[index - 1] !== "string";
    out += `${apart ? " " : ""}${printed(value)}`;
  }
  return out;
}

function padded(text: string, width: number, flags: string): string {
  if (flags.includes("-")) return text.padEnd(width);
  if (!flags.includes("0") || !/^[+-]?\d/.test(text)) return text.padStart(width);
  const sign = /^[+-]/.exec(text)?.[0] ?? "";
  return sign + text.slice(sign.length).padStart(width - sign.length, "0");
}

function formatted(verb: string, value: TemplateValue, digits: number | undefined, flags: string): string {
  const sign = flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  const plus = (text: string): string => (text.startsWith("-") ? text : sign + text);
  const wrong = (): string => `%!${verb}(${typeName(value)}=${printed(value)})`;
  if (verb === "v")
    return digits !== undefined && typeof value === "number" ? shortened(value, digits) : printed(value);
  if (value instanceof Int) {
    if (verb === "d") return plus(String(value.value));
    if (verb === "x" || verb === "X" || verb === "o" || verb === "b") {
      const text = value.value.toString({ x: 16, X: 16, o: 8, b: 2 }[verb]);
      const prefix = flags.includes("#") ? { x: "0x", X: "0X", o: "0", b: "0b" }[verb] : "";
      return prefix + (verb === "X" ? text.toUpperCase() : text);
    }
    if (verb === "q") return `'${String.fromCodePoint(value.value)}'`;
    if (verb === "c") return String.fromCodePoint(value.value);
    return wrong();
  }
  if (typeof value === "number") {
    if (verb === "f" || verb === "F") return plus(value.toFixed(digits ?? 6));
    if (verb === "e") return plus(exponent(value.toExponential(digits ?? 6)));
    if (verb === "g") return plus(digits === undefined ? general(value) : shortened(value, digits));
    return wrong();
  }
  if (typeof value === "boolean") return verb === "t" ? String(value) : wrong();
  const text = (one: string): string | undefined => {
    const cut = digits === undefined ? one : Array.from(one).slice(0, digits).join("");
    if (verb === "s") return cut;
    if (verb === "q") return quoted(cut);
    if (verb === "x") return Buffer.from(cut).toString("hex");
    return verb === "X" ? Buffer.from(cut).toString("hex").toUpperCase() : undefined;
  };
  if (Array.isArray(value)) {
    const parts = (value as readonly string[]).map((one) => text(one) ?? `%!${verb}(string=${one})`);
    return `[${parts.join(" ")}]`;
  }
  return text(printed(value)) ?? wrong();
}

/** %g with a number of significant digits. */
function shortened(value: number, digits: number): string {
  const text = value.toPrecision(Math.max(1, digits));
  const size = Math.abs(Number(text));
  if (size !== 0 && (size < 1e-4 || size >= 10 ** Math.max(1, digits))) return exponent(Number(text).toExponential());
  return decimal(Number(text));
}

function quoted(text: string): string {
  const names: Record<string, string> = {
    "\n": "n",
    "\t": "t",
    "\r": "r",
    "\x07": "a",
    "\b": "b",
    "\f": "f",
    "\v": "v",
  };
  const body = text.replace(/[\\"\p{Cc}]/gu, (char) => {
    if (char === "\\" || char === '"') return `\\${char}`;
    const name = names[char];
    return name === undefined ? `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}` : `\\${name}`;
  });
  return `"${body}"`;
}

function typeName(value: TemplateValue): string {
  if (value === null) return "<nil>";
  if (value instanceof Int) return "int";
  if (typeof value === "number") return "float64";
  if (typeof value === "boolean") return "bool";
  return Array.isArray(value) ? "[]string" : "string";
}
