import { test } from "tap";
import { ConfigError } from "../process/env.ts";
import { parseConfig } from "./config.ts";
import { requiredEnv } from "./fixture.ts";

test("every problem is reported at once", (t) => {
  const { SERVING_POD: _pod, USER_PORT: _port, ...rest } = requiredEnv;
  const env = {
    ...rest,
    CONTAINER_CONCURRENCY: "many",
    OBSERVABILITY_CONFIG: "{",
    SWELL_STATS_ADDRESS: "nowhere",
    SWELL_PORT_MAP: "8080",
    SERVING_READINESS_PROBE: '{"httpGet":{"port":"web"}}',
  };
  try {
    parseConfig(env);
    t.fail("must throw");
  } catch (error) {
    t.ok(error instanceof ConfigError);
    const { problems } = error as ConfigError;
    for (const want of [
      /^required key USER_PORT missing value$/,
      /^required key SERVING_POD missing value$/,
      /^CONTAINER_CONCURRENCY="many": want a whole number$/,
      /^OBSERVABILITY_CONFIG: not JSON/,
      /^SWELL_STATS_ADDRESS="nowhere": want HOST:PORT$/,
      /^required key SWELL_STATS_TOKEN missing value$/,
      /^SWELL_PORT_MAP: "8080": want CONTAINER_PORT=PORT$/,
      /^SERVING_READINESS_PROBE: port "web": want a number from 0 to 65535$/,
    ])
      t.ok(
        problems.some((problem) => want.test(problem)),
        String(want),
      );
    t.equal(problems.length, 8);
  }
  t.end();
});

function problemsOf(env: Record<string, string | undefined>): readonly string[] {
  try {
    parseConfig(env);
    return [];
  } catch (error) {
    return (error as ConfigError).problems;
  }
}

const refused = [
  {
    name: "every unknown cipher suite and curve",
    env: { QUEUE_PROXY_TLS_CIPHER_SUITES: "TLS_A,TLS_B", QUEUE_PROXY_TLS_CURVE_PREFERENCES: "P-1" },
    want: [
      'QUEUE_PROXY_TLS_CIPHER_SUITES: unknown name "TLS_A"',
      'QUEUE_PROXY_TLS_CIPHER_SUITES: unknown name "TLS_B"',
      'QUEUE_PROXY_TLS_CURVE_PREFERENCES: unknown name "P-1"',
    ],
  },
  {
    name: "versions in the wrong order",
    env: { QUEUE_PROXY_TLS_MAX_VERSION: "1.2" },
    want: ["QUEUE_PROXY_TLS_MIN_VERSION is later than QUEUE_PROXY_TLS_MAX_VERSION"],
  },
  {
    name: "a certificate for metrics without its key, and clients to check without a CA",
    env: {
      OBSERVABILITY_CONFIG: '{"requestMetrics":{"protocol":"prometheus"}}',
      METRICS_PROMETHEUS_TLS_CERT: "/a",
      METRICS_PROMETHEUS_TLS_CLIENT_AUTH: "optional",
    },
    want: [
      "METRICS_PROMETHEUS_TLS_CERT and METRICS_PROMETHEUS_TLS_KEY: want both or neither",
      "METRICS_PROMETHEUS_TLS_CLIENT_AUTH needs a certificate",
    ],
  },
  {
    name: "an unknown way to export traces",
    env: { OBSERVABILITY_CONFIG: '{"tracing":{"protocol":"zipkin"}}' },
    want: ['OBSERVABILITY_CONFIG: tracing protocol "zipkin" is not known'],
  },
  {
    name: "a protocol of metrics that there is not",
    env: { OBSERVABILITY_CONFIG: '{"requestMetrics":{"protocol":"statsd"}}' },
    want: ['OBSERVABILITY_CONFIG: requestMetrics protocol "statsd": want one of none, prometheus, grpc, http/protobuf'],
  },
  {
    name: "a flag that is none",
    env: { ENABLE_HTTP_FULL_DUPLEX: "perhaps" },
    want: ['ENABLE_HTTP_FULL_DUPLEX="perhaps": want true or false'],
  },
];
for (const { name, env, want } of refused)
  test(`refused: ${name}`, (t) => {
    t.strictSame(problemsOf({ ...requiredEnv, ...env }), want);
    t.end();
  });

for (const name of Object.keys(requiredEnv))
  test(`${name} is required`, (t) => {
    const env = { ...requiredEnv, [name]: undefined };
    t.strictSame(problemsOf(env), [`required key ${name} missing value`]);
    t.end();
  });

