/**
 * A signal that aborts after a time or with another signal. Unlike `AbortSignal.any` over `AbortSignal.timeout` it
 * leaves nothing behind once disposed: no timer, no listener on a signal that lives as long as the process.
 */
export class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #parent: AbortSignal | undefined;
  readonly #onParent = (): void => this.#controller.abort(this.#parent?.reason);

  /** @param what names the wait in the error: "no answer from …". */
  constructor(ms: number, what: string, parent?: AbortSignal) {
    this.#parent = parent;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new DOMException(`${what} within ${Math.round(ms)} ms`, "TimeoutError"));
    }, ms);
    if (parent?.aborted === true) this.#onParent();
    else parent?.addEventListener("abort", this.#onParent, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener("abort", this.#onParent);
  }
}
