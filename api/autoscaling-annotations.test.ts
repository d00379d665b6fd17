import { test } from "tap";
import {
  initialScale,
  panicWindowMs,
  revisionScaling,
  validateAutoscalingAnnotations,
} from "./autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "./autoscaling-config.ts";
import { formatDuration, parseDuration } from "./duration.ts";

const defaults = parseAutoscalerConfig(undefined);
const prefixed = (annotations: Record<string, string>) =>
  Object.fromEntries(Object.entries(annotations).map(([key, value]) => [`autoscaling.knative.dev/${key}`, value]));

test("the target of one pod", (t) => {
  const rows: [number, Record<string, string>, number, number][] = [
    [0, {}, 70, 100],
    [1, {}, 0.7, 1],
    [10, {}, 7, 10],
    [0, { target: "10" }, 7, 10],
    [10, { target: "50" }, 7, 10],
    [50, { target: "10" }, 7, 10],
    [0, { target: "0.01" }, 0.01, 0.01],
    [10, { "target-utilization-percentage": "100" }, 10, 10],
    [1, { target: "0.5", targetUtilizationPercentage: "1" }, 0.01, 0.5],
    [10, { metric: "rps" }, 140, 200],
    [10, { metric: "rps", target: "150" }, 105, 150],
    [0, { metric: "rps", "target-utilization-percentage": "80" }, 160, 200],
  ];
  for (const [containerConcurrency, annotations, target, total] of rows) {
    const scaling = revisionScaling(prefixed(annotations), defaults, containerConcurrency);
    t.same(
      [scaling.target, scaling.total],
      [target, total],
      `cc ${containerConcurrency} ${JSON.stringify(annotations)}`,
    );
  }
  t.end();
});

test("the panic window", (t) => {
  for (const [stableS, percentage, panicS] of [
    [60, 10, 6],
    [6, 10, 1],
    [45, 10, 5],
    [44, 10, 4],
    [3600, 10, 360],
    [60, 2.4, 1],
    [60, 100, 60],
  ] as const)
    t.equal(panicWindowMs(stableS * 1000, percentage), panicS * 1000, `${percentage} % of ${stableS} s`);
  t.end();
});

test("the initial scale", (t) => {
  t.equal(initialScale(undefined, defaults), 1);
  t.equal(initialScale(prefixed({ "initial-scale": "3" }), defaults), 3);
  t.equal(initialScale(prefixed({ initialScale: "0" }), defaults), 1, "zero needs the cluster's leave");
  const allowed = parseAutoscalerConfig({ "allow-zero-initial-scale": "true" });
  t.equal(initialScale(prefixed({ initialScale: "0" }), allowed), 0);
  t.end();
});

test("annotations that are refused", (t) => {
  const limited = { "max-scale-limit": "10", "max-scale": "10" };
  const rows: [Record<string, string>, string[], Record<string, string>?][] = [
    [{ class: "foo.knative.dev" }, ["invalid value: foo.knative.dev: class"]],
    [{ class: "mine.example.com", metric: "anything" }, []],
    [{ "min-scale": "x" }, ["invalid value: x: min-scale"]],
    [{ minScale: "-1" }, ["expected 0 <= -1 <= 2147483647: minScale"]],
    [{ "min-scale": "5", "max-scale": "4" }, ["max-scale=4 is less than min-scale=5: max-scale, min-scale"]],
    [{ "min-scale": "5", "max-scale": "0" }, []],
    [{ "max-scale": "11" }, ["expected 1 <= 11 <= 10: max-scale"], limited],
    [{ "max-scale": "0" }, ["max-scale=0 (unlimited), must be less than 10: max-scale"], limited],
    [{ "initial-scale": "-1" }, ["invalid value: -1: initial-scale must be greater than 0"]],
    [{ "initial-scale": "0" }, ["invalid value: 0: initial-scale=0 not allowed by cluster"]],
    [{ "activation-scale": "1" }, ["activation-scale=1 must be greater than 1: activation-scale"]],
    [
      { "activation-scale": "3", "min-scale": "4" },
      ["min-scale=4 is greater than activation-scale=3: activation-scale"],
    ],
    [{ window: "5s" }, ["expected 6s <= 5s <= 1h0m0s: window"]],
    [{ window: "6500ms" }, ["must be specified with at most second precision: window"]],
    [{ window: "60" }, ["invalid value: 60: window"]],
    [{ target: "0.001" }, ["target 0.001 should be at least 0.01: target"]],
    [{ targetUtilizationPercentage: "101" }, ["expected 1 <= 101 <= 100: targetUtilizationPercentage"]],
    [{ "target-burst-capacity": "-2" }, ["invalid value: -2: target-burst-capacity"]],
    [{ "target-burst-capacity": "-1" }, []],
    [{ "panic-threshold-percentage": "109" }, ["expected 110 <= 109 <= 1000: panic-threshold-percentage"]],
    [{ metric: "cpu" }, ["invalid value: cpu: metric"]],
    [{ class: "hpa.autoscaling.knative.dev", metric: "cpu" }, []],
    [{ "metric-aggregation-algorithm": "x" }, []],
    [
      { class: "kpa.autoscaling.knative.dev", "metric-aggregation-algorithm": "x" },
      ["invalid value: x: metric-aggregation-algorithm"],
    ],
    [{ "scale-down-delay": "2h" }, ["expected 0s <= 2h <= 1h0m0s: scale-down-delay"]],
    [{ "scale-to-zero-pod-retention-period": "1.5s", unheardOf: "x" }, []],
  ];
  for (const [annotations, want, config] of rows) {
    const found = validateAutoscalingAnnotations(prefixed(annotations), parseAutoscalerConfig(config));
    const texts = found.map(({ message, paths }) =>
      `${message}: ${paths.join(", ")}`.replaceAll("autoscaling.knative.dev/", ""),
    );
    t.same(texts, want, JSON.stringify(annotations));
  }
  t.end();
});

