import { test } from "tap";
import { refusalOf, service, verdict } from "./samples.ts";

const inTemplate = "spec.template.metadata.annotations";
const scaling = (fields: Record<string, string>) =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [`autoscaling.knative.dev/${key}`, value]));
const scalingAt = `${inTemplate}.autoscaling.knative.dev`;
const sidecar = "queue.sidecar.serving.knative.dev";
const max = 2_147_483_647;
const templates: {
  name: string;
  annotations: Record<string, string>;
  refused: string;
  autoscaler?: Record<string, string>;
}[] = [
  {
    name: "what others put there",
    annotations: { a: "b", "serving.knative.dev/x": "y", "autoscaling.knative.dev/mine": "z" },
    refused: "",
  },
  {
    name: "a class of Knative's that there is not",
    annotations: scaling({ class: "x.knative.dev" }),
    refused: `invalid value: x.knative.dev: ${scalingAt}/class`,
  },
  { name: "a class of somebody else", annotations: scaling({ class: "x.example.com", metric: "moon" }), refused: "" },
  {
    name: "no number of pods",
    annotations: scaling({ "min-scale": "few" }),
    refused: `invalid value: few: ${scalingAt}/min-scale`,
  },
  {
    name: "too large a number of pods",
    annotations: scaling({ maxScale: "3000000000" }),
    refused: `expected 0 <= 3000000000 <= ${max}: ${scalingAt}/maxScale`,
  },
  {
    name: "fewer at most than at least",
    annotations: scaling({ "min-scale": "5", "max-scale": "4" }),
    refused: `max-scale=4 is less than min-scale=5: ${scalingAt}/max-scale, ${scalingAt}/min-scale`,
  },
  { name: "no upper limit", annotations: scaling({ "min-scale": "5", "max-scale": "0" }), refused: "" },
  {
    name: "more than the cluster lets",
    annotations: scaling({ "max-scale": "11" }),
    refused: `expected 1 <= 11 <= 10: ${scalingAt}/max-scale`,
    autoscaler: { "max-scale-limit": "10", "max-scale": "10" },
  },
  {
    name: "no upper limit where the cluster has one",
    annotations: scaling({ "max-scale": "0" }),
    refused: `max-scale=0 (unlimited), must be less than 10: ${scalingAt}/max-scale`,
    autoscaler: { "max-scale-limit": "10", "max-scale": "10" },
  },
  {
    name: "a negative start",
    annotations: scaling({ "initial-scale": "-1" }),
    refused: `invalid value: -1: ${scalingAt}/initial-scale must be greater than 0`,
  },
  {
    name: "a start at zero",
    annotations: scaling({ initialScale: "0" }),
    refused: `invalid value: 0: ${scalingAt}/initialScale=0 not allowed by cluster`,
  },
  {
    name: "a start at zero with the cluster's leave",
    annotations: scaling({ "initial-scale": "0" }),
    refused: "",
    autoscaler: { "allow-zero-initial-scale": "true" },
  },
  {
    name: "an activation scale of one",
    annotations: scaling({ "activation-scale": "1" }),
    refused: `activation-scale=1 must be greater than 1: ${scalingAt}/activation-scale`,
  },
  {
    name: "an activation scale below the least",
    annotations: scaling({ "activation-scale": "3", "min-scale": "4" }),
    refused: `min-scale=4 is greater than activation-scale=3: ${scalingAt}/activation-scale`,
  },
  {
    name: "an activation scale above the most",
    annotations: scaling({ "activation-scale": "3", "max-scale": "2" }),
    refused: `max-scale=2 is less than activation-scale=3: ${scalingAt}/activation-scale`,
  },
  {
    name: "an activation scale that is none",
    annotations: scaling({ "activation-scale": "two" }),
    refused: `invalid value: two: ${scalingAt}/activation-scale`,
  },
  {
    name: "too short a window",
    annotations: scaling({ window: "5s" }),
    refused: `expected 6s <= 5s <= 1h0m0s: ${scalingAt}/window`,
  },
  {
    name: "a window of part seconds",
    annotations: scaling({ window: "6500ms" }),
    refused: `must be specified with at most second precision: ${scalingAt}/window`,
  },
  {
    name: "too long a delay",
    annotations: scaling({ "scale-down-delay": "61m" }),
    refused: `expected 0s <= 61m <= 1h0m0s: ${scalingAt}/scale-down-delay`,
  },
  {
    name: "a delay of part seconds",
    annotations: scaling({ scaleDownDelay: "1.5s" }),
    refused: `must be specified with at most second precision: ${scalingAt}/scaleDownDelay`,
  },
  {
    name: "a retention period of part seconds",
    annotations: scaling({ "scale-to-zero-pod-retention-period": "1.5s" }),
    refused: "",
  },
  {
    name: "a negative retention period",
    annotations: scaling({ "scale-to-zero-pod-retention-period": "-1s" }),
    refused: `expected 0s <= -1s <= 1h0m0s: ${scalingAt}/scale-to-zero-pod-retention-period`,
  },
  {
    name: "too small a target",
    annotations: scaling({ target: "0.001" }),
    refused: `target 0.001 should be at least 0.01: ${scalingAt}/target`,
  },
  {
    name: "a utilization over 100 %",
    annotations: scaling({ "target-utilization-percentage": "101" }),
    refused: `expected 1 <= 101 <= 100: ${scalingAt}/target-utilization-percentage`,
  },
  {
    name: "a burst capacity of -2",
    annotations: scaling({ "target-burst-capacity": "-2" }),
    refused: `invalid value: -2: ${scalingAt}/target-burst-capacity`,
  },
  { name: "a burst capacity without end", annotations: scaling({ "target-burst-capacity": "-1" }), refused: "" },
  {
    name: "too small a panic window",
    annotations: scaling({ "panic-window-percentage": "0.5" }),
    refused: `expected 1 <= 0.5 <= 100: ${scalingAt}/panic-window-percentage`,
  },
  {
    name: "too early a panic",
    annotations: scaling({ panicThresholdPercentage: "100" }),
    refused: `expected 110 <= 100 <= 1000: ${scalingAt}/panicThresholdPercentage`,
  },
  {
    name: "a metric that the class has not",
    annotations: scaling({ metric: "cpu" }),
    refused: `invalid value: cpu: ${scalingAt}/metric`,
  },
  {
    name: "no metric for the HPA",
    annotations: scaling({ class: "hpa.autoscaling.knative.dev", metric: "" }),
    refused: `invalid value: : ${scalingAt}/metric`,
  },
  {
    name: "any metric for the HPA",
    annotations: scaling({ class: "hpa.autoscaling.knative.dev", metric: "queue" }),
    refused: "",
  },
  {
    name: "an algorithm that there is not",
    annotations: scaling({ class: "kpa.autoscaling.knative.dev", "metric-aggregation-algorithm": "best" }),
    refused: `invalid value: best: ${scalingAt}/metric-aggregation-algorithm`,
  },
  { name: "the same without a class", annotations: scaling({ "metric-aggregation-algorithm": "best" }), refused: "" },
  {
    name: "networking that nobody knows",
    annotations: { "networking.knative.dev/foo": "x", "networking.knative.dev/visibility": "y" },
    refused: `invalid key name "networking.knative.dev/foo": ${inTemplate}\ninvalid key name "networking.knative.dev/visibility": ${inTemplate}`,
  },
  {
    name: "networking that is known",
    annotations: Object.fromEntries(
      "ingress.class ingress-class certificate.class certificate-class httpOption http-protocol disable-external-domain-tls disableAutoTLS disable-auto-tls"
        .split(" ")
        .map((key) => [`networking.knative.dev/${key}`, "x"]),
    ),
    refused: "",
  },
  {
    name: "a sidecar with no quantity",
    annotations: { [`${sidecar}/cpu-resource-request`]: "much" },
    refused: `invalid value: much: ${inTemplate}.[${sidecar}/cpu-resource-request]`,
  },
  {
    name: "a sidecar with quantities",
    annotations: {
      [`${sidecar}/memory-resource-limit`]: "1Gi",
      [`${sidecar}/ephemeral-storage-resource-request`]: "1e3",
    },
    refused: "",
  },
  {
    name: "a share of the sidecar that is too large",
    annotations: { [`${sidecar}/resource-percentage`]: "200" },
    refused: `expected 0.1 <= 200 <= 100: ${inTemplate}.[${sidecar}/resource-percentage]`,
  },
  {
    name: "a share that is no number",
    annotations: { [`${sidecar}/resourcePercentage`]: "half" },
    refused: `invalid value: half: ${inTemplate}.[${sidecar}/resourcePercentage]`,
  },
  {
    name: "a deadline that is none",
    annotations: { "serving.knative.dev/progress-deadline": "soon" },
    refused: `invalid value: soon: ${inTemplate}.serving.knative.dev/progress-deadline`,
  },
  {
    name: "a deadline of part seconds",
    annotations: { "serving.knative.dev/progress-deadline": "1ms" },
    refused: `progress-deadline=1ms is not at second precision: ${inTemplate}.serving.knative.dev/progress-deadline`,
  },
  {
    name: "a deadline in the past",
    annotations: { "serving.knative.dev/progress-deadline": "-1h" },
    refused: `progress-deadline=-1h must be positive: ${inTemplate}.serving.knative.dev/progress-deadline`,
  },
  { name: "a deadline of a minute", annotations: { "serving.knative.dev/progress-deadline": "1m" }, refused: "" },
];

test("annotations of a template", (t) => {
  for (const { name, annotations, refused, autoscaler = {} } of templates)
    t.equal(refusalOf(service({ metadata: { annotations } }), { platform: { autoscaler } }), refused, name);
  t.end();
});

test("a share of the sidecar is deprecated", (t) => {
  const annotations = { [`${sidecar}/resource-percentage`]: "50" };
  const { refusal, warnings } = verdict(service({ metadata: { annotations } }));
  t.equal(refusal, "");
  t.equal(
    warnings.find((warning) => warning.startsWith("Queue")),
    "Queue proxy resource percentage annotation is deprecated. Please use the available annotations to explicitly set resource values per service: ",
  );
  t.end();
});
