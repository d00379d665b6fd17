import { test } from "tap";
import path from "node:path";
import type { ConfigMap, Deployment, Pod } from "../api/core.ts";
import type { KubeObject } from "../api/meta.ts";
import { replacement } from "./install.ts";
import { parseManifest, readManifests } from "./manifest-files.ts";
import { defaultDomain, waitingFor, withDefaultDomain } from "./platform.ts";
import { sampleAddresses } from "./sample-addresses.ts";

const object = (kind: string, hash: string, extra: object = {}): KubeObject & { spec?: object } => ({
  apiVersion: "v1",
  kind,
  metadata: { name: "x", resourceVersion: "7", annotations: { "swell.dev/manifest-hash": hash, own: "1" } },
  ...extra,
});

test("replacement leaves what came from the same manifest, and every ConfigMap", async (t) => {
  t.equal(replacement(object("Service", "abc"), object("Service", ""), "abc"), undefined);
  t.equal(replacement(object("ConfigMap", "abc"), object("ConfigMap", ""), "def"), undefined);
});

test("replacement keeps what the cluster added", async (t) => {
  const present = object("Service", "abc", { spec: { clusterIP: "10.96.0.100", ports: [1] }, status: { a: 1 } });
  const manifest = { ...object("Service", ""), metadata: { name: "x", labels: { l: "1" } }, spec: { ports: [2] } };
  t.same(replacement(present, manifest, "def"), {
    ...present,
    metadata: {
      name: "x",
      resourceVersion: "7",
      labels: { l: "1" },
      annotations: { own: "1", "swell.dev/manifest-hash": "def" },
    },
    spec: { clusterIP: "10.96.0.100", ports: [2] },
  });
});

test("readManifests reads the project's own, the namespace before all else", async (t) => {
  const { crds, core } = readManifests(path.join(import.meta.dirname, "..", "manifests"));
  t.ok(crds.every(({ kind }) => kind === "CustomResourceDefinition"));
  t.equal(core[0]?.kind, "Namespace");
  t.equal(core.filter(({ kind }) => kind === "Deployment").length, 5);
});

test("parseManifest names the file with the mistake", async (t) => {
  t.throws(() => parseManifest("a: [", "core/x.yaml"), { message: /^manifests\/core\/x.yaml: / });
});

const startedMs = Date.parse("2026-01-01T00:00:10.700Z");
const deployment = (name: string, replicas = 1): Deployment => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name },
  spec: { replicas, selector: {}, template: { spec: { containers: [] } } },
});
const pod = (app: string, ready: boolean, startedAt: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: `${app}-1`, labels: { app } },
  spec: { containers: [] },
  status: {
    phase: "Running",
    conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
    containerStatuses: [
      { name: "c", image: "", imageID: "", ready, restartCount: 0, state: { running: { startedAt } } },
    ],
  },
});

const waitingCases = [
  { name: "waits for something to be installed", deployments: [], pods: [], want: ["nothing is installed"] },
  { name: "waits for a pod", deployments: [deployment("a")], pods: [], want: ["a (it has no pod)"] },
  {
    name: "waits until the pod is ready",
    deployments: [deployment("a")],
    pods: [pod("a", false, "2026-01-01T00:00:11Z")],
    want: ["a (pod a-1 is Running)"],
  },
  {
    name: "does not believe what an earlier start left behind",
    deployments: [deployment("a")],
    pods: [pod("a", true, "2026-01-01T00:00:09Z")],
    want: ["a (pod a-1 is Running)"],
  },
  {
    name: "takes a pod that started in the same second",
    deployments: [deployment("a"), deployment("off", 0)],
    pods: [pod("a", true, "2026-01-01T00:00:10Z")],
    want: [],
  },
];

for (const { name, deployments, pods, want } of waitingCases)
  test(`waitingFor ${name}`, async (t) => {
    t.same(waitingFor(deployments, pods, startedMs), want);
  });

test("the default domain is the one without a selector", async (t) => {
  const config = (data: Record<string, string>): ConfigMap => ({ ...object("ConfigMap", ""), data });
  const selector = "selector:\n  app: x\n";
  t.equal(defaultDomain(config({ _example: "", "a.com": selector, "b.com": "" })), "b.com");
  t.equal(defaultDomain(config({})), undefined);
  t.same(withDefaultDomain({ "a.com": selector, "b.com": "" }, "c.com"), { "a.com": selector, "c.com": "" });
  t.equal(withDefaultDomain({ "b.com": "" }, "b.com"), undefined);
});

test("the sample's curl line works with names that resolve and with others", async (t) => {
  t.equal(sampleAddresses("http://hello.default.localhost", 8080).curl, "curl http://hello.default.localhost:8080");
  t.equal(
    sampleAddresses("http://hello.default.example.com", 8090).curl,
    'curl -H "Host: hello.default.example.com" http://127.0.0.1:8090',
  );
});
