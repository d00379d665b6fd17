import { test } from "tap";
import type { KubeObject } from "../../../api/meta.ts";
import { createKindRegistry } from "./index.ts";

const registry = createKindRegistry();
type Json = Record<string, unknown>;

/** Decodes, defaults and validates as a write does. */
function problems(group: string, kind: string, object: Json, old?: Json): string[] {
  const found = registry.findByKind(group, "v1", kind);
  if (found === undefined) throw new Error(`no ${kind}`);
  const made = [object, old].map((one) => {
    if (one === undefined) return undefined;
    const copy = structuredClone({ apiVersion: "v1", kind, metadata: { name: "x" }, ...one }) as KubeObject;
    found.prune(copy);
    found.applyDefaults(copy);
    return copy;
  });
  return found.validate(made[0] as KubeObject, made[1]).map(({ field, message }) => `${field}: ${message}`);
}

const labels = { app: "x" };
const app = { name: "app", image: "i" };
const container = (fields: object) => ({ spec: { containers: [{ ...app, ...fields }] } });
const deployment = (spec: object = {}) => ({
  spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, ...container({}) }, ...spec },
});

test("pods", (t) => {
  const at = "spec.containers[0]";
  const probe = (fields: object) => container({ readinessProbe: fields });
  const cases = [
    {
      name: "a good one",
      pod: container({ env: [{ name: "A.b", value: "" }], ports: [{ containerPort: 80 }] }),
      want: [],
    },
    { name: "no containers", pod: { spec: {} }, want: ["spec.containers: Required value"] },
    {
      name: "no name, no image",
      pod: { spec: { containers: [{}] } },
      want: [`${at}.name: Required value`, `${at}.image: Required value`],
    },
    {
      name: "the same name twice",
      pod: { spec: { containers: [app, app] } },
      want: ['spec.containers[1].name: Duplicate value: "app"'],
    },
    {
      name: "a port beyond the last",
      pod: container({ ports: [{ containerPort: 70_000 }] }),
      want: [`${at}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive`],
    },
    {
      name: "a protocol there is not",
      pod: container({ ports: [{ containerPort: 1, protocol: "http" }] }),
      want: [`${at}.ports[0].protocol: Unsupported value: "http": supported values: "SCTP", "TCP", "UDP"`],
    },
    {
      name: "a variable with an equals sign",
      pod: container({ env: [{ name: "A=B" }] }),
      want: [
        `${at}.env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than '='`,
      ],
    },
    {
      name: "a value and a source",
      pod: container({ env: [{ name: "A", value: "1", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }] }),
      want: [`${at}.env[0].valueFrom: Invalid value: "": may not be specified when \`value\` is not empty`],
    },
    {
      name: "a mount of nothing",
      pod: container({ volumeMounts: [{ name: "v", mountPath: "/v" }] }),
      want: [`${at}.volumeMounts[0].name: Not found: "v"`],
    },
    {
      name: "more requested than allowed",
      pod: container({ resources: { requests: { cpu: "2" }, limits: { cpu: "1" } } }),
      want: [`${at}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1`],
    },
    {
      name: "a probe of nothing",
      pod: probe({}),
      want: [`${at}.readinessProbe: Required value: must specify a handler type`],
    },
    {
      name: "a probe in two ways",
      pod: probe({ exec: {}, tcpSocket: { port: 1 } }),
      want: [`${at}.readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type`],
    },
    {
      name: "a policy there is not",
      pod: { spec: { containers: [app], restartPolicy: "Sometimes" } },
      want: ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"'],
    },
  ];
  for (const { name, pod, want } of cases) t.same(problems("", "Pod", pod), want, name);
  t.end();
});

test("a pod's spec stays, but for its images and its node", (t) => {
  t.same(problems("", "Pod", container({ image: "other" }), container({})), []);
  t.same(problems("", "Pod", { spec: { ...container({}).spec, nodeName: "local" } }, container({})), []);
  t.match(problems("", "Pod", container({ command: ["x"] }), container({})), [
    /^spec: Forbidden: pod updates may not change fields other than/,
  ]);
  t.match(
    problems("", "Pod", { spec: { containers: [app], nodeName: "b" } }, { spec: { containers: [app], nodeName: "a" } }),
    [/^spec: Forbidden/],
  );
  t.end();
});

