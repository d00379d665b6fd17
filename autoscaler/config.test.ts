import { test } from "tap";
import { parseLeaderElection, parseProcessConfig } from "./config.ts";

const env = { POD_NAME: "autoscaler-1", POD_IP: "10.0.0.1" };
const shipped = { "lease-duration": "4s", "renew-deadline": "3s", "retry-period": "1s", buckets: "4" };

const rows: { name: string; data?: Record<string, string>; env?: Record<string, string>; want: object }[] = [
  {
    name: "without a word from anybody Knative's defaults hold",
    want: { leaseDurationMs: 60_000, renewDeadlineMs: 40_000, retryPeriodMs: 10_000, buckets: 1 },
  },
  {
    name: "the Deployment's own settings hold where the ConfigMap says nothing",
    env: shipped,
    data: { _example: "lease-duration: 60s" },
    want: { leaseDurationMs: 4000, renewDeadlineMs: 3000, retryPeriodMs: 1000, buckets: 4 },
  },
  {
    name: "what the ConfigMap sets wins, key by key",
    env: shipped,
    data: { buckets: "10", "lease-duration": "15s" },
    want: { leaseDurationMs: 15_000, renewDeadlineMs: 3000, retryPeriodMs: 1000, buckets: 10 },
  },
];
for (const { name, data, env, want } of rows)
  test(name, (t) => {
    t.same(parseLeaderElection(data, env), want);
    t.end();
  });

test("a bad count of buckets, and a deadline that comes after the lease has run out, are refused", (t) => {
  for (const buckets of ["0", "11", "two", "1.5"]) t.throws(() => parseLeaderElection({ buckets }), /1 <= /);
  t.throws(() => parseLeaderElection({ "lease-duration": "3s" }, shipped), /renew-deadline/);
  t.throws(() => parseProcessConfig({ ...env, SWELL_LEASE_DURATION: "soon" }), /lease-duration/);
  t.throws(() => parseProcessConfig({ ...env, SWELL_BUCKETS: "11" }), /buckets/);
  t.end();
});

test("the environment's settings are those of the ConfigMap, by other names", (t) => {
  const { election, podIp } = parseProcessConfig({
    ...env,
    SWELL_LEASE_DURATION: "4s",
    SWELL_LEASE_RENEW_DEADLINE: "3s",
    SWELL_LEASE_RETRY_PERIOD: "1s",
    SWELL_BUCKETS: "4",
  });
  t.same(election, shipped);
  t.equal(podIp, "10.0.0.1");
  t.end();
});
