/**
 * The part of Go's text/template that Knative's name templates use: `{{.A.B}}`, `{{index .A "key"}}`, with `-` trim
 * marks. Anything else is refused when the template is compiled.
 */
export type NameTemplate = (values: object) => string;

type Piece = string | { path: string[]; index?: string };

/** Throws an Error that names the action it does not know. */
export function compileTemplate(source: string): NameTemplate {
  const pieces: Piece[] = [];
  const action = /\{\{(-\s)?\s*([^}]*?)\s*(\s-)?\}\}/gu;
  let last = 0;
  let trimNext = false;
  const literal = (text: string, trimEnd: boolean): void => {
    const left = trimNext ? text.trimStart() : text;
    pieces.push(trimEnd ? left.trimEnd() : left);
  };
  for (const match of source.matchAll(action)) {
    literal(source.slice(last, match.index), match[1] !== undefined);
    last = match.index + match[0].length;
    trimNext = match[3] !== undefined;
    const body = match[2]!;
    const field = /^(\.[A-Za-z0-9_.]*)$/u.exec(body);
    const index = /^index\s+(\.[A-Za-z0-9_.]+)\s+"((?:[^"\\]|\\.)*)"$/u.exec(body);
    if (field !== null) pieces.push({ path: split(field[1]!) });
    else if (index !== null) pieces.push({ path: split(index[1]!), index: JSON.parse(`"${index[2]}"`) as string });
    else throw new Error(`template: unsupported action {{${body}}}`);
  }
  literal(source.slice(last), false);
  if (source.slice(last).includes("{{")) throw new Error("template: unclosed action");
  return (values) => pieces.map((piece) => (typeof piece === "string" ? piece : lookUp(values, piece))).join("");
}

const split = (path: string): string[] => path.split(".").filter((part) => part !== "");

function lookUp(values: object, { path, index }: { path: string[]; index?: string }): string {
  let value: unknown = values;
  for (const part of index === undefined ? path : [...path, index]) {
    // Go's fields are exported (`.Name`), ours are JSON (`name`); map keys are taken as they are.
    const object = (value ?? {}) as Record<string, unknown>;
    value = object[part] ?? object[part.slice(0, 1).toLowerCase() + part.slice(1)];
  }
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value);
}
