/** Rows of figures, and how they are printed. */

export interface Row {
  scenario: string;
  contender: string;
  [figure: string]: string | number;
}

export interface Options {
  quick: boolean;
  /** Names of loads; empty for all. */
  only: readonly string[];
  /** Names; empty for all. */
  contenders: readonly string[];
  /** In place of the usual number. */
  rounds: number | undefined;
  /** soak only: how long, in place of the usual time; may be a fraction. */
  minutes: number | undefined;
  /** soak only: the order of faults. */
  seed: number | undefined;
  /** autoscaler-scale only: one size in place of all. */
  revisions: number | undefined;
  pods: number | undefined;
  /** autoscaler-scale only: separate connections, in place of the usual number. */
  connections: number | undefined;
  /** services only: how many, in place of the usual number. */
  count: number | undefined;
  /** services only: this many a second, and no other rate. */
  rate: number | undefined;
}

export interface Outcome {
  rows: Row[];
  /** Versions, pinning, what was left out: one sentence each. */
  notes: string[];
  /** In place of the table of all rows. */
  text?: string;
  /** Something answered wrongly or did not run. */
  failed: boolean;
}

export type Scenario = (options: Options) => Promise<Row[] | Outcome>;

export const outcomeOf = (result: Row[] | Outcome): Outcome =>
  Array.isArray(result) ? { rows: result, notes: [], failed: false } : result;

/** The `share` (0 to 1) quantile by nearest rank; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? NaN;
}

export const rounded = (value: number, digits = 1): number => Number(value.toFixed(digits));

/** Columns are the figures of all rows, in order of appearance. */
export function table(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = [columns, ...rows.map((row) => columns.map((column) => String(row[column] ?? "")))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]!.length)));
  return cells
    .map((line) =>
      line
        .map((cell, index) => cell.padEnd(widths[index]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
