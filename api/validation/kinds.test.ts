import { test } from "tap";
import type { KubeObject, ObjectMeta } from "../meta.ts";
import { dns1123LabelRule, dns1123SubdomainRule, identifierRule, qualifiedNameRule } from "./names.ts";
import { domainMapping, internal, refusalOf, type Fields, type PlatformEdit } from "./samples.ts";

const inNamespace = (kind: string, spec: Fields, metadata: ObjectMeta = {}): KubeObject =>
  internal(kind, spec, metadata);
const target = { apiVersion: "apps/v1", kind: "Deployment", name: "d" };
const autoscaler = (spec: Fields = {}) =>
  inNamespace("PodAutoscaler", { scaleTargetRef: target, protocolType: "http1", ...spec });
const sks = (spec: Fields = {}, metadata: ObjectMeta = {}) =>
  inNamespace("ServerlessService", { mode: "Proxy", objectRef: target, protocolType: "h2c", ...spec }, metadata);
const split = { serviceNamespace: "default", serviceName: "s", servicePort: 80 };
const ingress = (splits: Fields[], spec: Fields = {}) =>
  inNamespace("Ingress", { rules: [{ http: { paths: [{ splits }] } }], ...spec });
const splits = "spec.rules[0].http.paths[0].splits";
const certificate = (spec: Fields) => inNamespace("Certificate", { dnsNames: ["a.b.c"], secretName: "s", ...spec });
const named = (name: string) => domainMapping({}, { name });
const badName = (name: string, why: string) => `invalid name ${JSON.stringify(name)}: ${why}: metadata.name`;

