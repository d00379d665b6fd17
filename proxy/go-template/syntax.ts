/** Source → nodes. */
import { functions } from "./functions.ts";
import { Int, TemplateError, type TemplateValue } from "./value.ts";

export type Node =
  | { is: "text"; text: string }
  | { is: "action"; pipeline: Pipeline }
  | { is: "if" | "with"; pipeline: Pipeline; body: Node[]; otherwise: Node[] };
/** Commands whose value is the last argument of the next. */
export type Pipeline = Command[];
export type Command = Operand[];
export type Operand =
  | { is: "literal"; value: TemplateValue }
  | { is: "dot" }
  | { is: "function"; name: string }
  | { is: "fields"; from: Operand; names: string[] }
  | { is: "pipeline"; pipeline: Pipeline };

/** Throws {@link TemplateError} for what Go would refuse, or what is not in the subset. */
export function parseNodes(source: string): Node[] {
  return new Parser(source).nodes([]).nodes;
}

interface Token {
  is: "field" | "word" | "string" | "number" | "(" | ")" | "|" | ".";
  text: string;
  /** No space before it: `(f).Field` and `.A.B` are chains. */
  attached: boolean;
}

type Ended = "" | "end" | "else";

class Parser {
  readonly #parts: { text: string; action: string }[] = [];
  #at = 0;

  constructor(source: string) {
    let rest = source;
    for (;;) {
      const start = rest.indexOf("{{");
      if (start < 0) break;
      let text = rest.slice(0, start);
      let action = rest.slice(start + 2);
      if (/^-\s/.test(action)) {
        text = text.trimEnd();
        action = action.slice(1);
      }
      const comment = /^\s*\/\*[^]*?\*\/\s*?(?=\s-\}\}|\}\})/.exec(action);
      const end =
        comment === null ? endOfAction(action) : comment[0].length + action.slice(comment[0].length).indexOf("}}");
      if (end < 0) throw new TemplateError(`unclosed action: {{${action.slice(0, 30)}`);
      rest = action.slice(end + 2);
      action = action.slice(0, end);
      if (/\s-$/.test(action)) {
        rest = rest.trimStart();
        action = action.slice(0, -1);
      }
      this.#parts.push({ text, action: comment === null ? action.trim() : "" });
    }
    this.#parts.push({ text: rest, action: "" });
  }

  /** Up to one of `stops`, or the template's end. */
  nodes(stops: readonly Ended[]): { nodes: Node[]; ended: Ended; rest: string } {
    const nodes: Node[] = [];
    while (this.#at < this.#parts.length) {
      const { text, action } = this.#parts[this.#at]!;
      this.#at += 1;
      if (text !== "") nodes.push({ is: "text", text });
      if (action === "") continue;
      const word = /^(if|with|else|end|range|define|template|block|break|continue)\b\s*/.exec(action);
      const keyword = word?.[1] ?? "";
      const rest = action.slice(word?.[0].length ?? 0);
      if (keyword === "") nodes.push({ is: "action", pipeline: parsePipeline(action) });
      else if (keyword === "if" || keyword === "with") nodes.push(this.#branch(keyword, rest));
      else if (keyword === "else" || keyword === "end") {
        if (!stops.includes(keyword)) throw new TemplateError(`unexpected {{${keyword}}}`);
        return { nodes, ended: keyword, rest };
      } else throw new TemplateError(`{{${keyword}}} is not supported in a request log template`);
    }
    if (stops.length > 0) throw new TemplateError("unexpected end of the template: an {{end}} is missing");
    return { nodes, ended: "", rest: "" };
  }

  #branch(is: "if" | "with", condition: string): Node {
    const pipeline = parsePipeline(condition);
    const then = this.nodes(["else", "end"]);
    if (then.ended === "end") return { is, pipeline, body: then.nodes, otherwise: [] };
    const chained = /^(if|with)\b\s*/.exec(then.rest);
    if (chained !== null)
      return {
        is,
        pipeline,
        body: then.nodes,
        otherwise: [this.#branch(chained[1] as "if" | "with", then.rest.slice(chained[0].length))],
      };
    return { is, pipeline, body: then.nodes, otherwise: this.nodes(["end"]).nodes };
  }
}

