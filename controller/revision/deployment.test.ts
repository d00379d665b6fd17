/** The Deployment, Images and PodAutoscaler of a Revision, field by field (spec: serving-api 4.12, 4.13). */
import path from "node:path";
import { test } from "tap";
import { podAutoscalers, images } from "../../api/autoscaling.ts";
import { deployments, type Container, type Deployment } from "../../api/core.ts";
import { matchesFile, objectsIn, reconcileRow, withChanges, type ConfigData } from "../table.ts";
import { makeWith } from "./revision-fixture.ts";

const key = "default/hello-00001";
const testdata = path.join(import.meta.dirname, "testdata");
const plain = objectsIn(path.join(testdata, "ready.in.yaml"));
const full = objectsIn(path.join(testdata, "full.in.yaml"));

const unsettled = "the status of a Revision that was just made is not the matter here";

test("of a Revision with one image", async (t) => {
  const { cluster } = await reconcileRow(t, { make: makeWith(), key, objects: plain });
  matchesFile(t, path.join(testdata, "plain.out.yaml"), cluster, [
    [deployments, `${key}-deployment`],
    [podAutoscalers, key],
    [images, `${key}-cache-user-container`],
  ]);
});

test("of a Revision that uses all there is", async (t) => {
  const { cluster } = await reconcileRow(t, { make: makeWith(), key, objects: full, unsettled });
  matchesFile(t, path.join(testdata, "full.out.yaml"), cluster, [
    [deployments, `${key}-deployment`],
    [podAutoscalers, key],
    [images, `${key}-cache-app`],
    [images, `${key}-cache-init`],
  ]);
});

interface Made {
  deployment: Deployment;
  app: Container;
  sidecar: Container;
}
interface Row {
  name: string;
  /** Laid over the Revision. */
  revision?: object;
  config?: ConfigData;
  see: (made: Made) => unknown;
  want: unknown;
}
const spec = (fields: object) => ({ spec: fields });
const container = (fields: object) =>
  spec({ containers: [{ name: "user-container", image: "dev.local/hello", ...fields }] });
const annotated = (annotations: Record<string, string>) => ({ metadata: { annotations } });
const env =
  (name: string) =>
  ({ sidecar }: Made): string | undefined =>
    sidecar.env?.find((entry) => entry.name === name)?.value;
const probe = (readinessProbe: object) => container({ readinessProbe });
const twoContainers = (more: object = {}) =>
  spec({
    containers: [
      {
        name: "helper",
        image: "dev.local/h",
        readinessProbe: { httpGet: { path: "/h", port: 5000 }, periodSeconds: 1 },
      },
      { name: "app", image: "dev.local/a", ports: [{ containerPort: 8888 }], ...more },
      { name: "commanded", image: "dev.local/c", readinessProbe: { exec: { command: ["x"] } } },
    ],
  });

