/** Octets of a connection that were received and not looked at, in the chunks they came in. */
export class Unread {
  /** The first chunk; undefined when there is nothing. */
  chunk: Buffer | undefined;
  /** Where in it to go on. */
  at = 0;
  readonly #behind: Buffer[] = [];
  #behindBytes = 0;

  push(chunk: Buffer): void {
    if (this.chunk === undefined) {
      this.chunk = chunk;
      return;
    }
    this.#behind.push(chunk);
    this.#behindBytes += chunk.length;
  }

  /** The next `octets` of the first chunk were looked at. */
  take(octets: number): void {
    this.at += octets;
    if (this.at < this.chunk!.length) return;
    this.at = 0;
    this.chunk = this.#behind.shift();
    if (this.chunk !== undefined) this.#behindBytes -= this.chunk.length;
  }

  /** More than that is kept. Small chunks cost more than their octets, so they are counted, too. */
  exceeds(bytes: number, chunks: number): boolean {
    if (this.chunk === undefined) return false;
    return this.chunk.length - this.at + this.#behindBytes >= bytes || this.#behind.length >= chunks;
  }

  clear(): void {
    this.chunk = undefined;
    this.at = 0;
    this.#behind.length = 0;
    this.#behindBytes = 0;
  }

  /** All of it, in one. */
  drain(): Buffer {
    const all = this.chunk === undefined ? [] : [this.chunk.subarray(this.at), ...this.#behind];
    this.clear();
    return all.length === 1 ? all[0]! : Buffer.concat(all);
  }
}
