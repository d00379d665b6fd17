/** Reads one ConfigMap's values the way Knative does: the first present spelling of a key wins, texts are trimmed. */
import { parseDuration } from "../../api/duration.ts";
import { ConfigError } from "../../process/env.ts";

export type Data = Readonly<Record<string, string>>;

/** One key, or its spellings with the preferred one first. */
type Key = string | readonly string[];

const booleans = new Map<string, boolean>([
  ...["1", "t", "T", "TRUE", "true", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((text) => [text, false] as const),
]);

export class ConfigValues {
  readonly #data: Data;
  readonly #problems: string[] = [];

  constructor(data: Data | undefined) {
    this.#data = data ?? {};
  }

  problem(text: string): void {
    this.#problems.push(text);
  }

  /** The value as written, undefined where no spelling of the key is present. */
  raw(key: Key): string | undefined {
    for (const name of typeof key === "string" ? [key] : key) {
      const value = this.#data[name];
      if (value !== undefined) return value;
    }
    return undefined;
  }

  text(key: Key, fallback: string): string {
    return this.raw(key)?.trim() ?? fallback;
  }

  integer(key: Key, fallback: number): number {
    return this.#parse(key, fallback, (text) => {
      if (!/^[+-]?\d+$/u.test(text)) return `strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`;
      return Number(text);
    });
  }

  number(key: Key, fallback: number): number {
    return this.#parse(key, fallback, (text) => {
      const value = Number(text);
      return text === "" || Number.isNaN(value)
        ? `strconv.ParseFloat: parsing ${JSON.stringify(text)}: invalid syntax`
        : value;
    });
  }

  boolean(key: Key, fallback: boolean): boolean {
    return this.#parse(
      key,
      fallback,
      (text) => booleans.get(text) ?? `strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  }

  durationMs(key: Key, fallbackMs: number): number {
    return this.#parse(
      key,
      fallbackMs,
      (text) => parseDuration(text) ?? `time: invalid duration ${JSON.stringify(text)}`,
    );
  }

  /** `config` when every value was good; else throws {@link ConfigError} with all that was wrong. */
  finish<T extends object>(config: T): Readonly<T> {
    if (this.#problems.length > 0) throw new ConfigError(this.#problems);
    return Object.freeze(config);
  }

  /** `parse` answers with the error's text for what it cannot read. */
  #parse<T extends number | boolean>(key: Key, fallback: T, parse: (text: string) => T | string): T {
    const text = this.raw(key)?.trim();
    if (text === undefined) return fallback;
    const value = parse(text);
    if (typeof value !== "string") return value;
    this.problem(`failed to parse ${JSON.stringify(typeof key === "string" ? key : key[0])}: ${value}`);
    return fallback;
  }
}
