/** The ConfigMap `config-autoscaler` (spec: autoscaling 1.2): same keys, defaults and bounds as Knative's. */
import { ConfigError } from "../process/env.ts";
import { parseDuration } from "./duration.ts";

export const kpaClass = "kpa.autoscaling.knative.dev";
export const hpaClass = "hpa.autoscaling.knative.dev";

/** Bounds that ConfigMap and annotations share. */
export const windowMinMs = 6_000;
export const windowMaxMs = 3_600_000;
export const targetMin = 0.01;
export const int32Max = 2_147_483_647;

/** Ours. `exact`: Knative's decisions to the digit; `smooth`: see docs/smooth-mode.md. */
export const scalingModes = ["exact", "smooth"] as const;
export type ScalingMode = (typeof scalingModes)[number];

export const parseScalingMode = (text: string): ScalingMode | undefined => scalingModes.find((mode) => mode === text);

export interface AutoscalerConfig {
  /** Fraction in (0, 1]. */
  containerConcurrencyTargetFraction: number;
  containerConcurrencyTargetDefault: number;
  requestsPerSecondTargetDefault: number;
  /** -1: the activator stays in the path. */
  targetBurstCapacity: number;
  stableWindowMs: number;
  panicWindowPercentage: number;
  panicThresholdPercentage: number;
  maxScaleUpRate: number;
  maxScaleDownRate: number;
  enableScaleToZero: boolean;
  scaleToZeroGracePeriodMs: number;
  scaleToZeroPodRetentionPeriodMs: number;
  podAutoscalerClass: string;
  activatorCapacity: number;
  initialScale: number;
  allowZeroInitialScale: boolean;
  minScale: number;
  /** 0 = none. */
  maxScale: number;
  /** 0 = none. */
  maxScaleLimit: number;
  scaleDownDelayMs: number;
  /** Decisions between ticks, as soon as something happens. Off: Knative's own timing. */
  eventEvaluations: boolean;
  scalingMode: ScalingMode;
}

export const autoscalerConfigKey = {
  containerConcurrencyTargetPercentage: "container-concurrency-target-percentage",
  containerConcurrencyTargetDefault: "container-concurrency-target-default",
  requestsPerSecondTargetDefault: "requests-per-second-target-default",
  targetBurstCapacity: "target-burst-capacity",
  stableWindow: "stable-window",
  panicWindowPercentage: "panic-window-percentage",
  panicThresholdPercentage: "panic-threshold-percentage",
  maxScaleUpRate: "max-scale-up-rate",
  maxScaleDownRate: "max-scale-down-rate",
  enableScaleToZero: "enable-scale-to-zero",
  scaleToZeroGracePeriod: "scale-to-zero-grace-period",
  scaleToZeroPodRetentionPeriod: "scale-to-zero-pod-retention-period",
  podAutoscalerClass: "pod-autoscaler-class",
  activatorCapacity: "activator-capacity",
  initialScale: "initial-scale",
  allowZeroInitialScale: "allow-zero-initial-scale",
  minScale: "min-scale",
  maxScale: "max-scale",
  maxScaleLimit: "max-scale-limit",
  scaleDownDelay: "scale-down-delay",
  /** Ours: `enabled` or `disabled`. */
  eventEvaluations: "event-evaluations",
  /** Ours: `exact` or `smooth`. */
  scalingMode: "scaling-mode",
} as const;

const booleans: Readonly<Record<string, boolean>> = {
  1: true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  0: false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
};