test("the ConfigMap", (t) => {
  t.equal(defaults.containerConcurrencyTargetFraction, 0.7);
  t.equal(
    parseAutoscalerConfig({ "container-concurrency-target-percentage": "1" }).containerConcurrencyTargetFraction,
    1,
  );
  t.equal(
    parseAutoscalerConfig({ _example: "x", unknown: "y" }).stableWindowMs,
    60_000,
    "ignores what it does not know",
  );
  t.throws(
    () => parseAutoscalerConfig({ "stable-window": "5s", "max-scale-up-rate": "1", "enable-scale-to-zero": "maybe" }),
    /stable-window.*\n.*max-scale-up-rate|enable-scale-to-zero.*\n.*stable-window/u,
    "reports every problem",
  );
  for (const [key, value] of Object.entries({
    "initial-scale": "0",
    "activator-capacity": "0.5",
    "max-scale-limit": "5",
    "target-burst-capacity": "-3",
    "scale-to-zero-grace-period": "0s",
    "scale-down-delay": "1500ms",
    "container-concurrency-target-percentage": "0",
    "min-scale": "99999999999",
  }))
    t.throws(() => parseAutoscalerConfig({ [key]: value }), { name: "ConfigError" }, `refuses ${key}: ${value}`);
  t.end();
});

test("durations as Go writes them", (t) => {
  for (const [text, ms, printed] of [
    ["0", 0, "0s"],
    ["6s", 6000, "6s"],
    ["1m", 60_000, "1m0s"],
    ["1h2m3.5s", 3_723_500, "1h2m3.5s"],
    ["1.5ms", 1.5, "1.5ms"],
    ["-30s", -30_000, "-30s"],
    ["100us", 0.1, "100µs"],
  ] as const) {
    t.equal(parseDuration(text), ms, text);
    t.equal(formatDuration(ms), printed);
  }
  for (const text of ["", "5", "s", "1 s", "1d", "--1s", "1s2", "3000000h"])
    t.equal(parseDuration(text), undefined, `${JSON.stringify(text)} is none`);
  t.end();
});

test("the scaling mode is the annotation's, else the cluster's, else exact", (t) => {
  const of = (annotations: Record<string, string>, data: Record<string, string> = {}): string =>
    revisionScaling(annotations, parseAutoscalerConfig(data), 0).mode;
  t.equal(of({}), "exact");
  t.equal(of({ "swell.dev/scaling-mode": "smooth" }), "smooth");
  t.equal(of({}, { "scaling-mode": "smooth" }), "smooth");
  t.equal(of({ "swell.dev/scaling-mode": "exact" }, { "scaling-mode": "smooth" }), "exact");
  t.same(validateAutoscalingAnnotations({ "swell.dev/scaling-mode": "fast" }, parseAutoscalerConfig({})), [
    { message: "invalid value: fast", paths: ["swell.dev/scaling-mode"] },
  ]);
  t.throws(() => parseAutoscalerConfig({ "scaling-mode": "fast" }), /want exact or smooth/);
  t.end();
});
