/** The annotations `autoscaling.knative.dev/*` of a Revision and its PodAutoscaler (spec: autoscaling 1.1, 1.4). */
import {
  hpaClass,
  int32Max,
  kpaClass,
  parseFloat64,
  parseInt32,
  parseScalingMode,
  targetMin,
  windowMaxMs,
  windowMinMs,
  type AutoscalerConfig,
  type ScalingMode,
} from "./autoscaling-config.ts";
import { formatDuration, parseDuration } from "./duration.ts";
import { autoscalingPrefix } from "./keys.ts";

/** A setting's spellings: the first one that is present counts. */
export type Spellings = readonly [string, ...string[]];
const spellings = (name: string, ...aliases: string[]): Spellings => [
  autoscalingPrefix + name,
  ...aliases.map((alias) => autoscalingPrefix + alias),
];

export const autoscalingAnnotation = {
  class: spellings("class"),
  metric: spellings("metric"),
  target: spellings("target"),
  targetUtilization: spellings("target-utilization-percentage", "targetUtilizationPercentage"),
  targetBurstCapacity: spellings("target-burst-capacity", "targetBurstCapacity"),
  window: spellings("window"),
  panicWindow: spellings("panic-window-percentage", "panicWindowPercentage"),
  panicThreshold: spellings("panic-threshold-percentage", "panicThresholdPercentage"),
  aggregation: spellings("metric-aggregation-algorithm", "metricAggregationAlgorithm"),
  minScale: spellings("min-scale", "minScale"),
  maxScale: spellings("max-scale", "maxScale"),
  initialScale: spellings("initial-scale", "initialScale"),
  activationScale: spellings("activation-scale"),
  scaleDownDelay: spellings("scale-down-delay", "scaleDownDelay"),
  retentionPeriod: spellings("scale-to-zero-pod-retention-period", "scaleToZeroPodRetentionPeriod"),
  /** Ours. */
  scalingMode: ["swell.dev/scaling-mode"],
} as const;

export type Annotations = Readonly<Record<string, string>> | undefined;

/** The key that is present and its value. */
export function findAnnotation(annotations: Annotations, names: Spellings): { key: string; value: string } | undefined {
  for (const key of names) {
    const value = annotations?.[key];
    if (value !== undefined) return { key, value };
  }
  return undefined;
}

export type Aggregation = "linear" | "weighted-exponential";

/** How one revision is scaled: its annotations over the cluster's configuration. */
export interface RevisionScaling {
  class: string;
  metric: "concurrency" | "rps";
  /** What one pod can take, in units of the metric. */
  total: number;
  /** What one pod should have: `total` times utilization, at least 0.01. */
  target: number;
  /** -1: the activator stays in the path. */
  targetBurstCapacity: number;
  aggregation: Aggregation;
  stableWindowMs: number;
  panicWindowMs: number;
  /** Fraction: 2 means twice what the ready pods should have. */
  panicThreshold: number;
  maxScaleUpRate: number;
  maxScaleDownRate: number;
  minScale: number;
  /** 0 = no limit. */
  maxScale: number;
  initialScale: number;
  /** 0 = off. */
  activationScale: number;
  scaleDownDelayMs: number;
  retentionMs: number;
  mode: ScalingMode;
}

/** Values that cannot be read count as absent: the webhook has refused them already. */
export function revisionScaling(
  annotations: Annotations,
  config: AutoscalerConfig,
  containerConcurrency: number,
): RevisionScaling {
  const read = <T>(names: Spellings, parse: (text: string) => T | undefined): T | undefined => {
    const found = findAnnotation(annotations, names);
    return found === undefined ? undefined : parse(found.value.trim());
  };
  const percentage = (names: Spellings): number | undefined => read(names, parseFloat64);
  const is = autoscalingAnnotation;

  const metric = annotations?.[is.metric[0]] === "rps" ? "rps" : "concurrency";
  const { total, target } = podTarget(
    metric,
    containerConcurrency,
    read(is.target, parseFloat64),
    percentage(is.targetUtilization),
    config,
  );
  const stableWindowMs = read(is.window, parseDuration) ?? config.stableWindowMs;
  const aggregation = findAnnotation(annotations, is.aggregation)?.value;
  return {
    class: annotations?.[is.class[0]] || config.podAutoscalerClass,
    metric,
    total,
    target,
    targetBurstCapacity: read(is.targetBurstCapacity, parseFloat64) ?? config.targetBurstCapacity,
    aggregation:
      aggregation === "weighted-exponential" || aggregation === "weightedExponential"
        ? "weighted-exponential"
        : "linear",
    stableWindowMs,
    panicWindowMs: panicWindowMs(stableWindowMs, percentage(is.panicWindow) ?? config.panicWindowPercentage),
    panicThreshold: (percentage(is.panicThreshold) ?? config.panicThresholdPercentage) / 100,
    maxScaleUpRate: config.maxScaleUpRate,
    maxScaleDownRate: config.maxScaleDownRate,
    minScale: read(is.minScale, parseInt32) ?? config.minScale,
    maxScale: read(is.maxScale, parseInt32) ?? config.maxScale,
    initialScale: initialScale(annotations, config),
    activationScale: read(is.activationScale, parseInt32) ?? 0,
    scaleDownDelayMs: read(is.scaleDownDelay, parseDuration) ?? config.scaleDownDelayMs,
    retentionMs: read(is.retentionPeriod, parseDuration) ?? config.scaleToZeroPodRetentionPeriodMs,
    mode: read(is.scalingMode, parseScalingMode) ?? config.scalingMode,
  };
}

