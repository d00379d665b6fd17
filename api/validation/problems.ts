/** Field errors as Knative words, merges and prints them (spec: serving-api 2.5). */

export interface Problem {
  message: string;
  paths: string[];
  details?: string;
  /** A warning is told to the client and refuses nothing. */
  isWarning?: true;
}

/** `spec` + `template` → `spec.template`; an index sticks to what it indexes. */
export function at(path: string, field: string | number): string {
  if (typeof field === "number") return `${path}[${field}]`;
  return path === "" ? field : `${path}.${field}`;
}

export class Problems {
  readonly #list: Problem[] = [];

  /** Problems without a path print as `message: `. */
  add(message: string, paths: string | readonly string[] = [], details?: string): void {
    this.#list.push({
      message,
      paths: typeof paths === "string" ? [paths] : [...paths],
      ...(details === undefined ? {} : { details }),
    });
  }

  warn(message: string, paths: string | readonly string[], details?: string): void {
    this.add(message, paths, details);
    this.#list.at(-1)!.isWarning = true;
  }

  missing(...paths: string[]): void {
    this.add("missing field(s)", paths);
  }

  forbidden(...paths: string[]): void {
    this.add("must not set the field(s)", paths);
  }

  invalid(value: unknown, path: string, details?: string): void {
    this.add(`invalid value: ${String(value)}`, path, details);
  }

  outOfBounds(value: unknown, low: unknown, high: unknown, path: string): void {
    this.add(`expected ${String(low)} <= ${String(value)} <= ${String(high)}`, path);
  }

  invalidKey(key: string, path: string, details?: string): void {
    this.add(`invalid key name ${JSON.stringify(key)}`, path, details);
  }

  noneOf(...paths: string[]): void {
    this.add("expected exactly one, got neither", paths);
  }

  severalOf(...paths: string[]): void {
    this.add("expected exactly one, got both", paths);
  }

  /** Of both levels, before equal ones are merged. */
  get count(): number {
    return this.#list.length;
  }

  /** What refuses the object, "" when nothing does. */
  get refusal(): string {
    return print(this.#list.filter(({ isWarning }) => isWarning !== true)).join("\n");
  }

  /** One text per warning. */
  get warnings(): string[] {
    return print(this.#list.filter(({ isWarning }) => isWarning === true));
  }
}

/** Equal texts are one problem with the paths of all; sorted by message, then details. */
function print(problems: readonly Problem[]): string[] {
  const merged = new Map<string, Problem>();
  for (const problem of problems) {
    const key = `${problem.message}\0${problem.details ?? ""}`;
    const known = merged.get(key);
    if (known === undefined) merged.set(key, { ...problem, paths: [...problem.paths] });
    else known.paths.push(...problem.paths);
  }
  return [...merged.entries()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { message, paths, details }]) => {
      const text = `${message}: ${[...new Set(paths)].toSorted().join(", ")}`;
      return details === undefined ? text : `${text}\n${details}`;
    });
}