/** Absent keys have their defaults, unknown ones are ignored. Throws {@link ConfigError} with every problem found. */
export function parseAutoscalerConfig(data: Readonly<Record<string, string>> | undefined): AutoscalerConfig {
  const problems: string[] = [];
  const key = autoscalerConfigKey;

  /** The value of `name` by `parse`, which answers undefined for what it cannot read. */
  const read = <T>(name: string, fallback: T, parse: (text: string) => T | undefined, want: string): T => {
    const text = data?.[name]?.trim();
    if (text === undefined) return fallback;
    const value = parse(text);
    if (value === undefined)
      problems.push(`failed to parse ${JSON.stringify(name)}: ${JSON.stringify(text)}: want ${want}`);
    return value ?? fallback;
  };
  const require = (holds: boolean, problem: string): void => {
    if (!holds) problems.push(problem);
  };
  const float = (name: string, fallback: number): number => read(name, fallback, parseFloat64, "a number");
  const int32 = (name: string, fallback: number): number =>
    read(name, fallback, parseInt32, "a whole number of 32 bits");
  const boolean = (name: string, fallback: boolean): boolean =>
    read(name, fallback, (text) => booleans[text], "true or false");
  const duration = (name: string, fallbackMs: number): number =>
    read(name, fallbackMs, parseDuration, "a duration such as 60s");

  const percentage = float(key.containerConcurrencyTargetPercentage, 70);
  const config: AutoscalerConfig = {
    // "1" means 100 %: only what is above 1 is a percentage.
    containerConcurrencyTargetFraction: percentage > 1 ? percentage / 100 : percentage,
    containerConcurrencyTargetDefault: float(key.containerConcurrencyTargetDefault, 100),
    requestsPerSecondTargetDefault: float(key.requestsPerSecondTargetDefault, 200),
    targetBurstCapacity: float(key.targetBurstCapacity, 211),
    stableWindowMs: duration(key.stableWindow, 60_000),
    panicWindowPercentage: float(key.panicWindowPercentage, 10),
    panicThresholdPercentage: float(key.panicThresholdPercentage, 200),
    maxScaleUpRate: float(key.maxScaleUpRate, 1000),
    maxScaleDownRate: float(key.maxScaleDownRate, 2),
    enableScaleToZero: boolean(key.enableScaleToZero, true),
    scaleToZeroGracePeriodMs: duration(key.scaleToZeroGracePeriod, 30_000),
    scaleToZeroPodRetentionPeriodMs: duration(key.scaleToZeroPodRetentionPeriod, 0),
    podAutoscalerClass: data?.[key.podAutoscalerClass]?.trim() || kpaClass,
    activatorCapacity: float(key.activatorCapacity, 100),
    initialScale: int32(key.initialScale, 1),
    allowZeroInitialScale: boolean(key.allowZeroInitialScale, false),
    minScale: int32(key.minScale, 0),
    maxScale: int32(key.maxScale, 0),
    maxScaleLimit: int32(key.maxScaleLimit, 0),
    scaleDownDelayMs: duration(key.scaleDownDelay, 0),
    eventEvaluations: read(
      key.eventEvaluations,
      true,
      (text) => (text.toLowerCase() === "enabled" ? true : text.toLowerCase() === "disabled" ? false : undefined),
      "enabled or disabled",
    ),
    scalingMode: read(key.scalingMode, "exact", parseScalingMode, scalingModes.join(" or ")),
  };

  const fraction = config.containerConcurrencyTargetFraction;
  require(fraction > 0 &&
    fraction <= 1, `${key.containerConcurrencyTargetPercentage} = ${percentage}: want more than 0 and at most 100`);
  require(config.containerConcurrencyTargetDefault * fraction >=
    targetMin, `${key.containerConcurrencyTargetDefault} times ${key.containerConcurrencyTargetPercentage} = ${config.containerConcurrencyTargetDefault * fraction}: want at least ${targetMin}`);
  require(config.requestsPerSecondTargetDefault >=
    targetMin, `${key.requestsPerSecondTargetDefault} = ${config.requestsPerSecondTargetDefault}: want at least ${targetMin}`);
  require(config.targetBurstCapacity >= 0 ||
    config.targetBurstCapacity ===
      -1, `${key.targetBurstCapacity} = ${config.targetBurstCapacity}: want at least 0, or -1 for no limit`);
  require(config.stableWindowMs >= windowMinMs &&
    config.stableWindowMs <= windowMaxMs, `${key.stableWindow} = ${data?.[key.stableWindow]}: want 6s to 1h`);
  require(config.stableWindowMs % 1000 === 0, `${key.stableWindow} = ${data?.[key.stableWindow]}: want whole seconds`);
  require(config.panicWindowPercentage >= 1 &&
    config.panicWindowPercentage <=
      100, `${key.panicWindowPercentage} = ${config.panicWindowPercentage}: want 1 to 100`);
  require(config.maxScaleUpRate > 1, `${key.maxScaleUpRate} = ${config.maxScaleUpRate}: want more than 1`);
  require(config.maxScaleDownRate > 1, `${key.maxScaleDownRate} = ${config.maxScaleDownRate}: want more than 1`);
  require(config.scaleToZeroGracePeriodMs >
    0, `${key.scaleToZeroGracePeriod} = ${data?.[key.scaleToZeroGracePeriod]}: want more than 0`);
  require(config.scaleToZeroPodRetentionPeriodMs >=
    0, `${key.scaleToZeroPodRetentionPeriod} = ${data?.[key.scaleToZeroPodRetentionPeriod]}: want at least 0`);
  require(config.activatorCapacity >= 1, `${key.activatorCapacity} = ${config.activatorCapacity}: want at least 1`);
  require(config.initialScale > 0 ||
    (config.initialScale === 0 &&
      config.allowZeroInitialScale), `${key.initialScale} = ${config.initialScale}: want at least ${config.allowZeroInitialScale ? 0 : `1 (0 with ${key.allowZeroInitialScale})`}`);
  require(config.minScale >= 0, `${key.minScale} = ${config.minScale}: want at least 0`);
  require(config.maxScaleLimit >= 0, `${key.maxScaleLimit} = ${config.maxScaleLimit}: want at least 0`);
  require(config.maxScale >= 0, `${key.maxScale} = ${config.maxScale}: want at least 0`);
  require(config.maxScale <= 0 ||
    config.minScale <=
      config.maxScale, `${key.minScale} = ${config.minScale}: want at most ${key.maxScale} = ${config.maxScale}`);
  require(config.maxScaleLimit <= 0 ||
    (config.maxScale >= 1 &&
      config.maxScale <=
        config.maxScaleLimit), `${key.maxScale} = ${config.maxScale}: want 1 to ${key.maxScaleLimit} = ${config.maxScaleLimit}`);
  require(config.scaleDownDelayMs >= 0 &&
    config.scaleDownDelayMs % 1000 ===
      0, `${key.scaleDownDelay} = ${data?.[key.scaleDownDelay]}: want at least 0, in whole seconds`);

  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(config);
}

/** What Go's ParseFloat accepts of what people write; undefined for the rest, infinities and NaN. */
export function parseFloat64(text: string): number | undefined {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/iu.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

export function parseInt32(text: string): number | undefined {
  if (!/^[+-]?\d+$/u.test(text)) return undefined;
  const value = Number(text);
  return value >= -int32Max - 1 && value <= int32Max ? value : undefined;
}
