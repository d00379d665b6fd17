/** `npm run simulate -- --generate spike`: the autoscaler against traffic, on a clock of its own. */
import { Command } from "commander";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { revisionScaling, validateAutoscalingAnnotations } from "../../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import { autoscalingPrefix } from "../../api/keys.ts";
import { ConfigError } from "../../process/env.ts";
import { loadAzureTrace, TraceError } from "./azure-trace.ts";
import { compare, comparisonTable, describedGenerators, simulateScene } from "./comparison.ts";
import { numbersOf, type Numbers } from "./numbers.ts";
import { simulate } from "./simulation.ts";
import { drawRuns } from "./svg.ts";
import { fittingPods, generate, generators, type Workload } from "./workload.ts";

const root = path.resolve(import.meta.dirname, "../..");
const inCallersFolder = (file: string): string => path.resolve(process.env["INIT_CWD"] ?? process.cwd(), file);

interface Flags {
  trace?: string;
  function?: string;
  generate?: string;
  annotations: string;
  config: string;
  concurrency: string;
  seed: string;
  duration?: string;
  scale: string;
  service?: string;
  start: string;
  startSpread: string;
  pods?: string;
  svg?: string;
  json?: string;
  compare?: boolean;
  docs?: boolean;
}

const flags = new Command("npm run simulate --")
  .description("The autoscaler's decisions, windows and walk to zero against traffic, on a virtual clock.")
  .option("--generate <name>", `made traffic: ${Object.keys(generators).join(", ")}`)
  .option("--trace <file>", "recorded traffic: CSV with app, func, end_timestamp, duration in seconds (Azure 2021)")
  .option("--function <hash>", "of the trace; default: its busiest")
  .option("--annotations <k=v,...>", "of the revision; autoscaling.knative.dev/ may be left out", "")
  .option("--config <k=v,...>", "keys of config-autoscaler", "")
  .option("--concurrency <count>", "containerConcurrency, 0 = unlimited", "10")
  .option("--seed <number>", "another one is another day of the same kind", "1")
  .option("--duration <seconds>", "default: the generator's own, or the whole trace")
  .option("--scale <factor>", "multiplies a generator's rates", "1")
  .option("--service <ms>", "mean service time of a generator")
  .option("--start <ms>", "median start-up time of a pod", "1500")
  .option("--start-spread <sigma>", "deviation of its logarithm", "0.3")
  .option("--pods <count>", "ready at the start; default: what the first ten seconds need")
  .option("--svg <file>", "a picture of it")
  .option("--json <file>", "numbers and series; - for standard output")
  .option("--compare", "both scaling modes over all generators, as a table")
  .option("--docs", "with --compare: writes docs/smooth-mode.md and its pictures")
  .showHelpAfterError()
  .parse()
  .opts<Flags>();

function fail(message: string): never {
  process.stderr.write(`error: ${message}\n`);
  process.exit(1);
}

function numberOf(name: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0) fail(`--${name} ${text}: want a number, 0 or more`);
  return value;
}

function pairsOf(name: string, text: string): Record<string, string> {
  const pairs = text.split(",").filter((pair) => pair.trim() !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf("=");
      if (equals < 1) fail(`--${name} ${pair}: want KEY=VALUE`);
      return [pair.slice(0, equals).trim(), pair.slice(equals + 1).trim()];
    }),
  );
}

/** `target=5` and `scaling-mode=smooth` mean what they mean on a template. */
function annotations(): Record<string, string> {
  const named = Object.entries(pairsOf("annotations", flags.annotations));
  return Object.fromEntries(
    named.map(([key, value]) => {
      if (key.includes("/")) return [key, value];
      return [key === "scaling-mode" ? `swell.dev/${key}` : autoscalingPrefix + key, value];
    }),
  );
}

async function workload(seed: number): Promise<Workload> {
  const durationMs = flags.duration === undefined ? undefined : numberOf("duration", flags.duration) * 1000;
  if (flags.trace !== undefined)
    return loadAzureTrace(inCallersFolder(flags.trace), {
      ...(flags.function === undefined ? {} : { func: flags.function }),
      ...(durationMs === undefined ? {} : { mostMs: durationMs }),
    });
  return generate(flags.generate!, {
    seed,
    scale: numberOf("scale", flags.scale),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(flags.service === undefined ? {} : { serviceMs: numberOf("service", flags.service) }),
  });
}

