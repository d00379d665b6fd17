/** Resource quantities: `500m`, `1Gi`, `1e3`, read and written as Kubernetes writes them. */

const binary = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const decimal: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, "": 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const decimalSuffixes = Object.entries(decimal);
const pattern = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?$/;
/** Values are held in nano units, the smallest that Kubernetes keeps. */
const nano = 1_000_000_000n;

export interface Quantity {
  /** In units of 10^-9. */
  nano: bigint;
  format: "decimal" | "binary" | "exponent";
}

/** undefined for what is not a quantity. Fractions below a nano unit are rounded up. */
export function parseQuantity(text: string): Quantity | undefined {
  const match = pattern.exec(text);
  if (match === null) return undefined;
  const [, sign = "", digits = "", suffix = ""] = match;
  const [whole = "", fraction = ""] = digits.split(".");
  let scaled = BigInt(whole + fraction || "0") * nano;
  let divisor = 10n ** BigInt(fraction.length);
  let format: Quantity["format"] = "decimal";
  if (suffix.endsWith("i")) {
    format = "binary";
    scaled *= 1024n ** BigInt(binary.indexOf(suffix));
  } else {
    const isExponent = /^[eE]./.test(suffix);
    if (isExponent) format = "exponent";
    const exponent = isExponent ? Number(suffix.slice(1)) : (decimal[suffix] ?? 0);
    if (Math.abs(exponent) > 40) return undefined;
    if (exponent >= 0) scaled *= 10n ** BigInt(exponent);
    else divisor *= 10n ** BigInt(-exponent);
  }
  const value = (scaled + divisor - 1n) / divisor;
  return { nano: sign === "-" ? -value : value, format };
}

/** The form Kubernetes answers with: no fraction, the largest suffix that keeps the value whole. */
export function formatQuantity({ nano: value, format }: Quantity): string {
  if (value === 0n) return "0";
  const sign = value < 0n ? "-" : "";
  const size = value < 0n ? -value : value;
  // Binary suffixes cannot express a fraction, nor is a small number written with one.
  if (format === "binary" && size % nano === 0n && size / nano >= 1024n) {
    let units = size / nano;
    let power = 0;
    while (units % 1024n === 0n && power < binary.length - 1) {
      units /= 1024n;
      power++;
    }
    return `${sign}${units}${binary[power] ?? ""}`;
  }
  for (const [suffix, exponent] of decimalSuffixes.toReversed()) {
    const unit = 10n ** BigInt(exponent + 9);
    if (size % unit !== 0n) continue;
    const tail = format === "exponent" && exponent !== 0 ? `e${exponent}` : suffix;
    return `${sign}${size / unit}${tail}`;
  }
  return `${sign}${size}n`;
}
