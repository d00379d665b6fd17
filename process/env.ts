/** Reads a process's environment once, at its edge, and reports every problem together. */

export type Env = Readonly<Record<string, string | undefined>>;

export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`bad configuration:\n  ${problems.join("\n  ")}`);
    this.problems = problems;
  }
}

export interface EnvReader {
  /** Every problem met so far, one sentence each. */
  readonly problems: string[];
  /** Without `fallback` the variable is required. */
  string(name: string, fallback?: string): string;
  integer(name: string, limits: { min?: number; max?: number; fallback?: number }): number;
  number(name: string, limits: { min?: number; max?: number; fallback?: number }): number;
  port(name: string, fallback?: number): number;
  /** Go's ParseBool: 1 t T true TRUE True, 0 f F false FALSE False. Empty counts as unset. */
  boolean(name: string, fallback: boolean): boolean;
  oneOf<T extends string>(name: string, allowed: readonly T[], fallback?: T): T;
  json<T>(name: string, fallback: T): T;
}

const truths = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const falsehoods = new Set(["0", "f", "F", "false", "FALSE", "False"]);

export function envReader(env: Env): EnvReader {
  const problems: string[] = [];

  const numeric = (
    name: string,
    { min = -Infinity, max = Infinity, fallback }: { min?: number; max?: number; fallback?: number },
    whole: boolean,
  ): number => {
    const text = env[name]?.trim();
    if (text === undefined || text === "") {
      if (fallback !== undefined) return fallback;
      problems.push(`required key ${name} missing value`);
      return Math.max(0, min);
    }
    const value = Number(text);
    const wrongKind = whole ? !Number.isInteger(value) : !Number.isFinite(value);
    if (wrongKind || value < min || value > max) {
      const range = `${min === -Infinity ? "" : ` from ${min}`}${max === Infinity ? "" : ` to ${max}`}`;
      problems.push(`${name}=${JSON.stringify(text)}: want ${whole ? "a whole number" : "a number"}${range}`);
      return Math.max(0, min);
    }
    return value;
  };

  return {
    problems,
    string(name, fallback) {
      const value = env[name];
      if (value !== undefined) return value;
      if (fallback !== undefined) return fallback;
      problems.push(`required key ${name} missing value`);
      return "";
    },
    integer: (name, limits) => numeric(name, limits, true),
    number: (name, limits) => numeric(name, limits, false),
    port: (name, fallback) =>
      numeric(name, { min: 0, max: 65535, ...(fallback === undefined ? {} : { fallback }) }, true),
    boolean(name, fallback) {
      const text = env[name] ?? "";
      if (text === "") return fallback;
      if (truths.has(text)) return true;
      if (falsehoods.has(text)) return false;
      problems.push(`${name}=${JSON.stringify(text)}: want true or false`);
      return fallback;
    },
    oneOf(name, allowed, fallback) {
      const text = env[name] ?? "";
      const found = allowed.find((value) => value === text);
      if (found !== undefined) return found;
      if (text === "" && fallback !== undefined) return fallback;
      problems.push(`${name}=${JSON.stringify(text)}: want one of ${allowed.join(", ")}`);
      return allowed[0]!;
    },
    json<T>(name: string, fallback: T): T {
      const text = env[name] ?? "";
      if (text === "") return fallback;
      try {
        return JSON.parse(text) as T;
      } catch (error) {
        problems.push(`${name}: not JSON: ${(error as Error).message}`);
        return fallback;
      }
    },
  };
}