function podTarget(
  metric: "concurrency" | "rps",
  containerConcurrency: number,
  wanted: number | undefined,
  utilizationPercentage: number | undefined,
  config: AutoscalerConfig,
): { total: number; target: number } {
  let total: number;
  if (metric === "rps") total = wanted ?? config.requestsPerSecondTargetDefault;
  else if (containerConcurrency > 0) total = Math.min(wanted ?? containerConcurrency, containerConcurrency);
  else total = wanted ?? config.containerConcurrencyTargetDefault;
  const standard = metric === "rps" ? 0.7 : config.containerConcurrencyTargetFraction;
  const utilization = utilizationPercentage === undefined ? standard : utilizationPercentage / 100;
  return { total, target: Math.max(targetMin, total * utilization) };
}

/** Whole seconds, half away from zero, at least one. */
export function panicWindowMs(stableWindowMs: number, percentage: number): number {
  return Math.max(1000, Math.round((stableWindowMs * percentage) / 100 / 1000) * 1000);
}

/** Replicas a new Deployment starts with. An annotation of 0 needs the cluster's leave. */
export function initialScale(annotations: Annotations, config: AutoscalerConfig): number {
  const found = findAnnotation(annotations, autoscalingAnnotation.initialScale);
  const value = found === undefined ? undefined : parseInt32(found.value);
  if (value === undefined || value < 0 || (value === 0 && !config.allowZeroInitialScale)) return config.initialScale;
  return value;
}

/** One problem as Knative's field errors have it; `paths` are relative to the annotations. */
export interface AnnotationProblem {
  message: string;
  paths: string[];
  details?: string;
}

