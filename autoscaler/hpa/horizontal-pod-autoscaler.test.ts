import * as fc from "fast-check";
import { test } from "tap";
import { revisionScaling } from "../../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../../api/autoscaling-config.ts";
import type { HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec } from "../../api/horizontal-pod-autoscaler.ts";
import { podAutoscaler } from "./fixture.ts";
import { makeHorizontalPodAutoscaler, settledSpec } from "./horizontal-pod-autoscaler.ts";

type Config = Record<string, string>;

function made(
  annotations: Record<string, string>,
  config: Config = {},
  reachability: "Reachable" | "Unreachable" = "Reachable",
): HorizontalPodAutoscaler {
  const pa = podAutoscaler(annotations, { reachability });
  return makeHorizontalPodAutoscaler(pa, revisionScaling(pa.metadata.annotations, parseAutoscalerConfig(config), 0));
}
const cpu = (averageUtilization: number) => [
  {
    type: "Resource" as const,
    resource: { name: "cpu", target: { type: "Utilization" as const, averageUtilization } },
  },
];
const memory = (averageValue: string) => [
  { type: "Resource" as const, resource: { name: "memory", target: { type: "AverageValue" as const, averageValue } } },
];
const perPod = (name: string, averageValue: string) => [
  { type: "Pods" as const, pods: { metric: { name }, target: { type: "AverageValue" as const, averageValue } } },
];
const window = (stabilizationWindowSeconds: number) => ({
  scaleUp: { stabilizationWindowSeconds },
  scaleDown: { stabilizationWindowSeconds },
});
const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name: "hello-00001-deployment" };
const open = { scaleTargetRef, maxReplicas: 2147483647 };

const rows: {
  name: string;
  annotations: Record<string, string>;
  config?: Config;
  reachability?: "Unreachable";
  spec: HorizontalPodAutoscalerSpec;
}[] = [
  { name: "leaves everything open without annotations", annotations: {}, spec: open },
  { name: "sets no metric without a target", annotations: { metric: "memory" }, spec: open },
  { name: "takes cpu where no metric is named", annotations: { target: "70" }, spec: { ...open, metrics: cpu(70) } },
  {
    name: "rounds a target of cpu up to whole percent",
    annotations: { metric: "cpu", target: "70.1" },
    spec: { ...open, metrics: cpu(71) },
  },
  {
    name: "takes a target above a 32-bit number as the largest one",
    annotations: { metric: "cpu", target: "1e12" },
    spec: { ...open, metrics: cpu(2147483647) },
  },
  {
    name: "takes whole Mi of memory",
    annotations: { metric: "memory", target: "200.9" },
    spec: { ...open, metrics: memory("200Mi") },
  },
  {
    name: "writes memory as Kubernetes does",
    annotations: { metric: "memory", target: "2048" },
    spec: { ...open, metrics: memory("2Gi") },
  },
  {
    name: "takes any other name for a metric of the pods",
    annotations: { metric: "http_requests", target: "12.7" },
    spec: { ...open, metrics: perPod("http_requests", "12") },
  },
  {
    name: "takes concurrency for a metric of the pods too",
    annotations: { metric: "concurrency", target: "1000" },
    spec: { ...open, metrics: perPod("concurrency", "1k") },
  },
  {
    name: "takes a target that cannot be read as none",
    annotations: { metric: "cpu", target: "much" },
    spec: open,
  },
  {
    name: "sets bounds",
    annotations: { "min-scale": "2", "max-scale": "5" },
    spec: { scaleTargetRef, minReplicas: 2, maxReplicas: 5 },
  },
  {
    name: "knows the other spelling of bounds",
    annotations: { minScale: "2", maxScale: "5" },
    spec: { scaleTargetRef, minReplicas: 2, maxReplicas: 5 },
  },
  {
    name: "has the cluster's bounds where there are no annotations",
    annotations: { "max-scale": "0" },
    config: { "min-scale": "3", "max-scale": "9" },
    spec: { ...open, minReplicas: 3 },
  },
  {
    name: "lets go of a revision that nobody reaches",
    annotations: { "min-scale": "2", "max-scale": "5" },
    reachability: "Unreachable",
    spec: { scaleTargetRef, maxReplicas: 5 },
  },
  {
    name: "stabilises in both directions for the window of the annotation",
    annotations: { window: "1m30s" },
    spec: { ...open, behavior: window(90) },
  },
  {
    name: "keeps Kubernetes' own behaviour when only the cluster has a window",
    annotations: {},
    config: { "stable-window": "40s", "scale-down-delay": "20s" },
    spec: open,
  },
  {
    name: "does not know of scale-down-delay, initial-scale and utilization",
    annotations: {
      "scale-down-delay": "15m",
      "initial-scale": "4",
      "target-utilization-percentage": "50",
      target: "80",
    },
    spec: { ...open, metrics: cpu(80) },
  },
];
for (const { name, annotations, config, reachability, spec } of rows)
  test(`a HorizontalPodAutoscaler ${name}`, async (t) => {
    t.same(made(annotations, config, reachability).spec, spec);
  });

