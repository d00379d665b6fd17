/** Rows of figures, and how they are printed. */

export interface Row {
  scenario: string;
  contender: string;
  [figure: string]: string | number;
}

export type Scenario = (options: { quick: boolean }) => Promise<Row[]>;

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