const rows = [
  {
    name: "the smallest environment",
    env: {},
    want: {
      containerConcurrency: 0,
      userPort: 8080,
      probes: [],
      stats: undefined,
      observability: {
        requestLog: undefined,
        userMetrics: undefined,
        metricsExport: undefined,
        tracing: undefined,
        profiling: undefined,
      },
      tls: { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: undefined, curves: undefined },
      certificateFolder: "/var/lib/knative/certs",
      limits: { totalMs: 300_000, responseStartMs: 0, idleMs: 0 },
      logLevel: "info",
    },
  },
  {
    name: "a negative concurrency is no limit",
    env: { CONTAINER_CONCURRENCY: "-1" },
    want: { containerConcurrency: 0 },
  },
  {
    name: "the port map moves the app's port and the probes'",
    env: {
      SWELL_PORT_MAP: "8080=43121,9000=43122",
      SERVING_READINESS_PROBE:
        '[{"tcpSocket":{"port":8080,"host":"127.0.0.1"},"successThreshold":1},{"httpGet":{"port":9000,"path":"/h","httpHeaders":[{"name":"A","value":"b"}]},"periodSeconds":2,"timeoutSeconds":3}]',
    },
    want: {
      userPort: 43121,
      probes: [
        { action: { is: "tcp", host: "127.0.0.1", port: 43121 }, periodMs: 0, timeoutMs: 1000, successThreshold: 1 },
        {
          action: { is: "http", host: "127.0.0.1", port: 43122, path: "/h", scheme: "HTTP", headers: ["A", "b"] },
          periodMs: 2000,
          timeoutMs: 3000,
        },
      ],
    },
  },
  {
    name: "a probe's port 0 is the app's",
    env: { SERVING_READINESS_PROBE: '{"grpc":{"port":0,"service":"s"}}' },
    want: { probes: [{ action: { is: "grpc", host: "127.0.0.1", port: 8080, service: "s" } }] },
  },
  {
    name: "an exec probe is the kubelet's; a TCP probe of the app's port stands in for it",
    env: { SERVING_READINESS_PROBE: '{"exec":{"command":["true"]},"periodSeconds":3}' },
    want: { probes: [{ action: { is: "tcp", host: "127.0.0.1", port: 8080 }, periodMs: 3000 }] },
  },
  {
    name: "in a list, an exec probe is left out",
    env: { SERVING_READINESS_PROBE: '[{"exec":{"command":["true"]}},{"tcpSocket":{"port":9000}}]' },
    want: { probes: [{ action: { is: "tcp", port: 9000 } }] },
  },
  {
    name: "the pod's own address",
    env: {
      SWELL_BIND_ADDRESS: "127.93.1.2",
      SWELL_STATS_ADDRESS: "autoscaler.knative-serving.svc.cluster.local:8082",
      SWELL_STATS_TOKEN: "t",
    },
    want: {
      admin: { host: "127.93.1.2", port: 8022 },
      serving: [{ host: "127.93.1.2", port: 8012 }],
      stats: {
        host: "autoscaler.knative-serving.svc.cluster.local",
        port: 8082,
        token: "t",
        localAddress: "127.93.1.2",
      },
    },
  },
  {
    name: "request metrics for Prometheus",
    env: { OBSERVABILITY_CONFIG: '{"requestMetrics":{"protocol":"prometheus"}}' },
    want: { observability: { userMetrics: { address: { port: 9091 }, tls: undefined } } },
  },
  {
    name: "an endpoint for Prometheus",
    env: { OBSERVABILITY_CONFIG: '{"requestMetrics":{"protocol":"prometheus","endpoint":"[::1]:9999"}}' },
    want: { observability: { userMetrics: { address: { host: "::1", port: 9999 } } } },
  },
  {
    name: "the Prometheus listener's own variables win",
    env: {
      OBSERVABILITY_CONFIG: '{"requestMetrics":{"protocol":"prometheus","endpoint":":9999"}}',
      METRICS_PROMETHEUS_HOST: "127.0.0.3",
      METRICS_PROMETHEUS_PORT: "9095",
      METRICS_PROMETHEUS_TLS_CERT: "/etc/metrics/tls.crt",
      METRICS_PROMETHEUS_TLS_KEY: "/etc/metrics/tls.key",
      METRICS_PROMETHEUS_TLS_CLIENT_AUTH: "require",
      METRICS_PROMETHEUS_TLS_CLIENT_CA_FILE: "/etc/metrics/ca.crt",
      METRICS_PROMETHEUS_TLS_MIN_VERSION: "1.2",
      SWELL_MOUNT_MAP: "/etc/metrics=/real",
    },
    want: {
      observability: {
        userMetrics: {
          address: { host: "127.0.0.3", port: 9095 },
          tls: {
            settings: { minVersion: "TLSv1.2", maxVersion: "TLSv1.3" },
            certFile: "/real/tls.crt",
            keyFile: "/real/tls.key",
            clientAuth: "require",
            clientCaFile: "/real/ca.crt",
          },
        },
      },
    },
  },
  {
    name: "TLS versions, cipher suites and curves in Go's names",
    env: {
      QUEUE_PROXY_TLS_MIN_VERSION: "1.2",
      QUEUE_PROXY_TLS_MAX_VERSION: "1.2",
      QUEUE_PROXY_TLS_CIPHER_SUITES: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256",
      QUEUE_PROXY_TLS_CURVE_PREFERENCES: "X25519,CurveP256,P-384,X25519MLKEM768",
      SWELL_MOUNT_MAP: "/var/lib/knative/certs=/real/certs,/var/lib/knative=/other",
    },
    want: {
      tls: {
        minVersion: "TLSv1.2",
        maxVersion: "TLSv1.2",
        ciphers:
          "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256",
        curves: "X25519:P-256:P-384:X25519MLKEM768",
      },
      certificateFolder: "/real/certs",
    },
  },
  {
    name: "the request log with Knative's template",
    env: { OBSERVABILITY_CONFIG: '{"enableRequestLog":true,"requestLogTemplate":""}' },
    want: { observability: { requestLog: { template: /^\{"httpRequest": /, probes: false } } },
  },
  {
    name: "a template without the request log is nothing",
    env: { OBSERVABILITY_CONFIG: '{"requestLogTemplate":"x","enableProbeRequestLog":true}' },
    want: { observability: { requestLog: undefined } },
  },
  {
    name: "profiles, on their own port",
    env: { OBSERVABILITY_CONFIG: '{"runtime":{"profiling":"enabled"}}', PROFILING_PORT: "8009" },
    want: { observability: { profiling: { port: 8009 } } },
  },
  {
    name: "pushed request metrics",
    env: {
      OBSERVABILITY_CONFIG:
        '{"requestMetrics":{"protocol":"grpc","endpoint":"collector:4317","exportInterval":15000000000}}',
    },
    want: {
      observability: {
        userMetrics: undefined,
        metricsExport: { protocol: "grpc", endpoint: "collector:4317", intervalMs: 15_000, serviceName: "hello" },
      },
    },
  },
  {
    name: "pushed request metrics as OpenTelemetry's variables want them",
    env: {
      OBSERVABILITY_CONFIG: '{"requestMetrics":{"protocol":"http/protobuf","endpoint":"http://a:1"}}',
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://b:2/",
      OTEL_METRIC_EXPORT_INTERVAL: "5000",
    },
    want: { observability: { metricsExport: { endpoint: "http://b:2/v1/metrics", intervalMs: 5000 } } },
  },
  {
    name: "tracing",
    env: { OBSERVABILITY_CONFIG: '{"tracing":{"protocol":"grpc","endpoint":"collector:4317","samplingRate":0.1}}' },
    want: {
      observability: {
        tracing: { protocol: "grpc", endpoint: "collector:4317", samplingRate: 0.1, serviceName: "hello" },
      },
    },
  },
  {
    name: "OpenTelemetry's own variables win",
    env: {
      OBSERVABILITY_CONFIG: '{"tracing":{"protocol":"http/protobuf","endpoint":"http://a:1","samplingRate":0.1}}',
      OTEL_SERVICE_NAME: "mine",
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://b:2",
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://c:3/v1/traces",
      OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.5",
    },
    want: { observability: { tracing: { endpoint: "http://c:3/v1/traces", samplingRate: 0.5, serviceName: "mine" } } },
  },
  {
    name: "the level of zap's configuration",
    env: { SERVING_LOGGING_CONFIG: '{"level":"warn"}' },
    want: { logLevel: "warn" },
  },
  {
    name: "the level variable wins",
    env: { SERVING_LOGGING_CONFIG: '{"level":"warn"}', SERVING_LOGGING_LEVEL: "debug" },
    want: { logLevel: "debug" },
  },
];
for (const { name, env, want } of rows)
  test(`configuration: ${name}`, (t) => {
    t.match(parseConfig({ ...requiredEnv, ...env }), want);
    t.end();
  });