test("a HorizontalPodAutoscaler bears the name, labels and annotations of its owner", async (t) => {
  const pa = podAutoscaler({ target: "70" });
  t.same(made({ target: "70" }).metadata, {
    name: "hello-00001",
    namespace: "default",
    labels: pa.metadata.labels,
    annotations: pa.metadata.annotations,
    ownerReferences: [
      {
        apiVersion: pa.apiVersion,
        kind: "PodAutoscaler",
        name: "hello-00001",
        uid: "uid-of-pa",
        controller: true,
        blockOwnerDeletion: true,
      },
    ],
  });
});

/** As kube-apiserver 1.36 stores what the first row and the one with a window make. */
const storedOpen: HorizontalPodAutoscalerSpec = { ...open, minReplicas: 1, metrics: cpu(80) };
const storedWindow: HorizontalPodAutoscalerSpec = {
  ...storedOpen,
  behavior: {
    scaleUp: {
      stabilizationWindowSeconds: 90,
      selectPolicy: "Max",
      policies: [
        { type: "Pods", value: 4, periodSeconds: 15 },
        { type: "Percent", value: 100, periodSeconds: 15 },
      ],
    },
    scaleDown: {
      stabilizationWindowSeconds: 90,
      selectPolicy: "Max",
      policies: [{ type: "Percent", value: 100, periodSeconds: 15 }],
    },
  },
};
const settling: { name: string; found: HorizontalPodAutoscalerSpec; wanted: Record<string, string>; stays: boolean }[] =
  [
    { name: "keeps what the server filled in", found: storedOpen, wanted: {}, stays: true },
    { name: "keeps the rules that the server filled in", found: storedWindow, wanted: { window: "90s" }, stays: true },
    {
      name: "keeps what a server stored as it came",
      found: made({ window: "90s" }).spec,
      wanted: { window: "90s" },
      stays: true,
    },
    {
      name: "sees that 80 % of cpu is what there is without a target",
      found: storedOpen,
      wanted: { target: "80" },
      stays: true,
    },
    {
      name: "keeps members that only the server knows",
      found: { ...storedOpen, somethingNew: {} } as HorizontalPodAutoscalerSpec,
      wanted: {},
      stays: true,
    },
    { name: "sees a new target", found: storedOpen, wanted: { target: "70" }, stays: false },
    { name: "sees that a target is gone", found: made({ target: "70" }).spec, wanted: {}, stays: false },
    {
      name: "sees another metric",
      found: made({ target: "70" }).spec,
      wanted: { metric: "memory", target: "70" },
      stays: false,
    },
    { name: "sees that a window is gone", found: storedWindow, wanted: {}, stays: false },
    { name: "sees another window", found: storedWindow, wanted: { window: "60s" }, stays: false },
    { name: "sees that a lower bound is gone", found: { ...storedOpen, minReplicas: 3 }, wanted: {}, stays: false },
    { name: "sees another upper bound", found: storedOpen, wanted: { "max-scale": "3" }, stays: false },
    {
      name: "sees a metric that somebody added",
      found: { ...storedOpen, metrics: [...cpu(80), ...memory("1Gi")] },
      wanted: {},
      stays: false,
    },
    {
      name: "sees rules that somebody changed",
      found: {
        ...storedWindow,
        behavior: { ...storedWindow.behavior, scaleDown: { stabilizationWindowSeconds: 90, selectPolicy: "Disabled" } },
      },
      wanted: { window: "90s" },
      stays: false,
    },
    {
      name: "sees a target that somebody redirected",
      found: { ...storedOpen, scaleTargetRef: { ...scaleTargetRef, name: "other" } },
      wanted: {},
      stays: false,
    },
  ];
for (const { name, found, wanted, stays } of settling)
  test(`settledSpec ${name}`, async (t) => {
    const spec = made(wanted).spec;
    const settled = settledSpec(found, spec);
    if (stays) t.equal(settled, found);
    else t.same(JSON.parse(JSON.stringify({ ...found, ...settled })), spec, "and takes the old away");
  });

test("what was settled once stays", (t) => {
  const annotations = fc.record(
    {
      metric: fc.constantFrom("cpu", "memory", "requests"),
      target: fc.double({ min: 0.01, max: 5000, noNaN: true }).map((value) => value.toFixed(2)),
      window: fc.integer({ min: 6, max: 3600 }).map((seconds) => `${seconds}s`),
      "min-scale": fc.integer({ min: 0, max: 3 }).map(String),
      "max-scale": fc.integer({ min: 0, max: 9 }).map(String),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(annotations, annotations, (before, after) => {
      const wanted = made(after).spec;
      const settled = settledSpec(made(before).spec, wanted);
      const stored = JSON.parse(JSON.stringify(settled)) as HorizontalPodAutoscalerSpec;
      return settledSpec(stored, wanted) === stored;
    }),
  );
  t.end();
});