test("deployments", (t) => {
  const cases = [
    { name: "a good one", object: deployment(), want: [] },
    { name: "no selector", object: deployment({ selector: undefined }), want: ["spec.selector: Required value"] },
    {
      name: "a selector of everything",
      object: deployment({ selector: {} }),
      want: ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    },
    {
      name: "a template that the selector does not fit",
      object: deployment({ selector: { matchLabels: { app: "y" } } }),
      want: ['spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`'],
    },
    {
      name: "fewer than no replicas",
      object: deployment({ replicas: -1 }),
      want: ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    },
    {
      name: "a rollout that cannot move",
      object: deployment({ strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } }),
      want: ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
    },
    {
      name: "pods that are not restarted",
      object: deployment({ template: { metadata: { labels }, spec: { containers: [app], restartPolicy: "Never" } } }),
      want: ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    },
    {
      name: "another selector than before",
      object: deployment(),
      old: deployment({ selector: { matchLabels: { app: "y" } } }),
      want: ['spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable'],
    },
  ];
  for (const { name, object, old, want } of cases) t.same(problems("apps", "Deployment", object, old), want, name);
  t.end();
});

test("names, services, data", (t) => {
  const port = { port: 80 };
  const cases: { name: string; kind: string; object: Json; old?: Json; want: (string | RegExp)[] }[] = [
    {
      name: "a name in capitals",
      kind: "ConfigMap",
      object: { metadata: { name: "Web" } },
      want: [/^metadata.name: Invalid value: "Web": a lowercase RFC 1123 subdomain must consist of/],
    },
    {
      name: "no name",
      kind: "ConfigMap",
      object: { metadata: {} },
      want: ["metadata.name: Required value: name or generateName is required"],
    },
    { name: "a generated name", kind: "ConfigMap", object: { metadata: { generateName: "web-" } }, want: [] },
    {
      name: "a dot in a namespace",
      kind: "Namespace",
      object: { metadata: { name: "a.b" } },
      want: [/^metadata.name: Invalid value: "a.b": a lowercase RFC 1123 label must/],
    },
    {
      name: "a digit before a service",
      kind: "Service",
      object: { metadata: { name: "1a" }, spec: { ports: [port] } },
      want: [/^metadata.name: Invalid value: "1a": a DNS-1035 label must/],
    },
    {
      name: "a label that is none",
      kind: "ConfigMap",
      object: { metadata: { name: "x", labels: { "a b": "c d" } } },
      want: [
        /^metadata.labels: Invalid value: "a b": name part must/,
        /^metadata.labels: Invalid value: "c d": a valid label must/,
      ],
    },
    { name: "a service without ports", kind: "Service", object: { spec: {} }, want: ["spec.ports: Required value"] },
    { name: "a headless one", kind: "Service", object: { spec: { clusterIP: "None" } }, want: [] },
    {
      name: "two ports, one nameless",
      kind: "Service",
      object: { spec: { ports: [{ ...port, name: "a" }, { port: 81 }] } },
      want: ["spec.ports[1].name: Required value"],
    },
    {
      name: "an address that changes",
      kind: "Service",
      object: { spec: { ports: [port], clusterIP: "10.0.0.2" } },
      old: { spec: { ports: [port], clusterIP: "10.0.0.1" } },
      want: ['spec.clusterIPs[0]: Invalid value: "10.0.0.2": may not change once set'],
    },
    {
      name: "a bad key",
      kind: "ConfigMap",
      object: { data: { "a b": "" } },
      want: [/^data\[a b\]: Invalid value: "a b": a valid config key must consist of/],
    },
    {
      name: "a frozen map",
      kind: "ConfigMap",
      object: { data: { a: "2" }, immutable: true },
      old: { data: { a: "1" }, immutable: true },
      want: ["data: Forbidden: field is immutable when `immutable` is set"],
    },
    {
      name: "a certificate without a key",
      kind: "Secret",
      object: { type: "kubernetes.io/tls", stringData: { "tls.crt": "x" } },
      want: ["data[tls.key]: Required value"],
    },
    {
      name: "a secret that changes its type",
      kind: "Secret",
      object: { type: "a" },
      old: { type: "b" },
      want: ['type: Invalid value: "a": field is immutable'],
    },
  ];
  for (const { name, kind, object, old, want } of cases) t.match(problems("", kind, object, old), want, name);
  for (const { name, kind, object, old, want } of cases)
    t.equal(problems("", kind, object, old).length, want.length, `${name}: no more than that`);
  t.end();
});