/** Where the action's braces close, not counting those inside strings. */
function endOfAction(action: string): number {
  const token = /"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\\n]|\\.)*'|\}\}|[^]/g;
  for (let match = token.exec(action); match !== null; match = token.exec(action))
    if (match[0] === "}}") return match.index;
  return -1;
}

function tokens(text: string): Token[] {
  const pattern =
    /(\s*)(?:(\.[\p{L}_][\p{L}\p{N}_]*)|([\p{L}_][\p{L}\p{N}_]*)|("(?:[^"\\\n]|\\.)*"|`[^`]*`)|([+-]?(?:0[xX][\dA-Fa-f]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?))|([().|]))/uy;
  const found: Token[] = [];
  while (pattern.lastIndex < text.length) {
    const from = pattern.lastIndex;
    const match = pattern.exec(text);
    if (match === null) {
      if (text.slice(from).trim() === "") break;
      throw new TemplateError(`cannot read ${JSON.stringify(text.slice(from).trim())} in {{${text}}}`);
    }
    const [, space, field, word, string, number, sign] = match;
    const attached = space === "" && found.length > 0;
    if (field !== undefined) found.push({ is: "field", text: field.slice(1), attached });
    else if (word !== undefined) found.push({ is: "word", text: word, attached });
    else if (string !== undefined) found.push({ is: "string", text: string, attached });
    else if (number !== undefined) found.push({ is: "number", text: number, attached });
    else found.push({ is: sign as "(", text: sign!, attached });
  }
  return found;
}

function parsePipeline(text: string): Pipeline {
  const list = tokens(text);
  const { pipeline, next } = pipelineAt(list, 0, text);
  if (next < list.length) throw new TemplateError(`unexpected ${JSON.stringify(list[next]!.text)} in {{${text}}}`);
  return pipeline;
}

function pipelineAt(list: readonly Token[], from: number, text: string): { pipeline: Pipeline; next: number } {
  const pipeline: Pipeline = [];
  let command: Command = [];
  let at = from;
  const finish = (): void => {
    if (command.length === 0) throw new TemplateError(`missing value in {{${text}}}`);
    pipeline.push(command);
    command = [];
  };
  for (; at < list.length && list[at]!.is !== ")"; at += 1) {
    const token = list[at]!;
    const before = command.at(-1);
    if (token.is === "|") finish();
    else if (token.is === "field" && token.attached && before !== undefined) {
      if (before.is === "fields") before.names.push(token.text);
      else command[command.length - 1] = { is: "fields", from: before, names: [token.text] };
    } else if (token.is === "field") command.push({ is: "fields", from: { is: "dot" }, names: [token.text] });
    else if (token.is === ".") command.push({ is: "dot" });
    else if (token.is === "(") {
      const inner = pipelineAt(list, at + 1, text);
      if (list[inner.next]?.is !== ")") throw new TemplateError(`unclosed parenthesis in {{${text}}}`);
      command.push({ is: "pipeline", pipeline: inner.pipeline });
      at = inner.next;
    } else command.push(literal(token, text));
  }
  finish();
  return { pipeline, next: at };
}

function literal(token: Token, text: string): Operand {
  if (token.is === "string") return { is: "literal", value: unquoted(token.text) };
  if (token.is === "number") {
    const value = Number(token.text.replace(/^\+/, ""));
    return { is: "literal", value: /^[+-]?(?:\d+|0[xX].*)$/.test(token.text) ? new Int(value) : value };
  }
  if (token.text === "true" || token.text === "false") return { is: "literal", value: token.text === "true" };
  if (token.text === "nil") return { is: "literal", value: null };
  if (!functions.has(token.text)) throw new TemplateError(`function "${token.text}" not defined in {{${text}}}`);
  return { is: "function", name: token.text };
}

function unquoted(text: string): string {
  if (text.startsWith("`")) return text.slice(1, -1);
  const escapes: Record<string, string> = { n: "\n", t: "\t", r: "\r", a: "\x07", b: "\b", f: "\f", v: "\v" };
  return text
    .slice(1, -1)
    .replace(/\\(?:u([\dA-Fa-f]{4})|U([\dA-Fa-f]{8})|x([\dA-Fa-f]{2})|(.))/gs, (_all, u, long, x, char: string) => {
      const code = (u ?? long ?? x) as string | undefined;
      return code === undefined ? (escapes[char] ?? char) : String.fromCodePoint(Number.parseInt(code, 16));
    });
}
