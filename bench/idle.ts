/** The platform at rest: 20 services at zero. Memory of each process, CPU of all over a minute. */
import { Cluster, processTree } from "../test/e2e/cluster.ts";
import type { PodAutoscaler } from "../api/autoscaling.ts";
import type { KubeList } from "../api/meta.ts";
import { cpuSeconds, memory, programs } from "./process-accounting.ts";
import { rounded, type Row, type Scenario } from "./report.ts";

export const idle: Scenario = async ({ quick }) => {
  const services = quick ? 3 : 20;
  const seconds = quick ? 10 : 60;
  await using cluster = new Cluster();
  await cluster.start("--no-sample");
  const patch = { data: { "scale-to-zero-grace-period": "1s", "stable-window": "6s" } };
  await cluster.k(`patch cm config-autoscaler -n knative-serving --type=merge -p ${JSON.stringify(patch)}`);
  for (let index = 0; index < services; index++) {
    const spec = { template: { spec: { containers: [{ image: "dev.local/hello" }] } } };
    const service = {
      apiVersion: "serving.knative.dev/v1",
      kind: "Service",
      metadata: { name: `idle-${index}` },
      spec,
    };
    await cluster.k("apply -f -", JSON.stringify(service));
  }
  for (let index = 0; index < services; index++) {
    await cluster.k(`wait ksvc/idle-${index} --for=condition=Ready --timeout=60s`);
    const atZero = ({ status }: PodAutoscaler): boolean => status?.desiredScale === 0 && status.actualScale === 0;
    await cluster.until<PodAutoscaler>(`kpa idle-${index}-00001`, atZero, 120_000);
  }
  for (let index = 0; index < services; index++) {
    const list = await cluster.k(`get pods -l serving.knative.dev/service=idle-${index} -o json`);
    for (const { metadata } of (JSON.parse(list) as KubeList<PodAutoscaler>).items)
      await cluster.k(`wait pod/${metadata.name} --for=delete --timeout=60s`);
  }

  const clusterPid = cluster.clusterPid();
  const running = programs([clusterPid, ...processTree(clusterPid).keys()]);
  const before = new Map([...running.keys()].map((pid) => [pid, cpuSeconds(pid)]));
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const rows: Row[] = [...running].map(([pid, contender]) => ({
    scenario: `idle, ${services} services at zero`,
    contender,
    ...memory(pid),
    cpuPercent: rounded(((cpuSeconds(pid) - before.get(pid)!) / seconds) * 100, 2),
  }));
  const sum = rows.reduce((total, row) => total + Number(row["cpuPercent"]), 0);
  return [...rows, { scenario: `idle, ${services} services at zero`, contender: "all", cpuPercent: rounded(sum, 2) }];
};
