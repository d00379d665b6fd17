import { test } from "tap";
import { parseElection } from "./config.ts";

const usual = "hpaautoscaler.knative.dev.serving.pkg.reconciler.autoscaling.hpa.reconciler.00-of-01";

test("the lease is Knative's, and config-leader-election can rename it", async (t) => {
  t.equal(parseElection(undefined).lease, usual);
  t.equal(parseElection({ "map-lease-prefix.controller.": "other." }).lease, usual);
  const renamed = parseElection({
    "map-lease-prefix.hpaautoscaler.knative.dev.serving.pkg.reconciler.autoscaling": "short",
    "lease-duration": "15s",
    "renew-deadline": "10s",
    "retry-period": "2s",
  });
  t.same(renamed, {
    lease: "short.hpa.reconciler.00-of-01",
    settings: { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2000 },
  });
  t.throws(() => parseElection({ "renew-deadline": "2m" }), /renew-deadline/u);
});
