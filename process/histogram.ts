/** Counting in buckets, and its text for Prometheus. */

export const secondsBounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
export const bytesBounds = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000];
/** Of the names up to Knative 1.18, in milliseconds. */
export const legacyMsBounds = [
  5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900, 1000, 2000, 5000, 10_000,
  20_000, 50_000, 100_000,
];

export class Histogram {
  readonly #bounds: readonly number[];
  /** One more than there are bounds. */
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  get count(): number {
    return this.#count;
  }

  add(value: number): void {
    const bounds = this.#bounds;
    let at = 0;
    while (at < bounds.length && value > bounds[at]!) at += 1;
    this.#counts[at]! += 1;
    this.#sum += value;
    this.#count += 1;
  }

  get values(): { bounds: readonly number[]; counts: readonly number[]; sum: number; count: number } {
    return { bounds: this.#bounds, counts: this.#counts, sum: this.#sum, count: this.#count };
  }

  /** `labels`: in text form, without braces. */
  text(name: string, labels: string): string {
    let out = "";
    let count = 0;
    for (const [at, inBucket] of this.#counts.entries()) {
      count += inBucket;
      out += `${name}_bucket{${labels},le="${this.#bounds[at] ?? "+Inf"}"} ${count}\n`;
    }
    return `${out}${name}_sum{${labels}} ${this.#sum}\n${name}_count{${labels}} ${count}\n`;
  }
}

/** `body` in the text format, with its head. Empty for a metric without series. */
export function family(name: string, type: "histogram" | "gauge" | "counter", help: string, body: string): string {
  return body === "" ? "" : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${body}`;
}

/** Labels in text form, without braces. */
export function labelText(labels: Readonly<Record<string, string | number>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(String(value))}"`)
    .join(",");
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
}
