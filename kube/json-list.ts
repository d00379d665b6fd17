/**
 * A list of API objects, read one object at a time as its bytes come: a list of a large cluster is longer than any
 * string may be, and held as a whole it would cost many times what is kept of it.
 */
import type { KubeList, KubeObject } from "../api/meta.ts";

/** One object; etcd takes 1.5 MiB. */
const maxObjectBytes = 64 * 1024 * 1024;
/** Everything around the objects. */
const maxFrameBytes = 64 * 1024;
const byte = { quote: 0x22, backslash: 0x5c, open: 0x7b, close: 0x7d, openArray: 0x5b, closeArray: 0x5d } as const;

/** `each` says what is kept of an object. Throws on what is not one JSON list. */
export async function jsonList<T extends KubeObject>(
  chunks: AsyncIterable<Uint8Array>,
  each: (object: T) => T,
): Promise<KubeList<T>> {
  const items: T[] = [];
  const splitter = new Splitter((json) => items.push(each(JSON.parse(json) as T)));
  for await (const chunk of chunks) splitter.add(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
  return { ...(JSON.parse(splitter.frame) as KubeList<T>), items };
}

/** Takes the objects out of the array `items` of the outermost object; what is around them is the frame. */
class Splitter {
  readonly #onObject: (json: string) => void;
  /** Of the object that has not ended. */
  #parts: Buffer[] = [];
  #bytes = 0;
  frame = "";
  /** Open brackets, those inside strings aside. */
  #depth = 0;
  #inString = false;
  #escaped = false;
  #inItems = false;

  constructor(onObject: (json: string) => void) {
    this.#onObject = onObject;
  }

  add(chunk: Buffer): void {
    let start = 0;
    let depth = this.#depth;
    let inString = this.#inString;
    let escaped = this.#escaped;
    for (let at = 0; at < chunk.length; at++) {
      const value = chunk[at]!;
      if (inString) {
        if (escaped) escaped = false;
        else if (value === byte.backslash) escaped = true;
        else if (value === byte.quote) inString = false;
        continue;
      }
      if (value === byte.quote) inString = true;
      else if (value === byte.open || value === byte.openArray) {
        // The start of an object of the list: what came before belongs to the frame.
        if (depth === 2 && this.#inItems) {
          this.#addFrame(chunk, start, at);
          start = at;
        }
        depth += 1;
        if (depth === 2 && value === byte.openArray) {
          this.#addFrame(chunk, start, at + 1);
          start = at + 1;
          this.#inItems = /"items"\s*:\s*\[$/.test(this.frame);
        }
      } else if (value === byte.close || value === byte.closeArray) {
        depth -= 1;
        if (!this.#inItems) continue;
        if (depth === 2) {
          this.#endObject(chunk.subarray(start, at + 1));
          start = at + 1;
        } else if (depth === 1) this.#inItems = false;
      }
    }
    this.#depth = depth;
    this.#inString = inString;
    this.#escaped = escaped;
    if (this.#inItems && depth > 2) this.#addPart(chunk.subarray(start));
    else this.#addFrame(chunk, start, chunk.length);
  }

  #endObject(last: Buffer): void {
    this.#addPart(last);
    const whole = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    this.#onObject(whole.toString("utf8"));
  }

  #addPart(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > maxObjectBytes) throw new Error(`an object of the list is longer than ${maxObjectBytes} bytes`);
    this.#parts.push(part);
  }

  /** The commas between objects are left out with them. */
  #addFrame(chunk: Buffer, start: number, end: number): void {
    if (start === end) return;
    const text = chunk.toString("utf8", start, end);
    this.frame += this.#inItems ? text.replaceAll(",", "").trim() : text;
    if (this.frame.length > maxFrameBytes) throw new Error(`a list with more than ${maxFrameBytes} bytes around it`);
  }
}
