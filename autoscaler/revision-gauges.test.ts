import { Registry } from "prom-client";
import { test } from "tap";
import type { DeciderStatus } from "./multi-scaler.ts";
import { RevisionGauges } from "./revision-gauges.ts";

const status = (key: string, desiredPods: number): DeciderStatus => ({
  key,
  metric: "concurrency",
  desiredPods,
  excessBurstCapacity: 0,
  stable: 0,
  panic: 0,
  target: 1,
  panicking: false,
});

function scene() {
  const register = new Registry();
  const statuses = [status("default/a", 3), status("default/b", 0)];
  const labels: Record<string, Record<string, string>> = {
    "default/a": { "serving.knative.dev/service": 'x"y', "serving.knative.dev/configuration": "x" },
  };
  const work = { statuses: 0, podCounts: 0 };
  const gauges = new RevisionGauges({
    register,
    statuses() {
      work.statuses += 1;
      return statuses;
    },
    requestedPods: () => 2,
    podCounts() {
      work.podCounts += 1;
      return { ready: 1, notReady: 0, pending: 0, terminating: 0 };
    },
    labels: (key) => labels[key],
  });
  gauges.add("desired", "Wanted", ({ status: { desiredPods } }) => desiredPods);
  gauges.add("ready", "There", ({ pods }) => pods.ready);
  gauges.add("some", "Not of all", ({ status: { key } }) => (key === "default/a" ? 1 : undefined));
  return { register, statuses, labels, work };
}

const series = (text: string): string[] => text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
const labelled = (name: string, service: string, configuration: string): string =>
  `{k8s_namespace_name="default",kn_service_name="${service}",kn_configuration_name="${configuration}",kn_revision_name="${name}"}`;

test("a series for each revision, in Prometheus's text", async (t) => {
  const s = scene();
  const text = await s.register.metrics();
  const [a, b] = [labelled("a", 'x\\"y', "x"), labelled("b", "", "")];
  t.same(series(text), [`desired${a} 3`, `desired${b} 0`, `ready${a} 1`, `ready${b} 1`, `some${a} 1`]);
  t.match(text, "# HELP desired Wanted\n# TYPE desired gauge\n");
});

test("every read is of now, and looks at each revision once", async (t) => {
  const s = scene();
  await s.register.metrics();
  t.same(s.work, { statuses: 1, podCounts: 2 });
  s.statuses.splice(0, 2, status("default/a", 5));
  s.labels["default/a"] = { "serving.knative.dev/service": "renamed" };
  const [text] = await Promise.all([s.register.metrics(), s.register.metrics()]);
  t.same(series(text)[0], `desired${labelled("a", "renamed", "")} 5`);
  t.notMatch(text, 'kn_revision_name="b"', "what is gone has no series");
});
