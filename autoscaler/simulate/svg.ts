/** A run, or several over the same traffic, as a picture: load, pods, queue, cold starts over time. Strings only. */
import type { Run, Series } from "./simulation.ts";

export interface Drawn {
  label: string;
  run: Run;
}

export interface DrawOptions {
  title: string;
  /** Load that one pod should have. */
  target: number;
}

const width = 1000;
const [left, right, top] = [64, 24, 76];
const gap = 46;
const plotWidth = width - left - right;
const heights = { load: 150, pods: 190, queue: 100 };
/** Where legends begin, from the left edge of the plots. */
const legendAt = 206;
const most = 900;
const loadColor = "#6b7280";
const colors = ["#c2410c", "#1d4ed8", "#15803d"];

interface Line {
  label: string;
  values: ArrayLike<number>;
  color: string;
  /** How the seconds of one column become one value. */
  of: "mean" | "most";
  dashed?: boolean;
  steps?: boolean;
  area?: boolean;
}

interface Panel {
  title: string;
  y: number;
  height: number;
  lines: Line[];
}

export function drawRuns(runs: readonly [Drawn, ...Drawn[]], { title, target }: DrawOptions): string {
  const seconds = runs[0].run.series.queue.length;
  const offered = runs[0].run.series.offered;
  const oracle = Float64Array.from(offered, (load) => Math.ceil(load / target - 1e-9));
  const named = (label: string, what: string): string => (runs.length > 1 ? `${what}, ${label}` : what);
  const each = (make: (series: Series, color: string, label: string) => Line[]): Line[] =>
    runs.flatMap(({ run, label }, index) => make(run.series, colors[index % colors.length]!, label));
  const loadY = top;
  const podsY = loadY + heights.load + gap;
  const queueY = podsY + heights.pods + gap;
  const height = queueY + heights.queue + 58;
  const panels: Panel[] = [
    {
      title: "requests in flight",
      y: loadY,
      height: heights.load,
      lines: [
        { label: "offered, if nothing waited", values: offered, color: loadColor, of: "mean", area: true },
        ...each(({ inFlight }, color, label) => [
          { label: named(label, "in flight, waiting included"), values: inFlight, color, of: "mean" },
        ]),
      ],
    },
    {
      title: "pods",
      y: podsY,
      height: heights.pods,
      lines: [
        { label: "oracle", values: oracle, color: loadColor, of: "mean", area: true, steps: true },
        ...each(({ ready, replicas }, color, label) => [
          { label: named(label, "wanted"), values: replicas, color, of: "most", dashed: true, steps: true },
          { label: named(label, "ready"), values: ready, color, of: "most", steps: true },
        ]),
      ],
    },
    {
      title: "requests that wait for a pod",
      y: queueY,
      height: heights.queue,
      lines: each(({ queue }, color, label) => [{ label: named(label, "waiting"), values: queue, color, of: "most" }]),
    },
  ];
  const marks = runs.map(({ run, label }, index) =>
    coldStarts(run, seconds, queueY + heights.queue, colors[index % colors.length]!, named(label, "cold start"), index),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="${left}" y="28" font-size="17" font-weight="600" fill="#111827">${escaped(title)}</text>`,
    ...panels.map((panel) => drawPanel(panel, seconds)),
    ...marks,
    timeAxis(seconds, queueY + heights.queue),
    "</svg>",
    "",
  ].join("\n");
}

function drawPanel({ title, y, height, lines }: Panel, seconds: number): string {
  const columns = lines.map((line) => columnsOf(line));
  const highest = Math.max(1, ...columns.map((values) => values.reduce((a, b) => Math.max(a, b), 0)));
  const step = niceStep(highest / 4);
  const scaleTop = Math.ceil(highest / step) * step;
  const yOf = (value: number): number => y + height - (value / scaleTop) * height;
  const parts = [`<text x="${left}" y="${y - 10}" font-weight="600" fill="#111827">${escaped(title)}</text>`];
  for (let value = 0; value <= scaleTop + step / 2; value += step)
    parts.push(
      `<line x1="${left}" x2="${width - right}" y1="${at(yOf(value))}" y2="${at(yOf(value))}" stroke="#e5e7eb"/>`,
      `<text x="${left - 8}" y="${at(yOf(value) + 4)}" text-anchor="end" fill="#4b5563">${shortNumber(value)}</text>`,
    );
  for (const second of timeTicks(seconds)) {
    const x = at(left + (second / seconds) * plotWidth);
    parts.push(`<line x1="${x}" x2="${x}" y1="${y}" y2="${y + height}" stroke="#f3f4f6"/>`);
  }
  lines.forEach((line, index) => parts.push(drawLine(line, columns[index]!, yOf, y + height)));
  return [...parts, legend(lines, y - 10, left + legendAt)].join("\n");
}

function drawLine(line: Line, values: readonly number[], yOf: (value: number) => number, bottom: number): string {
  const xOf = (column: number): number => left + (column / values.length) * plotWidth;
  let path = "";
  let previous: string | undefined;
  values.forEach((value, column) => {
    const y = at(yOf(value));
    // A level that stays is one stroke.
    if (line.steps === true) {
      if (y !== previous) path += previous === undefined ? `M${at(xOf(column))} ${y}` : `H${at(xOf(column))}V${y}`;
    } else path += `${column === 0 ? "M" : "L"}${at(xOf(column + 0.5))} ${y}`;
    previous = y;
  });
  if (line.steps === true) path += `H${at(xOf(values.length))}`;
  if (line.area === true) {
    const [from, to] = line.steps === true ? [xOf(0), xOf(values.length)] : [xOf(0.5), xOf(values.length - 0.5)];
    return `<path d="${path}L${at(to)} ${bottom}L${at(from)} ${bottom}Z" fill="${line.color}" fill-opacity="0.22" stroke="none"/>`;
  }
  const dash =
    line.dashed === true ? ' stroke-dasharray="4 3" stroke-opacity="0.75" stroke-width="1.2"' : ' stroke-width="1.8"';
  return `<path d="${path}" fill="none" stroke="${line.color}" stroke-linejoin="round"${dash}/>`;
}

function legend(lines: readonly Line[], y: number, from: number): string {
  let x = from;
  return lines
    .map(({ label, color, dashed, area }) => {
      const mark =
        area === true
          ? `<rect x="${x}" y="${y - 10}" width="18" height="10" fill="${color}" fill-opacity="0.3"/>`
          : `<line x1="${x}" x2="${x + 18}" y1="${y - 4}" y2="${y - 4}" stroke="${color}" stroke-width="2"${dashed === true ? ' stroke-dasharray="4 3"' : ""}/>`;
      const text = `<text x="${x + 24}" y="${y}" fill="#374151">${escaped(label)}</text>`;
      x += 24 + label.length * 6.4 + 20;
      return mark + text;
    })
    .join("\n");
}

function coldStarts(run: Run, seconds: number, y: number, color: string, label: string, row: number): string {
  if (run.coldStarts.length === 0) return "";
  const marks = run.coldStarts.map((atMs) => {
    const x = left + (atMs / 1000 / seconds) * plotWidth;
    const tip = y + 2 + row * 7;
    return `<path d="M${at(x)} ${tip}l4 7h-8z" fill="${color}"/>`;
  });
  const x = left + legendAt + row * 220;
  const key = `<path d="M${x + 9} ${y + 42}l4 7h-8z" fill="${color}"/><text x="${x + 24}" y="${y + 50}" fill="#374151">${escaped(label)} (${run.coldStarts.length})</text>`;
  return [...marks, key].join("");
}

function timeAxis(seconds: number, y: number): string {
  const ticks = timeTicks(seconds).map((second) => {
    const x = at(left + (second / seconds) * plotWidth);
    // The outermost ones stay within the plot.
    const anchor = second === 0 ? "start" : second > seconds * 0.98 ? "end" : "middle";
    return `<text x="${x}" y="${y + 30}" text-anchor="${anchor}" fill="#4b5563">${timeText(second, seconds)}</text>`;
  });
  const axis = `<line x1="${left}" x2="${width - right}" y1="${y}" y2="${y}" stroke="#9ca3af"/>`;
  return [axis, ...ticks].join("\n");
}

/** At most `most` values: a pixel each. */
function columnsOf({ values, of }: Line): number[] {
  const { length } = values;
  const columns = Math.min(length, most);
  return Array.from({ length: columns }, (_, column) => {
    const from = Math.floor((column * length) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * length) / columns));
    let [sum, highest] = [0, 0];
    for (let index = from; index < to; index++) {
      sum += values[index]!;
      highest = Math.max(highest, values[index]!);
    }
    return of === "most" ? highest : sum / (to - from);
  });
}

/** 1, 2 or 5 times a power of ten; whole, for all that is drawn here can be counted. */
function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  for (const factor of [1, 2, 5, 10]) if (factor * power >= rough) return factor * power;
  return power;
}

function timeTicks(seconds: number): number[] {
  const steps = [10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10_800, 21_600, 86_400];
  const step = steps.find((candidate) => seconds / candidate <= 10) ?? Math.ceil(seconds / 10);
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => index * step);
}

function timeText(second: number, seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(second / 3600), Math.floor(second / 60)];
  return seconds > 7200 ? `${two(hours)}:${two(minutes % 60)} h` : `${minutes}:${two(Math.floor(second) % 60)} min`;
}

const at = (value: number): string => String(Math.round(value * 10) / 10);
const shortNumber = (value: number): string => (value >= 10_000 ? `${value / 1000}k` : String(value));
const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