/** What the webhook refuses on a revision template. Other keys of the group are not its business. */
export function validateAutoscalingAnnotations(
  annotations: Annotations,
  config: AutoscalerConfig,
): AnnotationProblem[] {
  const problems: AnnotationProblem[] = [];
  const is = autoscalingAnnotation;
  const invalid = (value: unknown, path: string): number =>
    problems.push({ message: `invalid value: ${String(value)}`, paths: [path] });
  const bounds = (value: unknown, low: unknown, high: unknown, path: string): number =>
    problems.push({ message: `expected ${String(low)} <= ${String(value)} <= ${String(high)}`, paths: [path] });
  const problem = (message: string, ...paths: string[]): number => problems.push({ message, paths });

  const annotatedClass = annotations?.[is.class[0]];
  if (annotatedClass?.endsWith(".knative.dev") === true && annotatedClass !== kpaClass && annotatedClass !== hpaClass)
    invalid(annotatedClass, is.class[0]);

  /** A count from 0 up; undefined when absent or refused. */
  const count = (names: Spellings): number | undefined => {
    const found = findAnnotation(annotations, names);
    if (found === undefined) return undefined;
    const { key, value } = found;
    if (!/^[+-]?\d+$/u.test(value)) {
      invalid(value, key);
      return undefined;
    }
    const parsed = parseInt32(value);
    if (parsed === undefined || parsed < 0) {
      bounds(value, 0, int32Max, key);
      return undefined;
    }
    return parsed;
  };

  const minScale = count(is.minScale);
  const maxScale = count(is.maxScale);
  const minKey = findAnnotation(annotations, is.minScale)?.key ?? is.minScale[0];
  const maxKey = findAnnotation(annotations, is.maxScale)?.key ?? is.maxScale[0];
  if (maxScale !== undefined && maxScale !== 0 && maxScale < (minScale ?? 0))
    problem(`max-scale=${maxScale} is less than min-scale=${minScale}`, maxKey, minKey);
  if (maxScale !== undefined && config.maxScaleLimit > 0) {
    if (maxScale > config.maxScaleLimit) bounds(maxScale, 1, config.maxScaleLimit, maxKey);
    if (maxScale === 0) problem(`max-scale=0 (unlimited), must be less than ${config.maxScaleLimit}`, maxKey);
  }

  validateInitialScale();
  validateActivationScale();
  validateMetric();
  validateNumbers();
  validateDurations();
  return problems;

  function validateInitialScale(): void {
    const found = findAnnotation(annotations, is.initialScale);
    if (found === undefined) return;
    const { key, value } = found;
    const scale = parseInt32(value);
    // The sentence sits in the path: Knative's clients see it there.
    if (scale === undefined) invalid(value, key);
    else if (scale < 0) invalid(value, `${key} must be greater than 0`);
    else if (scale === 0 && !config.allowZeroInitialScale) invalid(value, `${key}=0 not allowed by cluster`);
  }

  /** Says only what is wrong first. */
  function validateActivationScale(): void {
    const found = findAnnotation(annotations, is.activationScale);
    if (found === undefined) return;
    const { key, value } = found;
    const scale = parseInt32(value);
    const [least, most] = [minScale ?? 0, maxScale ?? 0];
    if (scale === undefined) invalid(value, key);
    else if (least > scale) problem(`min-scale=${least} is greater than activation-scale=${scale}`, key);
    else if (most !== 0 && most < scale) problem(`max-scale=${most} is less than activation-scale=${scale}`, key);
    else if (scale < 2) problem(`activation-scale=${scale} must be greater than 1`, key);
  }

  function validateMetric(): void {
    const metric = annotations?.[is.metric[0]];
    const effectiveClass = annotatedClass ?? config.podAutoscalerClass;
    if (metric !== undefined) {
      if (effectiveClass === kpaClass && metric !== "concurrency" && metric !== "rps") invalid(metric, is.metric[0]);
      if (effectiveClass === hpaClass && metric === "") invalid(metric, is.metric[0]);
    }
    const found = findAnnotation(annotations, is.aggregation);
    const known = ["", "linear", "weighted-exponential", "weightedExponential"];
    if (found !== undefined && annotatedClass === kpaClass && !known.includes(found.value))
      invalid(found.value, found.key);
    const mode = findAnnotation(annotations, is.scalingMode);
    if (mode !== undefined && parseScalingMode(mode.value) === undefined) invalid(mode.value, mode.key);
  }

  function validateNumbers(): void {
    const number = (names: Spellings, check: (value: number, text: string, key: string) => void): void => {
      const found = findAnnotation(annotations, names);
      if (found === undefined) return;
      const value = parseFloat64(found.value);
      if (value === undefined) invalid(found.value, found.key);
      else check(value, found.value, found.key);
    };
    const within = (low: number, high: number) => (value: number, text: string, key: string) => {
      if (value < low || value > high) bounds(text, low, high, key);
    };
    number(is.target, (value, text, key) => {
      if (value < targetMin) problem(`target ${text} should be at least ${targetMin}`, key);
    });
    number(is.targetUtilization, within(1, 100));
    number(is.panicWindow, within(1, 100));
    number(is.panicThreshold, within(110, 1000));
    number(is.targetBurstCapacity, (value, text, key) => {
      if (value < 0 && value !== -1) invalid(text, key);
    });
  }

  function validateDurations(): void {
    const duration = (names: Spellings, lowMs: number, wholeSeconds: boolean): void => {
      const found = findAnnotation(annotations, names);
      if (found === undefined) return;
      const { key, value } = found;
      const ms = parseDuration(value);
      if (ms === undefined) invalid(value, key);
      else if (ms < lowMs || ms > windowMaxMs) bounds(value, formatDuration(lowMs), formatDuration(windowMaxMs), key);
      else if (wholeSeconds && ms % 1000 !== 0) problem("must be specified with at most second precision", key);
    };
    duration(is.window, windowMinMs, true);
    duration(is.scaleDownDelay, 0, true);
    duration(is.retentionPeriod, 0, false);
  }
}