async function simulateOne(): Promise<void> {
  const config = parseAutoscalerConfig(pairsOf("config", flags.config));
  const named = annotations();
  const problems = validateAutoscalingAnnotations(named, config);
  if (problems.length > 0)
    fail(problems.map(({ message, paths }) => `${message}: ${paths.join(", ")}`).join("\n       "));
  const containerConcurrency = numberOf("concurrency", flags.concurrency);
  const scaling = revisionScaling(named, config, containerConcurrency);
  const seed = numberOf("seed", flags.seed);
  const traffic = await workload(seed);
  const startedMs = performance.now();
  const run = simulate({
    scaling,
    config,
    containerConcurrency,
    demand: { is: "requests", workload: traffic },
    startPods: flags.pods === undefined ? fittingPods(traffic, scaling.target) : numberOf("pods", flags.pods),
    podStartMs: numberOf("start", flags.start),
    podStartSigma: numberOf("start-spread", flags.startSpread),
    writeMs: 20,
    seed,
  });
  const numbers = numbersOf(run, scaling.target);
  const tookMs = performance.now() - startedMs;
  const title = `${traffic.name}, ${scaling.mode} mode, target ${scaling.target} of ${scaling.total} per pod, seed ${seed}`;
  if (flags.svg !== undefined)
    writeFileSync(
      inCallersFolder(flags.svg),
      drawRuns([{ label: scaling.mode, run }], { title, target: scaling.target }),
    );
  const json = (): string => {
    const { series, decisions } = run;
    const lists = Object.fromEntries(Object.entries(series).map(([name, values]) => [name, [...values]]));
    return `${JSON.stringify({ title, numbers, decisions, series: lists })}\n`;
  };
  if (flags.json !== undefined && flags.json !== "-") writeFileSync(inCallersFolder(flags.json), json());
  if (flags.json === "-") process.stdout.write(json());
  else
    console.log(
      [
        title,
        ...numbersText(numbers),
        `simulated ${traffic.durationMs / 1000} s in ${(tookMs / 1000).toFixed(1)} s`,
      ].join("\n"),
    );
}

function numbersText(of: Numbers): string[] {
  const ms = (value: number): string => `${Math.round(value)} ms`;
  const rows: [string, string][] = [
    [
      "requests",
      of.unserved === 0 ? String(of.requests) : `${of.requests}, of which ${of.unserved} were still waiting`,
    ],
    [
      "pod-seconds",
      `${Math.round(of.podSeconds)}; an oracle needs ${of.oraclePodSeconds} (${(of.podSeconds / of.oraclePodSeconds).toFixed(2)} times)`,
    ],
    ["most pods", String(of.mostPods)],
    ["wait for a pod", `p50 ${ms(of.waitP50Ms)}, p99 ${ms(of.waitP99Ms)}, most ${ms(of.waitMaxMs)}`],
    ["cold starts", `${of.coldStarts}, for ${of.coldRequests} requests`],
    ["direction changes", String(of.directionChanges)],
    ["Serve/Proxy flips", String(of.flips)],
    ["evaluations", String(of.evaluations)],
  ];
  return rows.map(([name, text]) => `  ${name.padEnd(18)} ${text}`);
}

const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
const pictured = ["step", "spike", "sporadic"];

function compareModes(): void {
  const names = Object.keys(generators);
  // A day each is plenty.
  const table = (cc: number): string =>
    comparisonTable([
      ...compare(
        names.filter((name) => name !== "diurnal"),
        seeds,
        cc,
      ),
      ...compare(["diurnal"], seeds.slice(0, 1), cc),
    ]);
  const tables = { ten: table(10), one: table(1) };
  if (flags.docs !== true)
    return console.log(`containerConcurrency 10\n${tables.ten}\n\ncontainerConcurrency 1\n${tables.one}`);
  const page = path.join(root, "docs", "smooth-mode.md");
  let text = readFileSync(page, "utf8");
  text = between(text, "table 10", tables.ten);
  text = between(text, "table 1", tables.one);
  text = between(text, "generators", describedGenerators());
  writeFileSync(page, text);
  const { status } = spawnSync(process.execPath, [path.join(root, "process", "pinned.mjs"), "--bin", "oxfmt", page]);
  if (status !== 0) fail(`${page} was written but could not be formatted`);
  mkdirSync(path.join(root, "docs", "images"), { recursive: true });
  for (const generator of pictured) {
    const scene = { generator, seed: 1, containerConcurrency: 10 };
    const [exact, smooth] = [simulateScene(scene, "exact"), simulateScene(scene, "smooth")];
    const title = `${generator}: ${generators[generator]!.description}`;
    writeFileSync(
      path.join(root, "docs", "images", `smooth-mode-${generator}.svg`),
      drawRuns(
        [
          { label: "exact", run: exact.run },
          { label: "smooth", run: smooth.run },
        ],
        { title, target: exact.target },
      ),
    );
  }
}

/** Replaces what stands between the two comments of that name. */
function between(text: string, name: string, content: string): string {
  const [start, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) fail(`docs/smooth-mode.md has no ${start} … ${end}`);
  return `${text.slice(0, from + start.length)}\n\n${content}\n\n${text.slice(to)}`;
}

try {
  if (flags.compare === true) compareModes();
  else if ((flags.trace === undefined) === (flags.generate === undefined))
    fail("want one of --generate NAME, --trace FILE, --compare");
  else await simulateOne();
} catch (error) {
  if (error instanceof ConfigError) fail(error.problems.join("\n       "));
  if (error instanceof TraceError || error instanceof RangeError) fail(error.message);
  throw error;
}
