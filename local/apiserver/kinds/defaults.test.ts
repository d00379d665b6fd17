import { test } from "tap";
import type { KubeObject } from "../../../api/meta.ts";
import { createKindRegistry } from "./index.ts";

const registry = createKindRegistry();
function defaulted(group: string, kind: string, object: object): Record<string, unknown> {
  const made = structuredClone({ apiVersion: "v1", kind, metadata: { name: "x" }, ...object }) as KubeObject;
  const found = registry.findByKind(group, "v1", kind);
  found?.applyDefaults(made);
  const once = structuredClone(made);
  found?.applyDefaults(made);
  if (JSON.stringify(once) !== JSON.stringify(made)) throw new Error("defaults are not stable");
  return made as unknown as Record<string, unknown>;
}

const filled = { terminationMessagePath: "/dev/termination-log", terminationMessagePolicy: "File" };
const podSpec = {
  restartPolicy: "Always",
  dnsPolicy: "ClusterFirst",
  terminationGracePeriodSeconds: 30,
  securityContext: {},
  schedulerName: "default-scheduler",
};

test("a pod", (t) => {
  const probe = { httpGet: { port: 80 } };
  const spec = {
    containers: [
      {
        name: "a",
        image: "i",
        ports: [{ containerPort: 80 }],
        readinessProbe: probe,
        resources: { limits: { cpu: "1" } },
      },
    ],
    volumes: [{ name: "c", configMap: { name: "m" } }, { name: "e" }],
  };
  t.same(defaulted("", "Pod", { spec })["spec"], {
    ...podSpec,
    enableServiceLinks: true,
    serviceAccountName: "default",
    serviceAccount: "default",
    containers: [
      {
        name: "a",
        image: "i",
        imagePullPolicy: "Always",
        ports: [{ containerPort: 80, protocol: "TCP" }],
        readinessProbe: {
          httpGet: { port: 80, path: "/", scheme: "HTTP" },
          timeoutSeconds: 1,
          periodSeconds: 10,
          successThreshold: 1,
          failureThreshold: 3,
        },
        resources: { limits: { cpu: "1" }, requests: { cpu: "1" } },
        ...filled,
      },
    ],
    volumes: [
      { name: "c", configMap: { name: "m", defaultMode: 420 } },
      { name: "e", emptyDir: {} },
    ],
  });
  t.end();
});

test("an image's tag decides when it is pulled", (t) => {
  const cases: [string, string][] = [
    ["web", "Always"],
    ["web:latest", "Always"],
    ["web:1", "IfNotPresent"],
    ["host:5000/web", "Always"],
    ["web@sha256:0", "IfNotPresent"],
  ];
  for (const [image, want] of cases) {
    const { containers } = defaulted("", "Pod", { spec: { containers: [{ name: "a", image }] } })["spec"] as {
      containers: { imagePullPolicy: string }[];
    };
    t.equal(containers[0]?.imagePullPolicy, want, image);
  }
  t.end();
});

test("quality of service follows from what is asked for", (t) => {
  const both = { cpu: "1", memory: "1Gi" };
  const cases = [
    { name: "nothing", resources: {}, want: "BestEffort" },
    { name: "limits on both", resources: { limits: both }, want: "Guaranteed" },
    { name: "requests below limits", resources: { limits: both, requests: { cpu: "500m" } }, want: "Burstable" },
    { name: "one of two", resources: { limits: { cpu: "1" } }, want: "Burstable" },
  ];
  for (const { name, resources, want } of cases) {
    const pod = defaulted("", "Pod", { spec: { containers: [{ name: "a", image: "i:1", resources }] } });
    t.same(pod["status"], { phase: "Pending", qosClass: want }, name);
  }
  t.end();
});

test("workloads and services", (t) => {
  const template = { spec: { containers: [] } };
  t.same(defaulted("apps", "Deployment", { spec: { template } })["spec"], {
    replicas: 1,
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: "25%", maxSurge: "25%" } },
    template: { spec: { containers: [], ...podSpec } },
  });
  t.same(defaulted("apps", "Deployment", { spec: { replicas: 0, strategy: { type: "Recreate" } } })["spec"], {
    replicas: 0,
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
    strategy: { type: "Recreate" },
  });
  t.same(
    defaulted("", "Service", {
      spec: { type: "LoadBalancer", ports: [{ port: 80 }, { port: 81, targetPort: "web" }] },
    })["spec"],
    {
      type: "LoadBalancer",
      sessionAffinity: "None",
      ports: [
        { port: 80, protocol: "TCP", targetPort: 80 },
        { port: 81, protocol: "TCP", targetPort: "web" },
      ],
      internalTrafficPolicy: "Cluster",
      externalTrafficPolicy: "Cluster",
      allocateLoadBalancerNodePorts: true,
      ipFamilies: ["IPv4"],
      ipFamilyPolicy: "SingleStack",
    },
  );
  t.end();
});

test("a secret's text becomes data, and wins", (t) => {
  const { data, stringData, type } = defaulted("", "Secret", {
    data: { a: "eA==", b: "eQ==" },
    stringData: { b: "z" },
  });
  t.same([data, stringData, type], [{ a: "eA==", b: "eg==" }, undefined, "Opaque"]);
  t.end();
});
