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

const rows = [
  {
    name: "the smallest environment",
    env: {},
    want: {
      containerConcurrency: 0,
      userPort: 8080,
      probes: [],
      stats: undefined,
      userMetrics: undefined,
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
    name: "an exec probe is the kubelet's",
    env: { SERVING_READINESS_PROBE: '{"exec":{"command":["true"]}}' },
    want: { probes: [] },
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
    want: { userMetrics: { port: 9091 } },
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
