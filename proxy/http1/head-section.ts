/**
 * One head, or trailer section, gathered from the buffers it arrives in. A head that lies whole in one buffer, as nearly
 * all do, is read in place; only one that is split is copied.
 */
import { atStartLine, HeadLexer, isRefused, needsMore, type HeadLimits } from "./head-lexer.ts";
import type { RefusalCode } from "./refusal.ts";

const startBytes = 4096;

/** The lexer of heads that come in one piece. A head that is not through keeps the one it has. */
let idleLexer: HeadLexer | undefined;

export interface SectionOptions {
  readonly limits: HeadLimits;
  readonly leadingLine: boolean;
  readonly startLine: boolean;
}

/** Looks at the start line while it is whole in `buffer[start, end)`; a code refuses it before the fields are there. */
export type LineParser = (buffer: Buffer, start: number, end: number, base: number) => RefusalCode | undefined;

export class HeadSection {
  /** After `read` gave true: the section as text, line by line, and where its fields lie in it. */
  text = "";
  marks: number[] = [];
  /** Octets of the last given buffer that belong to the section. */
  consumed = 0;
  refusal: RefusalCode | undefined;
  readonly #options: SectionOptions;
  #lexer: HeadLexer | undefined;
  /** What came of the section so far, once it is known to be split. */
  #gathered: Buffer | undefined;
  #length = 0;

  constructor(options: SectionOptions) {
    this.#options = options;
  }

  /** Something of the section has come. */
  get begun(): boolean {
    return this.#length > 0;
  }

  /** Takes `chunk[from, …)`. True: it is whole. False: more is needed, or `refusal` says why there will be none. */
  read(chunk: Buffer, from: number, parseLine: LineParser | undefined): boolean {
    let lexer = this.#lexer;
    let buffer = chunk;
    let base = from;
    let end = chunk.length;
    const before = this.#length;
    if (lexer === undefined) {
      this.consumed = 0;
      if (from >= end) return false;
      lexer = idleLexer ?? new HeadLexer();
      idleLexer = undefined;
      lexer.reset(this.#options);
    } else {
      this.#gather(chunk, from);
      buffer = this.#gathered!;
      base = 0;
      end = this.#length;
    }
    const { limits } = this.#options;
    let outcome = lexer.run(buffer, base, end, limits);
    if (outcome === atStartLine) {
      this.refusal = parseLine?.(buffer, base + lexer.lineStart, base + lexer.lineEnd, base);
      outcome = this.refusal === undefined ? lexer.run(buffer, base, end, limits) : isRefused;
    }
    if (outcome >= 0) {
      this.text = buffer.toString("latin1", base, base + outcome);
      this.marks = lexer.marks;
      this.consumed = outcome - before;
    } else if (outcome === needsMore) {
      this.consumed = chunk.length - from;
      this.#lexer = lexer;
      if (this.#gathered === undefined) this.#gather(chunk, from);
      return false;
    } else {
      this.refusal ??= lexer.refusal;
      this.consumed = 0;
    }
    idleLexer = lexer;
    this.#lexer = undefined;
    this.#gathered = undefined;
    this.#length = 0;
    return outcome >= 0;
  }

  #gather(chunk: Buffer, from: number): void {
    // Octets past the limit are never looked at, so they need not be kept.
    const mostBytes = this.#options.limits.headBytes + 1;
    const wanted = Math.min(chunk.length - from, mostBytes - this.#length);
    const length = this.#length + wanted;
    let gathered = this.#gathered;
    if (gathered === undefined || gathered.length < length) {
      gathered = Buffer.allocUnsafeSlow(Math.min(Math.max(startBytes, 2 * length), mostBytes));
      if (this.#gathered !== undefined) this.#gathered.copy(gathered, 0, 0, this.#length);
      this.#gathered = gathered;
    }
    chunk.copy(gathered, this.#length, from, from + wanted);
    this.#length = length;
  }
}