const rows: Row[] = [
  {
    name: "the deadline is the configured one",
    config: { "config-deployment": { "progress-deadline": "2m" } },
    see: ({ deployment }) => deployment.spec.progressDeadlineSeconds,
    want: 120,
  },
  {
    name: "the scale at first is the configured one",
    config: { "config-autoscaler": { "initial-scale": "0", "allow-zero-initial-scale": "true" } },
    see: ({ deployment }) => deployment.spec.replicas,
    want: 0,
  },
  {
    name: "a timeout that nobody defaulted is the configured one",
    revision: spec({ timeoutSeconds: null }),
    config: { "config-defaults": { "revision-timeout-seconds": "7" } },
    see: (made) => [
      made.deployment.spec.template.spec.terminationGracePeriodSeconds,
      env("REVISION_TIMEOUT_SECONDS")(made),
    ],
    want: [7, "7"],
  },
  {
    name: "service links are the configured ones where the Revision says nothing",
    revision: spec({ enableServiceLinks: null }),
    config: { "config-defaults": { "enable-service-links": "true" } },
    see: ({ deployment }) => deployment.spec.template.spec.enableServiceLinks,
    want: true,
  },
  {
    name: "pods are spread over nodes where that is configured",
    config: { "config-deployment": { "default-affinity-type": "prefer-spread-revision-over-nodes" } },
    see: ({ deployment }) => deployment.spec.template.spec.affinity,
    want: {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          {
            weight: 100,
            podAffinityTerm: {
              topologyKey: "kubernetes.io/hostname",
              labelSelector: { matchLabels: { "serving.knative.dev/revision": "hello-00001" } },
            },
          },
        ],
      },
    },
  },
  {
    name: "but not where the Revision has an affinity",
    revision: spec({ affinity: { nodeAffinity: {} } }),
    config: { "config-deployment": { "default-affinity-type": "prefer-spread-revision-over-nodes" } },
    see: ({ deployment }) => deployment.spec.template.spec.affinity,
    want: { nodeAffinity: {} },
  },
  {
    name: "the runtime class is that of the most labels",
    config: {
      "config-deployment": {
        "runtime-class-name": "gvisor: {}\nkata: { selector: { serving.knative.dev/service: hello } }",
      },
    },
    see: ({ deployment }) => deployment.spec.template.spec.runtimeClassName,
    want: "kata",
  },
  {
    name: "a runtime class of the Revision's own goes before",
    revision: spec({ runtimeClassName: "mine" }),
    config: { "config-deployment": { "runtime-class-name": "gvisor: {}" } },
    see: ({ deployment }) => deployment.spec.template.spec.runtimeClassName,
    want: "mine",
  },
  {
    name: "the app's environment comes first, then ours in this order",
    revision: container({ env: [{ name: "Z", value: "1" }] }),
    see: ({ app }) => app.env?.map(({ name, value }) => `${name}=${value}`),
    want: ["Z=1", "PORT=8080", "K_REVISION=hello-00001", "K_CONFIGURATION=hello", "K_SERVICE=hello"],
  },
  {
    name: "a Revision without a Service says so with nothing",
    revision: { metadata: { labels: { "serving.knative.dev/service": null } } },
    see: ({ app }) => app.env?.at(-1),
    want: { name: "K_SERVICE", value: "" },
  },
  {
    name: "a second container gets no PORT",
    revision: twoContainers(),
    see: ({ deployment }) =>
      deployment.spec.template.spec.containers.map(({ name, env: own = [], ports }) => [
        name,
        own[0]?.name,
        ports?.[0]?.containerPort,
      ]),
    want: [
      ["helper", "K_REVISION", undefined],
      ["app", "PORT", 8888],
      ["commanded", "K_REVISION", undefined],
      ["queue-proxy", "SERVING_NAMESPACE", 9090],
    ],
  },
  {
    name: "logs on disk are collected where that is configured",
    config: { "config-observability": { "logging.enable-var-log-collection": "true" } },
    see: ({ deployment, app }) => [
      deployment.spec.template.spec.volumes,
      app.volumeMounts,
      app.env?.slice(-2).map(({ name, valueFrom }) => [name, valueFrom?.fieldRef?.fieldPath]),
    ],
    want: [
      [{ name: "knative-var-log", emptyDir: {} }],
      [
        {
          name: "knative-var-log",
          mountPath: "/var/log",
          subPathExpr: "$(K_INTERNAL_POD_NAMESPACE)_$(K_INTERNAL_POD_NAME)_user-container",
        },
      ],
      [
        ["K_INTERNAL_POD_NAME", "metadata.name"],
        ["K_INTERNAL_POD_NAMESPACE", "metadata.namespace"],
      ],
    ],
  },
  ...(
    [
      ["a probe over HTTP", { httpGet: { path: "/" } }, undefined],
      ["a probe over TCP", { tcpSocket: { port: 0 } }, undefined],
      ["a probe over gRPC", { grpc: { port: 0 } }, undefined],
      ["a probe by a command", { exec: { command: ["x"] } }, { exec: { command: ["x"] } }],
    ] as const
  ).map(([name, given, want]) => ({
    name: `${name} is ${want === undefined ? "the sidecar's" : "the kubelet's"}`,
    revision: probe(given),
    see: ({ app }: Made) => app.readinessProbe,
    want,
  })),
  ...(
    [
      [
        "nothing but the default",
        { tcpSocket: { port: 0 }, successThreshold: 1 },
        { tcpSocket: { port: 8080, host: "127.0.0.1" }, successThreshold: 1 },
      ],
      [
        "an HTTP path",
        { httpGet: { path: "/ok" } },
        { httpGet: { path: "/ok", port: 8080, host: "127.0.0.1", scheme: "HTTP" } },
      ],
      [
        "HTTPS with a port and a header",
        {
          httpGet: { path: "/ok", port: 99, scheme: "HTTPS", httpHeaders: [{ name: "a", value: "b" }] },
          periodSeconds: 3,
        },
        {
          httpGet: {
            path: "/ok",
            port: 99,
            host: "127.0.0.1",
            scheme: "HTTPS",
            httpHeaders: [{ name: "a", value: "b" }],
          },
          periodSeconds: 3,
        },
      ],
      ["a named port", { httpGet: { port: "http1" } }, { httpGet: { port: 8080, host: "127.0.0.1", scheme: "HTTP" } }],
      ["gRPC", { grpc: { port: 0, service: "s" } }, { grpc: { port: 8080, service: "s" } }],
      [
        "a command, which a connection stands for",
        { exec: { command: ["x"] } },
        { tcpSocket: { port: 8080, host: "127.0.0.1" } },
      ],
    ] as const
  ).map(([name, given, want]) => ({
    name: `the sidecar probes by ${name}`,
    revision: probe(given),
    see: env("SERVING_READINESS_PROBE"),
    want: JSON.stringify(want),
  })),
  {
    name: "with several containers probed it is a list in their order, without those that the kubelet probes",
    revision: twoContainers({ readinessProbe: { tcpSocket: { port: 0 } } }),
    config: { "config-features": { "multi-container-probing": "enabled" } },
    see: (made) => [env("SERVING_READINESS_PROBE")(made), env("ENABLE_MULTI_CONTAINER_PROBES")(made)],
    want: [
      JSON.stringify([
        { httpGet: { path: "/h", port: 5000, host: "127.0.0.1", scheme: "HTTP" }, periodSeconds: 1 },
        { tcpSocket: { port: 8888, host: "127.0.0.1" } },
      ]),
      "true",
    ],
  },
  {
    name: "and of one container too",
    config: { "config-features": { "multi-container-probing": "enabled" } },
    see: env("SERVING_READINESS_PROBE"),
    want: '[{"tcpSocket":{"port":8080,"host":"127.0.0.1"},"successThreshold":1}]',
  },
  {
    name: "the kubelet asks the sidecar, as often as the app was to be asked",
    revision: probe({ exec: { command: ["x"] }, periodSeconds: 3, timeoutSeconds: 2 }),
    see: ({ sidecar }) => sidecar.readinessProbe,
    want: {
      httpGet: { port: 8012, httpHeaders: [{ name: "K-Network-Probe", value: "queue" }] },
      periodSeconds: 3,
      timeoutSeconds: 2,
    },
  },
  ...(
    [
      ["HTTP", { httpGet: { path: "/l", port: 80 } }, {}, { httpGet: { path: "/l", port: 8080 } }],
      ["TCP", { tcpSocket: { port: 80 } }, {}, { tcpSocket: { port: 8080 } }],
      ["gRPC, which stays", { grpc: { port: 80 } }, {}, { grpc: { port: 80 } }],
      [
        "HTTP with a number while several containers are probed",
        { httpGet: { port: 80 } },
        { "multi-container-probing": "enabled" },
        { httpGet: { port: 80 } },
      ],
      [
        "HTTP with a name then",
        { httpGet: { port: "http1" } },
        { "multi-container-probing": "enabled" },
        { httpGet: { port: 8080 } },
      ],
    ] as const
  ).map(([name, given, features, want]) => ({
    name: `liveness by ${name}`,
    revision: container({ livenessProbe: given }),
    config: { "config-features": features },
    see: ({ app }: Made) => app.livenessProbe,
    want,
  })),
  {
    name: "the sidecar's ports of HTTP/2",
    revision: container({ ports: [{ name: "h2c", containerPort: 1 }] }),
    config: { "config-observability": { "runtime-profiling": "enabled" } },
    see: ({ sidecar }) => sidecar.ports?.map(({ name, containerPort }) => `${name}=${containerPort}`),
    want: ["http-autometric=9090", "http-usermetric=9091", "profiling-port=8008", "queue-port=8013", "https-port=8112"],
  },
  {
    name: "the sidecar reads the pod's annotations where the Revision asks for it",
    revision: annotated({ "features.knative.dev/queueproxy-podinfo": "ENABLED" }),
    config: { "config-features": { "queueproxy.mount-podinfo": "Allowed" } },
    see: ({ sidecar }) => sidecar.volumeMounts?.map(({ mountPath }) => mountPath),
    want: ["/etc/podinfo"],
  },
  {
    name: "and not where nobody does",
    config: { "config-features": { "queueproxy.mount-podinfo": "Allowed" } },
    see: ({ sidecar }) => sidecar.volumeMounts,
    want: undefined,
  },
  {
    name: "it has tokens for the configured audiences",
    config: { "config-deployment": { "queue-sidecar-token-audiences": "one, two" } },
    see: ({ deployment, sidecar }) => [
      deployment.spec.template.spec.volumes,
      sidecar.volumeMounts?.map(({ mountPath }) => mountPath),
    ],
    want: [
      [
        {
          name: "knative-token-volume",
          projected: {
            sources: [
              { serviceAccountToken: { audience: "one", expirationSeconds: 3600, path: "one" } },
              { serviceAccountToken: { audience: "two", expirationSeconds: 3600, path: "two" } },
            ],
          },
        },
      ],
      ["/var/run/secrets/tokens"],
    ],
  },
  {
    name: "what is observed is one piece of JSON",
    config: {
      "config-observability": {
        "tracing-protocol": "http/protobuf",
        "tracing-endpoint": "http://otel:4318",
        "tracing-sampling-rate": "0.5",
        "request-metrics-protocol": "prometheus",
        "logging.enable-request-log": "true",
        "logging.request-log-template": "x",
      },
    },
    see: env("OBSERVABILITY_CONFIG"),
    want: JSON.stringify({
      tracing: { protocol: "http/protobuf", endpoint: "http://otel:4318", samplingRate: 0.5 },
      metrics: { protocol: "none" },
      runtime: { profiling: "disabled", exportInterval: 15e9 },
      requestMetrics: { protocol: "prometheus" },
      enableRequestLog: true,
      requestLogTemplate: "x",
      enableProbeRequestLog: false,
    }),
  },
];
for (const { name, revision = {}, config = {}, see, want } of rows)
  test(name, async (t) => {
    const objects = withChanges(plain, { "Revision hello-00001": revision });
    const { cluster } = await reconcileRow(t, { make: makeWith(), key, objects, config, unsettled });
    const deployment = cluster.find<Deployment>(deployments, `${key}-deployment`)!;
    const { containers } = deployment.spec.template.spec;
    t.same(see({ deployment, app: containers[0]!, sidecar: containers.at(-1)! }), want);
  });
