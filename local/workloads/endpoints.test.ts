import { test } from "tap";
import type { Endpoints, Pod, Service } from "../../api/core.ts";
import { endpointsOf, mirroredSlices, slicesOf } from "./endpoints.ts";

function service(spec: Service["spec"]): Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace: "default", uid: "service-uid", labels: { app: "web" } },
    spec: { selector: { app: "web" }, ...spec },
  };
}

interface Traits {
  ready?: boolean;
  ending?: boolean;
  phase?: "Running" | "Succeeded";
  ip?: string;
  ports?: { name: string; containerPort: number }[];
}

function pod(
  name: string,
  { ready = true, ending = false, phase = "Running", ip = "127.9.0.1", ports = [] }: Traits,
): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      namespace: "default",
      uid: `${name}-uid`,
      ...(ending ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
    },
    spec: { nodeName: "local", containers: [{ name: "c", ports }] },
    status: { phase, podIP: ip, conditions: [{ type: "Ready", status: ready ? "True" : "False" }] },
  };
}

/** `ready|notReady:ports` of each subset. */
function brief({ subsets = [] }: Endpoints): string[] {
  return subsets.map(({ addresses = [], notReadyAddresses = [], ports = [] }) => {
    const names = (list: { targetRef?: { name?: string } }[]) => list.map((each) => each.targetRef?.name).join(",");
    const numbers = ports.map((port) => `${port.name ?? ""}${port.port}`).join(",");
    return `${names(addresses)}|${names(notReadyAddresses)}:${numbers}`;
  });
}

const http = { name: "http", port: 80, targetPort: 8080 };
const cases: { name: string; spec: Service["spec"]; pods: Pod[]; want: string[] }[] = [
  {
    name: "lists ready and other pods apart",
    spec: { ports: [http] },
    pods: [pod("b", { ip: "127.9.0.2", ready: false }), pod("a", {})],
    want: ["a|b:http8080"],
  },
  {
    name: "leaves out pods that are ending, have ended or have no address",
    spec: { ports: [http] },
    pods: [pod("a", { ending: true }), pod("b", { phase: "Succeeded" }), pod("c", { ip: "" })],
    want: [],
  },
  {
    name: "publishes pods that are not ready when told to",
    spec: { ports: [http], publishNotReadyAddresses: true },
    pods: [pod("a", { ready: false }), pod("b", { ending: true })],
    want: ["a,b|:http8080"],
  },
  {
    name: "resolves a named target port in each pod",
    spec: { ports: [{ name: "http", port: 80, targetPort: "web" }] },
    pods: [
      pod("a", { ports: [{ name: "web", containerPort: 1111 }] }),
      pod("b", { ports: [{ name: "web", containerPort: 2222 }] }),
      pod("c", { ports: [{ name: "other", containerPort: 3333 }] }),
    ],
    want: ["a|:http1111", "b|:http2222"],
  },
  {
    name: "takes the Service's port where there is no target port",
    spec: { ports: [{ port: 9090 }] },
    pods: [pod("a", {})],
    want: ["a|:9090"],
  },
  {
    name: "lists the pods of a Service without ports",
    spec: { clusterIP: "None" },
    pods: [pod("a", {})],
    want: ["a|:"],
  },
];

for (const { name, spec, pods, want } of cases)
  test(`endpointsOf ${name}`, async (t) => {
    t.same(brief(endpointsOf(service(spec), pods)), want);
  });

test("slicesOf keeps pods that are ending, not ready but still serving", async (t) => {
  const [slice] = slicesOf(service({ ports: [http] }), [pod("a", {}), pod("b", { ending: true, ip: "127.9.0.2" })]);
  t.same(
    slice?.endpoints.map(({ conditions }) => conditions),
    [
      { ready: true, serving: true, terminating: false },
      { ready: false, serving: true, terminating: true },
    ],
  );
  t.equal(slice?.metadata.labels?.["kubernetes.io/service-name"], "web");
  t.equal(slice?.metadata.ownerReferences?.[0]?.uid, "service-uid");
});

test("slicesOf gives the same ports the same name, and splits at a thousand endpoints", async (t) => {
  const many = Array.from({ length: 1001 }, (_, i) => pod(`p${i}`, { ip: `127.9.${i >> 8}.${i & 255}` }));
  const [first, second] = slicesOf(service({ ports: [http] }), many);
  t.same([first?.endpoints.length, second?.endpoints.length], [1000, 1]);
  t.not(first?.metadata.name, second?.metadata.name);
  const [again] = slicesOf(service({ ports: [http] }), [pod("x", {})]);
  t.equal(again?.metadata.name, first?.metadata.name);
});

test("mirroredSlices follows an Endpoints object that somebody else writes", async (t) => {
  const endpoints: Endpoints = {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { name: "web", namespace: "default", uid: "endpoints-uid" },
    subsets: [
      {
        addresses: [{ ip: "127.9.0.1" }, { ip: "::1" }],
        notReadyAddresses: [{ ip: "127.9.0.2" }],
        ports: [{ name: "http", port: 8012, protocol: "TCP" }],
      },
    ],
  };
  const slices = mirroredSlices(service({}), endpoints);
  t.same(
    slices.map(({ addressType, endpoints: list }) => [addressType, list.map(({ addresses }) => addresses[0])]),
    [
      ["IPv4", ["127.9.0.1", "127.9.0.2"]],
      ["IPv6", ["::1"]],
    ],
  );
  t.equal(slices[0]?.metadata.ownerReferences?.[0]?.uid, "endpoints-uid");
  const skipped = { "endpointslice.kubernetes.io/skip-mirror": "true" };
  t.same(mirroredSlices(service({}), { ...endpoints, metadata: { ...endpoints.metadata, labels: skipped } }), []);
});
