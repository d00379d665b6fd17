/** Every rule of serving-api 4.13 for a ServerlessService: its Services, who answers for it, and what it says. */
import path from "node:path";
import { test } from "tap";
import { endpoints, services, type Endpoints } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../../api/networking.ts";
import type { ApiError } from "../../kube/client.ts";
import { failure } from "../memory-cluster.ts";
import { matchesFile, objectsIn, reconcileRow, withChanges, type Changes } from "../table.ts";
import { serverlessServiceReconciler } from "./reconciler.ts";

const key = "default/hello-00001";
const testdata = path.join(import.meta.dirname, "testdata");
const idle = objectsIn(path.join(testdata, "idle.in.yaml"));
const sks = "ServerlessService hello-00001";
const mode = (value: string, numActivators = 2) => ({ [sks]: { spec: { mode: value, numActivators } } });
const backends = (...ips: string[]): KubeObject =>
  ({
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { name: "hello-00001-private", namespace: "default" },
    subsets: [
      {
        addresses: ips.map((ip) => ({ ip })),
        ports: [
          { name: "http", port: 8012, protocol: "TCP" },
          { name: "https", port: 8112, protocol: "TCP" },
          { name: "http-usermetric", port: 9091, protocol: "TCP" },
          { name: "http-istio", port: 8012, protocol: "TCP" },
        ],
      },
    ],
  }) as KubeObject;
const foreign = (kind: string, name: string): KubeObject =>
  ({ apiVersion: "v1", kind, metadata: { name, namespace: "default" }, spec: {} }) as KubeObject;

const throughActivators = [
  "ActivatorEndpointsPopulated (Info) True ActivatorEndpointsPopulated: Revision is backed by Activator",
  "EndpointsPopulated Unknown NoHealthyBackends: K8s Service is not ready",
  "Ready Unknown NoHealthyBackends: K8s Service is not ready",
];
const direct = [
  "ActivatorEndpointsPopulated (Info) False ActivatorEndpointsPopulated: Revision is backed by Activator",
  "EndpointsPopulated True",
  "Ready True",
];
const inFront = [throughActivators[0]!, "EndpointsPopulated True", "Ready True"];
const failing = (status: string, text: string): string[] => [
  `EndpointsPopulated ${status} ${text}`,
  `Ready ${status} ${text}`,
];

interface Row {
  name: string;
  change?: Changes;
  more?: KubeObject[];
  conditions: string[];
  /** Addresses and ports of the public Endpoints. */
  answers?: string;
  refuse?: (write: string) => ApiError | undefined;
  error?: string;
}
const refusing = (what: string) => (write: string) =>
  write.startsWith(what) ? failure(403, "Forbidden", "no") : undefined;

