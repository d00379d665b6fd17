import { test } from "tap";
import type { KubeObject, ObjectMeta } from "../meta.ts";
import { dns1035Rule } from "./names.ts";
import { configuration, internal, refusalOf, revision, route, service } from "./samples.ts";

const to = "metadata.annotations";
const traffic = [{ configurationName: "hello", percent: 100 }];
const makers = {
  Service: (metadata: ObjectMeta): KubeObject => service({}, metadata),
  Configuration: (metadata: ObjectMeta): KubeObject => configuration({}, metadata),
  Route: (metadata: ObjectMeta): KubeObject => route(traffic, metadata),
  Revision: (metadata: ObjectMeta): KubeObject => revision({}, metadata),
};
type Kind = keyof typeof makers;
const owner = (kind: string, name: string) => [{ apiVersion: "serving.knative.dev/v1", kind, name, uid: "u" }];
const every: Kind[] = ["Service", "Configuration", "Route", "Revision"];

const rows: { name: string; of: Kind[]; metadata: ObjectMeta; refused: string }[] = [
  {
    name: "a name with dots",
    of: every,
    metadata: { name: "a.b" },
    refused: `not a DNS 1035 label: [${dns1035Rule}]: metadata.name`,
  },
  {
    name: "a name of 64 letters",
    of: every,
    metadata: { name: "a".repeat(64) },
    refused: "not a DNS 1035 label: [must be no more than 63 bytes]: metadata.name",
  },
  {
    name: "no name at all",
    of: every,
    metadata: { name: "" },
    refused: "name or generateName is required: metadata.name",
  },
  { name: "the start of a name", of: every, metadata: { name: "", generateName: "hello-" }, refused: "" },
  {
    name: "the start of no name",
    of: every,
    metadata: { name: "", generateName: "Hello-" },
    refused: `not a DNS 1035 label prefix: [${dns1035Rule}]: metadata.generateName`,
  },
  {
    name: "autoscaling where it does nothing",
    of: ["Service", "Configuration", "Route"],
    metadata: { annotations: { "autoscaling.knative.dev/min-scale": "1" } },
    refused: `invalid key name "autoscaling.knative.dev/min-scale": ${to}\nautoscaling annotations must be put under "spec.template.metadata.annotations" to work`,
  },
  {
    name: "autoscaling of a Revision",
    of: ["Revision"],
    metadata: { annotations: { "autoscaling.knative.dev/min-scale": "-1" } },
    refused: `expected 0 <= -1 <= 2147483647: ${to}.autoscaling.knative.dev/min-scale`,
  },
  {
    name: "networking annotations that nobody knows",
    of: every,
    metadata: { annotations: { "networking.knative.dev/foo": "x" } },
    refused: "",
  },
  {
    name: "a rollout of no duration",
    of: ["Service", "Route"],
    metadata: { annotations: { "serving.knative.dev/rollout-duration": "fast" } },
    refused: `invalid value: fast: ${to}.serving.knative.dev/rollout-duration`,
  },
  {
    name: "a rollout of half seconds",
    of: ["Service", "Route"],
    metadata: { annotations: { "serving.knative.dev/rolloutDuration": "1500ms" } },
    refused: `rollout-duration=1500ms is not at second precision: ${to}.serving.knative.dev/rolloutDuration`,
  },
  {
    name: "a rollout backwards",
    of: ["Service", "Route"],
    metadata: { annotations: { "serving.knative.dev/rollout-duration": "-1s" } },
    refused: `rollout-duration=-1s must be positive: ${to}.serving.knative.dev/rollout-duration`,
  },
  {
    name: "a rollout at once, in the spelling that counts",
    of: ["Service", "Route"],
    metadata: {
      annotations: { "serving.knative.dev/rollout-duration": "0s", "serving.knative.dev/rolloutDuration": "x" },
    },
    refused: "",
  },
  {
    name: "a rollout left open",
    of: ["Service", "Route"],
    metadata: { annotations: { "serving.knative.dev/rollout-duration": "" } },
    refused: "",
  },
  {
    name: "a rollout of what does not roll",
    of: ["Configuration"],
    metadata: { annotations: { "serving.knative.dev/rollout-duration": "x" } },
    refused: "",
  },
  {
    name: "a Service that is not there",
    of: ["Configuration", "Route"],
    metadata: { labels: { "serving.knative.dev/service": "s" } },
    refused: "missing field(s): metadata.labels.serving.knative.dev/service",
  },
  {
    name: "another Service than the owner",
    of: ["Configuration", "Route"],
    metadata: { labels: { "serving.knative.dev/service": "s" }, ownerReferences: owner("Service", "other") },
    refused: "missing field(s): metadata.labels.serving.knative.dev/service",
  },
  {
    name: "the owner's name",
    of: ["Configuration", "Route"],
    metadata: { labels: { "serving.knative.dev/service": "s" }, ownerReferences: owner("Service", "s") },
    refused: "",
  },
  {
    name: "a Configuration that is not there",
    of: ["Revision"],
    metadata: { labels: { "serving.knative.dev/configuration": "c" } },
    refused: "missing field(s): metadata.labels.serving.knative.dev/configuration",
  },
  {
    name: "its own Configuration",
    of: ["Revision"],
    metadata: { labels: { "serving.knative.dev/configuration": "c" }, ownerReferences: owner("Configuration", "c") },
    refused: "",
  },
];

test("metadata", (t) => {
  for (const { name, of, metadata, refused } of rows)
    for (const kind of of) t.equal(refusalOf(makers[kind](metadata)), refused, `${kind}: ${name}`);
  t.end();
});

test("names that a template brings", (t) => {
  const nameAt = "spec.template.metadata.name";
  const cases: { name: string; metadata: Record<string, string>; parent?: ObjectMeta; refused: string }[] = [
    { name: "one that starts with the parent's", metadata: { name: "hello-v1" }, refused: "" },
    {
      name: "any other",
      metadata: { name: "foo" },
      refused: `invalid value: "foo" must have prefix "hello-": ${nameAt}`,
    },
    {
      name: "one that is no label",
      metadata: { name: "hello-V1" },
      refused: `invalid value: not a DNS 1035 label: [${dns1035Rule}]: ${nameAt}`,
    },
    {
      name: "one before the parent has its own",
      metadata: { name: "hello-v1" },
      parent: { name: "", generateName: "hello-" },
      refused: `must not set the field(s): ${nameAt}`,
    },
    { name: "the start of one", metadata: { generateName: "hello-" }, refused: "" },
    {
      name: "the start of none",
      metadata: { generateName: "_" },
      refused: `invalid value: not a DNS 1035 label prefix: [${dns1035Rule}]: spec.template.metadata.generateName`,
    },
  ];
  for (const { name, metadata, parent = {}, refused } of cases)
    for (const make of [service, configuration]) t.equal(refusalOf(make({ metadata }, parent)), refused, name);
  t.end();
});

test("what the controllers' kinds say of themselves", (t) => {
  const spec = { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "d" }, protocolType: "http1" };
  t.equal(
    refusalOf(internal("PodAutoscaler", spec, { annotations: { "autoscaling.knative.dev/window": "1s" } })),
    `expected 6s <= 1s <= 1h0m0s: ${to}.autoscaling.knative.dev/window`,
  );
  t.equal(
    refusalOf(internal("Metric", { scrapeTarget: "x" }, { name: "A" })),
    `not a DNS 1035 label: [${dns1035Rule}]: metadata.name`,
  );
  t.end();
});
