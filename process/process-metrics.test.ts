import { Registry } from "prom-client";
import { test } from "tap";
import { Histogram } from "./histogram.ts";
import { counter, gauge, histogram } from "./metric-families.ts";
import { exposedBy, select } from "./metrics-fixture.ts";
import { processRegister, processResource } from "./process-metrics.ts";

test("what a process tells of itself", async (t) => {
  const env = { POD_NAME: "activator-1", SYSTEM_NAMESPACE: "knative-serving" };
  const exposed = await exposedBy(processRegister(processResource("activator", env)));
  t.strictSame(exposed.get("target_info"), [
    {
      labels: {
        service_name: "activator",
        service_instance_id: "activator-1",
        k8s_namespace_name: "knative-serving",
        k8s_pod_name: "activator-1",
        telemetry_sdk_language: "nodejs",
      },
      value: 1,
    },
  ]);
  for (const [name, labels] of [
    ["process_cpu_seconds_total"],
    ["process_resident_memory_bytes"],
    ["process_start_time_seconds"],
    ["nodejs_heap_size_used_bytes"],
    ["go_memstats_heap_alloc_bytes"],
    ["go_memory_used_bytes", { go_memory_type: "other" }],
  ] as const)
    t.ok((select(exposed, name, labels)[0]?.value ?? 0) > 0, name);
});

test("a name that was given to OpenTelemetry wins", (t) => {
  t.equal(processResource("controller", { OTEL_SERVICE_NAME: "mine" }).service_name, "mine");
  t.end();
});

test("families are read when somebody asks, and series that are gone are gone", async (t) => {
  const register = new Registry();
  const depth = new Map([["a", 1]]);
  const seconds = new Histogram([0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) seconds.add(value);
  gauge(register, "depth", "Depth", () => Array.from(depth, ([name, value]) => [{ name }, value]));
  counter(register, "adds_total", "Adds", () => [[{}, 3]]);
  histogram(register, "seconds", "Seconds", () => [[{ name: 'quo"te' }, seconds.values]]);
  const text = await register.metrics();
  for (const want of [
    "# TYPE depth gauge",
    'depth{name="a"} 1',
    "# TYPE adds_total counter",
    "adds_total 3",
    "# TYPE seconds histogram",
    'seconds_bucket{name="quo\\"te",le="0.1"} 2',
    'seconds_bucket{name="quo\\"te",le="1"} 3',
    'seconds_bucket{name="quo\\"te",le="+Inf"} 4',
    'seconds_sum{name="quo\\"te"} 7.65',
    'seconds_count{name="quo\\"te"} 4',
  ])
    t.ok(text.split("\n").includes(want), want);
  depth.clear();
  t.notMatch(await register.metrics(), /^depth\{/mu);
});