const rows: Row[] = [
  {
    name: "without a pod some activators answer",
    conditions: throughActivators,
    answers: "10.0.0.4,10.0.0.5 http:8012,https:8112",
  },
  {
    name: "without a pod they answer in mode Serve too",
    change: mode("Serve"),
    conditions: throughActivators,
    answers: "10.0.0.4,10.0.0.5 http:8012,https:8112",
  },
  {
    name: "zero activators are all of them",
    change: mode("Proxy", 0),
    conditions: throughActivators,
    answers: "10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4,10.0.0.5 http:8012,https:8112",
  },
  {
    name: "in mode Serve the pods answer",
    change: mode("Serve"),
    more: [backends("10.1.0.1", "10.1.0.2")],
    conditions: direct,
    answers: "10.1.0.1,10.1.0.2 http:8012,https:8112",
  },
  {
    name: "in mode Proxy activators answer for the pods",
    more: [backends("10.1.0.1")],
    conditions: inFront,
    answers: "10.0.0.4,10.0.0.5 http:8012,https:8112",
  },
  {
    name: "without an activator the pods answer in any mode",
    change: { "Endpoints activator-service": null },
    more: [backends("10.1.0.1")],
    conditions: inFront,
    answers: "10.1.0.1 http:8012,https:8112",
  },
  {
    name: "without anybody nobody answers",
    change: { "Endpoints activator-service": null },
    conditions: throughActivators,
    answers: " ",
  },
  {
    name: "HTTP/2 has its own port",
    change: { [sks]: { spec: { protocolType: "h2c" } } },
    conditions: throughActivators,
    answers: "10.0.0.4,10.0.0.5 http2:8013,https:8112",
  },
  {
    name: "a private Service of somebody else is not touched",
    more: [foreign("Service", "hello-00001-private")],
    conditions: failing("False", "NotOwned: Resource hello-00001-private of type Service is not owned by SKS"),
    error: "Resource hello-00001-private of type Service is not owned by SKS",
  },
  {
    name: "a public Service of somebody else is not touched",
    more: [foreign("Service", "hello-00001")],
    conditions: failing("False", "NotOwned: Resource hello-00001 of type Service is not owned by SKS"),
    error: "Resource hello-00001 of type Service is not owned by SKS",
  },
  {
    name: "Endpoints of somebody else are not touched",
    more: [foreign("Endpoints", "hello-00001")],
    conditions: failing("False", "NotOwned: Resource hello-00001 of type Endpoints is not owned by SKS"),
    error: "Resource hello-00001 of type Endpoints is not owned by SKS",
  },
  {
    name: "a private Service that cannot be made",
    refuse: refusing("create services hello-00001-private"),
    conditions: failing("Unknown", "CreatingPrivateService: K8s Service is not ready"),
    error: "no",
  },
  {
    name: "a public Service that cannot be made",
    refuse: (write) => (write === "create services hello-00001" ? failure(403, "Forbidden", "no") : undefined),
    conditions: failing("Unknown", "CreatingPublicService: K8s Service is not ready"),
    error: "no",
  },
  {
    name: "Endpoints that cannot be made",
    refuse: refusing("create endpoints"),
    conditions: failing("Unknown", "CreatingPublicEndpoints: K8s Service is not ready"),
    error: "no",
  },
];
for (const { name, change = {}, more = [], conditions, answers, refuse, error } of rows)
  test(name, async (t) => {
    const objects = [...withChanges(idle, change), ...more];
    const result = await reconcileRow(t, {
      make: serverlessServiceReconciler,
      key,
      objects,
      ...(refuse === undefined ? {} : { refuse }),
    });
    t.same(result.conditions(serverlessServices), conditions);
    t.equal(result.error, error);
    if (answers === undefined) return;
    const { subsets = [] } = result.cluster.find<Endpoints>(endpoints, key)!;
    const ips = subsets.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip));
    const ports = (subsets[0]?.ports ?? []).map((entry) => `${entry.name}:${entry.port}`);
    t.equal(`${ips.join()} ${ports.join()}`, answers);
    const { status } = result.cluster.find<ServerlessService>(serverlessServices, key)!;
    t.match(status, { serviceName: "hello-00001", privateServiceName: "hello-00001-private" });
  });

for (const protocolType of ["http1", "h2c"])
  test(`the Services of ${protocolType}`, async (t) => {
    const objects = withChanges(idle, { [sks]: { spec: { protocolType } } });
    const { cluster, writes } = await reconcileRow(t, { make: serverlessServiceReconciler, key, objects });
    t.same(writes, [
      "create services hello-00001-private",
      "create services hello-00001",
      "create endpoints hello-00001",
      "update serverlessservices hello-00001 status",
    ]);
    matchesFile(t, path.join(testdata, `${protocolType}.out.yaml`), cluster, [
      [services, `${key}-private`],
      [services, key],
      [endpoints, key],
    ]);
  });

test("without its Deployment it waits and says nothing", async (t) => {
  const objects = withChanges(idle, { "Deployment hello-00001-deployment": null });
  const { writes, error, againMs } = await reconcileRow(t, { make: serverlessServiceReconciler, key, objects });
  t.same(writes, []);
  t.equal(error, undefined);
  t.ok(againMs);
});