const rows: { name: string; object: KubeObject; refused: string; platform?: PlatformEdit }[] = [
  { name: "a domain", object: domainMapping(), refused: "" },
  { name: "a domain that ends with a dot", object: named("a.b."), refused: "" },
  {
    name: "no domain",
    object: named("hello"),
    refused: badName(
      "hello",
      'name: Invalid value: "hello": should be a domain with at least two segments separated by dots',
    ),
  },
  { name: "an empty domain", object: named(""), refused: badName("", "name: Required value") },
  {
    name: "a domain with an underscore",
    object: named("a_b.c"),
    refused: badName("a_b.c", `name: Invalid value: "a_b.c": ${dns1123SubdomainRule}`),
  },
  {
    name: "a domain with a long label",
    object: named(`${"a".repeat(64)}.b`),
    refused: badName(`${"a".repeat(64)}.b`, `name: Invalid value: "${"a".repeat(64)}": must be no more than 63 bytes`),
  },
  {
    name: "a domain of the cluster",
    object: named("a.default.svc.cluster.local"),
    refused: badName("a.default.svc.cluster.local", 'must not be a subdomain of cluster local domain "cluster.local"'),
  },
  {
    name: "a domain to be made up",
    object: domainMapping({}, { generateName: "a" }),
    refused: "must not set the field(s): metadata.generateName",
  },
  {
    name: "a domain for nothing",
    object: domainMapping({ apiVersion: "", kind: "", name: "" }),
    refused: "missing field(s): spec.ref.apiVersion, spec.ref.kind, spec.ref.name",
  },
  {
    name: "a reference by group",
    object: domainMapping({ group: "serving.knative.dev" }),
    refused: "must not set the field(s): spec.ref.group",
  },
  {
    name: "a reference elsewhere",
    object: domainMapping({ namespace: "other" }),
    refused: 'mismatched namespaces: spec.ref.namespace\nparent namespace: "default" does not match ref: "other"',
  },

  { name: "a PodAutoscaler", object: autoscaler(), refused: "" },
  { name: "an empty PodAutoscaler", object: inNamespace("PodAutoscaler", {}), refused: "missing field(s): spec" },
  {
    name: "a PodAutoscaler of nothing",
    object: autoscaler({ scaleTargetRef: {} }),
    refused: "missing field(s): spec.scaleTargetRef.apiVersion, spec.scaleTargetRef.kind, spec.scaleTargetRef.name",
  },
  {
    name: "a target with more than that",
    object: autoscaler({ scaleTargetRef: { ...target, namespace: "n", uid: "u" } }),
    refused: "must not set the field(s): spec.scaleTargetRef.namespace, spec.scaleTargetRef.uid",
  },
  {
    name: "a target with bad names",
    object: autoscaler({ scaleTargetRef: { apiVersion: "a/b/c", kind: "1", name: "A" } }),
    refused: `invalid value: ${dns1123LabelRule}: spec.scaleTargetRef.name\ninvalid value: ${identifierRule}: spec.scaleTargetRef.kind\ninvalid value: a valid label key ${qualifiedNameRule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName'): spec.scaleTargetRef.apiVersion`,
  },
  {
    name: "a PodAutoscaler's concurrency",
    object: autoscaler({ containerConcurrency: 2000 }),
    refused: "expected 0 <= 2000 <= 1000: spec.containerConcurrency",
  },
  {
    name: "a PodAutoscaler's unbounded concurrency where there must be bounds",
    object: autoscaler(),
    refused: "expected 1 <= 0 <= 1000: spec.containerConcurrency",
    platform: { defaults: { allowContainerConcurrencyZero: false } },
  },
  {
    name: "a PodAutoscaler's protocol",
    object: autoscaler({ protocolType: "http3" }),
    refused: "invalid value: http3: spec.protocolType",
  },
  {
    name: "a PodAutoscaler without a protocol",
    object: autoscaler({ protocolType: "" }),
    refused: "missing field(s): spec.protocolType",
  },

  {
    name: "a Metric",
    object: inNamespace("Metric", { stableWindow: 1, panicWindow: 1, scrapeTarget: "" }),
    refused: "",
  },
  {
    name: "an empty Metric",
    object: inNamespace("Metric", { stableWindow: 0, panicWindow: 0, scrapeTarget: "" }),
    refused: "missing field(s): spec",
  },

  { name: "a ServerlessService", object: sks(), refused: "" },
  {
    name: "an empty ServerlessService",
    object: inNamespace("ServerlessService", {}),
    refused: "missing field(s): spec",
  },
  { name: "a mode that there is not", object: sks({ mode: "Both" }), refused: "invalid value: Both: spec.mode" },
  { name: "no mode", object: sks({ mode: "" }), refused: "missing field(s): spec.mode" },
  {
    name: "fewer than no activators",
    object: sks({ numActivators: -1 }),
    refused: "invalid value: -1: spec.numActivators",
  },
  {
    name: "a ServerlessService of nothing",
    object: sks({ objectRef: { ...target, name: "" }, protocolType: "" }),
    refused: "missing field(s): spec.objectRef.name, spec.protocolType",
  },
  {
    name: "networking that nobody knows",
    object: sks({}, { annotations: { "networking.knative.dev/foo": "" } }),
    refused: 'invalid key name "networking.knative.dev/foo": annotations',
  },

  { name: "an Ingress", object: ingress([split]), refused: "" },
  {
    name: "an Ingress that splits",
    object: ingress([
      { ...split, percent: 30 },
      { ...split, percent: 70 },
    ]),
    refused: "",
  },
  { name: "an empty Ingress", object: inNamespace("Ingress", {}), refused: "missing field(s): spec" },
  {
    name: "an Ingress without rules",
    object: inNamespace("Ingress", { rules: [], httpOption: "Enabled" }),
    refused: "missing field(s): spec.rules",
  },
  {
    name: "a rule without paths",
    object: inNamespace("Ingress", { rules: [{ hosts: ["a"] }, { http: { paths: [] } }] }),
    refused: "missing field(s): spec.rules[0].http, spec.rules[1].http.paths",
  },
  { name: "a path without splits", object: ingress([]), refused: `missing field(s): ${splits}` },
  {
    name: "a split to another namespace",
    object: ingress([{ ...split, serviceNamespace: "other" }]),
    refused: `service namespace must match ingress namespace: ${splits}[0].serviceNamespace`,
  },
  { name: "a split to nothing", object: ingress([{ percent: 100 }]), refused: `missing field(s): ${splits}[0]` },
  {
    name: "a split without a port",
    object: ingress([{ ...split, servicePort: 0, serviceName: "" }]),
    refused: `missing field(s): ${splits}[0].serviceName, ${splits}[0].servicePort`,
  },
  {
    name: "splits that do not add up",
    object: ingress([
      { ...split, percent: 30 },
      { ...split, percent: 30 },
    ]),
    refused: `traffic split percentage must total to 100, but was 60: ${splits}`,
  },
  {
    name: "a split over 100, whose sum says nothing more",
    object: ingress([{ ...split, percent: 101 }, split]),
    refused: `invalid value: 101: ${splits}[0].percent`,
  },
  {
    name: "TLS without a Secret",
    object: ingress([split], { tls: [{ hosts: ["a"] }, {}] }),
    refused: "missing field(s): spec.tls[0].secretName, spec.tls[0].secretNamespace, spec.tls[1]",
  },
  {
    name: "an HTTP option that there is not",
    object: ingress([split], { httpOption: "Maybe" }),
    refused: "invalid value: Maybe: spec.httpOption",
  },

  { name: "a Certificate", object: certificate({ domain: "b.c" }), refused: "" },
  { name: "a Certificate of its very name", object: certificate({ domain: "a.b.c" }), refused: "" },
  {
    name: "a Certificate for nothing",
    object: certificate({ dnsNames: [], secretName: "" }),
    refused: "missing field(s): spec.dnsNames, spec.secretName",
  },
  {
    name: "a Certificate with an empty name",
    object: certificate({ dnsNames: ["a", ""] }),
    refused: "invalid value: : spec.dnsNames[1]",
  },
  {
    name: "a Certificate for another domain",
    object: certificate({ domain: "x.y" }),
    refused: "invalid value: domain: spec.domain must be a suffix of, or match exactly, at least one entry in dnsNames",
  },
  { name: "a kind that is not ours", object: inNamespace("Other", {}), refused: "" },
];

test("the other kinds", (t) => {
  for (const { name, object, refused, platform = {} } of rows) t.equal(refusalOf(object, { platform }), refused, name);
  t.end();
});
