/** Both scaling modes over all generators, several seeds each: the tables of docs/smooth-mode.md. */
import { revisionScaling } from "../../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig, scalingModes, type ScalingMode } from "../../api/autoscaling-config.ts";
import { numbersOf, type Numbers } from "./numbers.ts";
import { simulate, type Run } from "./simulation.ts";
import { fittingPods, generate, generators } from "./workload.ts";

export interface Scene {
  generator: string;
  seed: number;
  containerConcurrency: number;
}

/** What is the same in every comparison: half a second of lognormal spread around pods that start in 1.5 s. */
export const surroundings = { podStartMs: 1500, podStartSigma: 0.3, writeMs: 20 } as const;

export function simulateScene(
  { generator, seed, containerConcurrency }: Scene,
  mode: ScalingMode,
): { run: Run; target: number } {
  const scaling = revisionScaling({ "swell.dev/scaling-mode": mode }, config, containerConcurrency);
  const workload = generate(generator, { seed });
  const startPods = fittingPods(workload, scaling.target);
  const demand = { is: "requests", workload } as const;
  const run = simulate({ scaling, config, containerConcurrency, demand, startPods, seed, ...surroundings });
  return { run, target: scaling.target };
}

const config = parseAutoscalerConfig({});

export interface Compared {
  generator: string;
  /** Sums over the seeds, waits over all their requests. */
  modes: Record<ScalingMode, Numbers>;
}

export function compare(names: readonly string[], seeds: readonly number[], containerConcurrency: number): Compared[] {
  return names.map((generator) => {
    const of = (mode: ScalingMode): Numbers =>
      pooled(
        seeds.map((seed) => {
          const { run, target } = simulateScene({ generator, seed, containerConcurrency }, mode);
          return { run, numbers: numbersOf(run, target), target };
        }),
      );
    return { generator, modes: { exact: of("exact"), smooth: of("smooth") } };
  });
}

function pooled(runs: { run: Run; numbers: Numbers; target: number }[]): Numbers {
  const first = runs[0]!;
  const waitMs = new Float64Array(runs.reduce((count, { run }) => count + run.waitMs.length, 0));
  let filled = 0;
  for (const { run } of runs) {
    waitMs.set(run.waitMs, filled);
    filled += run.waitMs.length;
  }
  const all = numbersOf({ ...first.run, waitMs }, first.target);
  const sum = (of: (numbers: Numbers) => number): number => runs.reduce((total, { numbers }) => total + of(numbers), 0);
  return {
    ...all,
    requests: sum(({ requests }) => requests),
    unserved: sum(({ unserved }) => unserved),
    podSeconds: sum(({ podSeconds }) => podSeconds),
    oraclePodSeconds: sum(({ oraclePodSeconds }) => oraclePodSeconds),
    coldStarts: sum(({ coldStarts }) => coldStarts),
    coldRequests: sum(({ coldRequests }) => coldRequests),
    mostPods: Math.max(...runs.map(({ numbers }) => numbers.mostPods)),
    directionChanges: sum(({ directionChanges }) => directionChanges),
    flips: sum(({ flips }) => flips),
    evaluations: sum(({ evaluations }) => evaluations),
  };
}

/** Markdown; one line per generator and mode. */
export function comparisonTable(compared: readonly Compared[]): string {
  const lines = compared.flatMap(({ generator, modes }) =>
    scalingModes.map((mode) => {
      const of = modes[mode];
      const share = Math.round((100 * of.podSeconds) / modes.exact.podSeconds);
      return [
        mode === "exact" ? generator : "",
        mode,
        Math.round(of.podSeconds).toLocaleString("en-US"),
        mode === "exact" ? "" : `${share} %`,
        (of.podSeconds / of.oraclePodSeconds).toFixed(2),
        Math.round(of.waitP50Ms),
        Math.round(of.waitP99Ms),
        of.coldStarts,
        of.mostPods,
        of.directionChanges,
        of.flips,
      ];
    }),
  );
  const head = [
    "traffic",
    "mode",
    "pod-seconds",
    "of exact",
    "over oracle",
    "wait p50 ms",
    "p99 ms",
    "cold starts",
    "most pods",
    "turns",
    "flips",
  ];
  const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
  return [row(head), row(head.map((_, index) => (index < 2 ? "---" : "---:"))), ...lines.map(row)].join("\n");
}

export const describedGenerators = (): string =>
  Object.entries(generators)
    .map(([name, { description }]) => `- **${name}**: ${description}.`)
    .join("\n");
